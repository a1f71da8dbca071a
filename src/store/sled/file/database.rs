//! An open database and its disk: makes writes durable, and says what it means if that fails.
//!
//! sled's own `flush` is not enough. On Linux it ends in `sync_file_range`, which leaves out the file's metadata and the disk's
//! write cache. So `sync_data` (`fdatasync`) is called on the same file, which is opened a second time for that.

use std::{fs::File, io};

use super::{
    open::Opened,
    tally::{CommitTally, Tally},
};
use crate::store::{
    error::StoreError,
    sled::{
        error::is_of_room,
        trees::{Trees, meta::Moments},
    },
};

/// The disk that has the log.
pub(crate) trait Disk: Send + 'static {
    /// Hands everything written to `trees` to the operating system.
    ///
    /// # Errors
    /// The error of sled, which then fails every later call with it.
    fn write(&self, trees: &Trees) -> Result<(), StoreError> {
        trees.flush()
    }

    /// Makes what the operating system has survive a power cut.
    fn sync(&self) -> io::Result<()>;

    /// Writes down how many groups of writes are durable.
    fn note(&self, count: CommitTally) -> io::Result<()>;
}

/// The data file of sled, and the tally beside it.
pub(crate) struct DataFile {
    pub(crate) data: File,
    pub(crate) tally: Tally,
}

impl Disk for DataFile {
    fn sync(&self) -> io::Result<()> {
        self.data.sync_data()
    }

    fn note(&self, count: CommitTally) -> io::Result<()> {
        self.tally.write(count)
    }
}

/// An open database and its disk.
pub(crate) struct Database {
    pub(crate) trees: Trees,
    pub(crate) disk: Box<dyn Disk>,
    /// How many groups of writes are durable.
    pub(crate) commits: u64,
}

/// Why a group of writes was not made durable.
pub(crate) enum CommitFailure {
    /// There was no room for it. Everything acknowledged before is safe.
    NoRoom(StoreError),
    /// What the disk has is unknown.
    Disk(StoreError),
}

impl CommitFailure {
    /// Says what `error` of a write means. `is_safe` says whether every earlier write is on the disk.
    fn of(error: StoreError, is_safe: bool) -> Self {
        if is_safe && is_of_room(&error) {
            Self::NoRoom(error)
        } else {
            Self::Disk(error)
        }
    }
}

impl Database {
    pub(crate) fn of(opened: Opened) -> Self {
        let disk = DataFile {
            data: opened.file,
            tally: opened.tally,
        };
        Self {
            trees: opened.trees,
            disk: Box::new(disk),
            commits: opened.commits,
        }
    }

    /// Makes every write applied since the last call durable.
    pub(crate) fn commit(&mut self, moments: Moments) -> Result<(), CommitFailure> {
        let commits = self.commits + 1;
        let written = self.trees.put_commits(commits, moments);
        if let Err(error) = written.and_then(|()| self.disk.write(&self.trees)) {
            // This reports if anything that sled wrote since the last sync is lost.
            let is_safe = self.disk.sync().is_ok();
            return Err(CommitFailure::of(error, is_safe));
        }
        let synced = self.disk.sync().map_err(StoreError::failed);
        synced.map_err(CommitFailure::Disk)?;
        let noted = self.disk.note(CommitTally {
            stopped_cleanly: false,
            commits,
        });
        noted.map_err(|error| CommitFailure::of(StoreError::failed(error), true))?;
        self.commits = commits;
        Ok(())
    }

    pub(crate) fn close(self) {
        // sled closes with its last handle, and still writes then.
        drop(self.trees);
        let count = CommitTally {
            stopped_cleanly: true,
            commits: self.commits,
        };
        if let Err(error) = self.disk.sync().and_then(|()| self.disk.note(count)) {
            tracing::error!(%error, "the database was closed, but it is not known whether all of it is on the disk");
        }
    }
}

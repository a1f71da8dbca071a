//! An open database and the disk that it is on: making what was written durable, and telling what it means if that fails.
//!
//! sled's own `flush` is not enough: on Linux it ends in `sync_file_range`, which leaves the file's metadata and the
//! disk's write cache out. So `sync_data` (`fdatasync`) is called on the same file, which was opened once more for it.

use std::{fs::File, io};

use super::{
    open::Opened,
    tally::{CommitTally, Tally},
};
use crate::{
    clock::Timestamp,
    store::{
        error::StoreError,
        sled::{error::is_of_room, trees::Trees},
    },
};

/// Where the log lies.
pub(crate) trait Disk: Send + 'static {
    /// Gives the operating system what `trees` has been told.
    ///
    /// # Errors
    /// What sled said. It says the same of whatever it is asked after that.
    fn write(&self, trees: &Trees) -> Result<(), StoreError> {
        trees.flush()
    }

    /// Makes what the operating system has been given outlive a power cut.
    fn sync(&self) -> io::Result<()>;

    /// Notes how many groups of writes have been made durable.
    fn note(&self, count: CommitTally) -> io::Result<()>;
}

/// sled's data file, and the tally beside it.
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

/// An open database, and the disk that it is on.
pub(crate) struct Database {
    pub(crate) trees: Trees,
    pub(crate) disk: Box<dyn Disk>,
    /// How many groups of writes have been made durable.
    pub(crate) commits: u64,
}

/// Why a group of writes was not made durable.
pub(crate) enum CommitFailure {
    /// There was no room for it. Whatever was acknowledged before is safe.
    NoRoom(StoreError),
    /// Nobody knows what the disk has.
    Disk(StoreError),
}

impl CommitFailure {
    /// What it means that a write failed, where `is_safe` says whether all earlier ones are on the disk.
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

    /// Makes what has been applied since the last time durable.
    pub(crate) fn commit(&mut self, latest: Timestamp) -> Result<(), CommitFailure> {
        let commits = self.commits + 1;
        let written = self.trees.put_commits(commits, latest);
        if let Err(error) = written.and_then(|()| self.disk.write(&self.trees)) {
            // If anything that sled did write has got lost since the last sync, this is told.
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
        // sled closes with its last handle, and has a few last things to write then.
        drop(self.trees);
        let count = CommitTally {
            stopped_cleanly: true,
            commits: self.commits,
        };
        if let Err(error) = self.disk.sync().and_then(|()| self.disk.note(count)) {
            tracing::error!(%error, "the database was closed, but whether all of it is on the disk is not known");
        }
    }
}

//! A disk without room, and the way back once there is some.
//!
//! sled does not go on after a write that failed: the pages in its memory are ahead of its log for good, and it answers
//! every later write with the first one's error. So its handles are dropped and the database is opened again, with all
//! the checks of a start. That is safe only because nothing acknowledged is in doubt: what was acknowledged had been
//! synced, and a sync that has failed since then would be told to the file that was opened for syncing. If it is, this is
//! no want of room but a broken disk, and final.
//!
//! Memory leads here. The index knows all that was acknowledged of sessions and of the users who have one, and nothing
//! that was refused; so the database is made what the index is, and no token changes what it is worth.

use std::{
    convert::Infallible,
    error::Error,
    fs::{self, File},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::Duration,
};

use super::{
    database::Database,
    directory::DirectoryLock,
    error::{self, OpenError},
    index::Index,
    open,
};
use crate::store::StoreError;

/// How often it is tried whether there is room.
const TRY_EVERY: Duration = Duration::from_secs(1);
/// How long it may come to be between two openings that failed although there seemed to be room.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// So many bytes are room: two segments of sled's log. With less there would be another outage at once.
const ROOM: usize = 1 << 20;
/// What is written to try it, in the database's directory.
const TRIAL: &str = "room";

/// Whether `error` says that there is no room for a write, or that nothing can be written there at the moment.
pub(super) fn is_of_room(error: &StoreError) -> bool {
    matches!(
        error::io_kind(error),
        Some(
            ErrorKind::StorageFull
                | ErrorKind::QuotaExceeded
                | ErrorKind::FileTooLarge
                | ErrorKind::ReadOnlyFilesystem
        )
    )
}

/// A database that was closed and can be opened again.
pub(super) trait Reopen: Send + 'static {
    /// Fails unless there is room.
    fn try_room(&self) -> io::Result<()>;

    /// Opens the database, which must have as many groups of writes as were acknowledged, and makes it what `index` is.
    fn reopen(&self, acknowledged: u64, index: &Index) -> Result<Database, OpenError>;
}

/// A directory of this process's own.
pub(super) struct Place {
    pub(super) path: PathBuf,
    pub(super) cache: u64,
    pub(super) lock: Arc<DirectoryLock>,
}

impl Reopen for Place {
    fn try_room(&self) -> io::Result<()> {
        let file = self.path.join(TRIAL);
        let tried = write_trial(&file);
        match fs::remove_file(&file) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => tried,
        }
    }

    fn reopen(&self, acknowledged: u64, index: &Index) -> Result<Database, OpenError> {
        let opened = open::reopen(&self.path, self.cache, &self.lock, acknowledged, |trees| {
            trees.restore(index)
        })?;
        Ok(Database::of(opened))
    }
}

fn write_trial(file: &Path) -> io::Result<()> {
    // Random, because some file systems find room for zeros anywhere.
    let mut content = vec![0; ROOM];
    getrandom::fill(&mut content)?;
    let mut file = File::create(file)?;
    file.write_all(&content)?;
    file.sync_data()
}

/// Closes `broken`, which had no room for a write, and opens it again once there is some; `None` if nobody wants it any
/// more by then.
///
/// # Errors
/// Why it will never be opened by this process.
pub(super) fn reopened(
    broken: Database,
    place: &dyn Reopen,
    index: &Index,
    unwanted: &Receiver<Infallible>,
) -> Result<Option<Database>, Box<dyn Error>> {
    let Database { trees, disk, commits } = broken;
    drop(trees);
    let mut pause = TRY_EVERY;
    let mut said = String::new();
    loop {
        if unwanted.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
            return Ok(None);
        }
        if place.try_room().is_err() {
            continue;
        }
        let reopened = place.reopen(commits, index);
        // It has been open all along, so it is told what a file that was opened later may not be.
        disk.sync()?;
        match reopened {
            Ok(database) => return Ok(Some(database)),
            Err(error @ OpenError::Inaccessible { .. }) => {
                pause = LONGEST_PAUSE.min(pause * 2);
                if said != error.to_string() {
                    said = error.to_string();
                    tracing::warn!(%error, "the database can't be opened again yet");
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
}

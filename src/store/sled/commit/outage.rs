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
    path::Path,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::Duration,
};

use crate::{
    config::StoreConfig,
    store::{
        error::OpenError,
        sled::{
            file::{database::Database, directory::DirectoryLock, open},
            memory::index::Index,
        },
    },
};

/// How often it is tried whether there is room.
const TRY_EVERY: Duration = Duration::from_secs(1);
/// How long it may come to be between two openings that failed although there seemed to be room.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// So many bytes are room: two segments of sled's log. With less there would be another outage at once.
const ROOM: usize = 1 << 20;
/// What is written to try it, in the database's directory.
const TRIAL: &str = "room";

/// A database that was closed and can be opened again.
pub(crate) trait Reopen: Send + 'static {
    /// Fails unless there is room.
    fn try_room(&self) -> io::Result<()>;

    /// Opens the database, which must have as many groups of writes as were acknowledged, and makes it what `index` is.
    fn reopen(&self, acknowledged: u64, index: &Index) -> Result<Database, OpenError>;
}

/// A directory of this process's own.
pub(crate) struct DatabaseLocation {
    pub(crate) config: StoreConfig,
    pub(crate) lock: Arc<DirectoryLock>,
}

impl Reopen for DatabaseLocation {
    fn try_room(&self) -> io::Result<()> {
        let file = self.config.path.join(TRIAL);
        let tried = write_trial(&file);
        match fs::remove_file(&file) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => tried,
        }
    }

    fn reopen(&self, acknowledged: u64, index: &Index) -> Result<Database, OpenError> {
        let opened = open::reopen(&self.config, &self.lock, acknowledged, |trees| {
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

/// How waiting for room ended.
pub(crate) enum Recovery {
    /// The database is open again.
    Reopened(Database),
    /// The store is no longer wanted.
    Unwanted,
    /// This process will never open it again, for this reason.
    Impossible(Box<dyn Error>),
}

/// Closes `broken`, which had no room for a write, and opens it again once there is room.
pub(crate) fn recover(
    broken: Database,
    location: &dyn Reopen,
    index: &Index,
    unwanted: &Receiver<Infallible>,
) -> Recovery {
    let Database { trees, disk, commits } = broken;
    open::abandon(trees);
    let mut pause = TRY_EVERY;
    let mut said = String::new();
    loop {
        if unwanted.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
            return Recovery::Unwanted;
        }
        if location.try_room().is_err() {
            continue;
        }
        let reopened = location.reopen(commits, index);
        // It has been open all along, so it is told what a file that was opened later may not be.
        if let Err(error) = disk.sync() {
            return Recovery::Impossible(error.into());
        }
        match reopened {
            Ok(database) => return Recovery::Reopened(database),
            Err(error @ OpenError::Inaccessible { .. }) => {
                pause = LONGEST_PAUSE.min(pause * 2);
                if said != error.to_string() {
                    said = error.to_string();
                    tracing::warn!(%error, "the database can't be opened again yet");
                }
            }
            Err(error) => return Recovery::Impossible(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Timestamp,
        domain::{ApiToken, Session, User},
        store::sled::{memory::index::Ended, trees::Trees},
    };

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
    const HOUR: Duration = Duration::from_hours(1);

    /// A database that has been opened and closed again, with what was written meanwhile.
    fn left(path: &Path, write: impl FnOnce(&Trees)) -> DatabaseLocation {
        let config = StoreConfig {
            path: path.to_owned(),
            cache: 1 << 20,
        };
        let (opened, lock) = open::open(&config, |_, _| Ok(())).unwrap();
        write(&opened.trees);
        DatabaseLocation {
            config,
            lock: Arc::new(lock),
        }
    }

    #[test]
    fn the_database_is_made_what_memory_knows_was_acknowledged() {
        let directory = tempfile::tempdir().unwrap();
        let index = Index::default();
        let [ada, barbara] = ["ada", "barbara"].map(|name| Arc::new(User::somebody(name, NOW)));
        let started = |user: &User| Session::start(user.id, HOUR, HOUR, NOW).0;
        let [same, closed, changed, refused] = [&ada, &ada, &ada, &barbara].map(|user| started(user));
        let [kept, revoked, never] = [&ada, &ada, &barbara].map(|user| ApiToken::somebodys(user.id, NOW));
        let location = left(directory.path(), |trees| {
            for token in [&kept, &never] {
                trees.put_api_token(token).unwrap();
            }
            for user in [&ada, &barbara] {
                let _ = trees.create_user(user, None).unwrap();
            }
            for session in [&same, &refused] {
                trees.put_session(session).unwrap();
            }
            let mut other = changed.clone();
            other.ends_at = NOW.plus(2 * HOUR);
            trees.put_session(&other).unwrap();
            let mut other = User::clone(&ada);
            other.disabled = true;
            trees.put_user(&other, &Ended::default()).unwrap();
        });
        for session in [&same, &closed, &changed] {
            index.open(session.clone(), User::clone(&ada));
        }
        // Its revocation was asked for and refused.
        for token in [&kept, &revoked] {
            index.add_api_token(Arc::new(token.clone()), Arc::clone(&ada).into());
        }
        let database = location.reopen(0, &index).unwrap();
        for (token, there) in [(kept, true), (revoked, true), (never, false)] {
            assert_eq!(database.trees.has_api_token(token.id).unwrap(), there);
        }
        for session in [same, closed, changed] {
            assert_eq!(database.trees.session(session.id).unwrap(), Some(session));
        }
        assert_eq!(database.trees.session(refused.id).unwrap(), None);
        for user in [ada, barbara] {
            let found = database.trees.user_by_name(&user.username).unwrap();
            assert_eq!(found.as_ref(), Some(user.as_ref()));
        }
    }

    #[test]
    fn less_than_was_acknowledged_or_another_directory_is_not_opened_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data");
        let index = Index::default();
        let location = left(&path, |trees| trees.put_commits(7, NOW).unwrap());
        location.try_room().unwrap();
        let refusal = location.reopen(8, &index).err();
        assert!(matches!(
            refusal,
            Some(OpenError::Damaged { untouched: true, .. })
        ));
        drop(location.reopen(7, &index).unwrap());

        let moved = directory.path().join("moved");
        fs::rename(&path, &moved).unwrap();
        assert!(location.try_room().is_err());
        left(&path, |trees| trees.put_commits(7, NOW).unwrap());
        let refusal = location.reopen(7, &index).err();
        assert!(
            matches!(refusal, Some(OpenError::Inaccessible { .. })),
            "{refusal:?}"
        );
        fs::remove_dir_all(&path).unwrap();
        fs::rename(&moved, &path).unwrap();
        location.reopen(7, &index).unwrap();
    }
}

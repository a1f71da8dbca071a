//! An outage: the disk has no room, until it has some again.
//!
//! sled does not resume after a write that failed: it answers every later write with the first error. So its handles are dropped
//! and the database is opened again, with all the checks of a start. That is safe because nothing acknowledged is in doubt: it
//! had been synced, and the file that was opened for syncing reports any sync that has failed since. If it reports one, the disk
//! is broken and the outage is final.

use std::{
    error::Error,
    fs::{self, File},
    io::{self, ErrorKind, Write},
    ops::ControlFlow,
    path::Path,
    sync::Arc,
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

/// How long the first pause between two tries is, and every pause as long as there is no room.
const TRY_EVERY: Duration = Duration::from_secs(1);
/// The longest pause between two openings that failed although there was room.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// How many bytes must fit on the disk: two segments of sled's log. With less, another outage would follow at once.
const ROOM: usize = 1 << 20;
/// The file in the database directory that is written to try that.
const TRIAL: &str = "room";

/// Where a closed database can be opened again.
pub(crate) trait Reopen: Send + 'static {
    /// Checks that there is room.
    ///
    /// # Errors
    /// There is none, or it is not known.
    fn try_room(&self) -> io::Result<()>;

    /// Opens the database and makes it what `index` is. The index knows everything acknowledged of sessions, API tokens and the
    /// users who have one, and nothing that was refused. So every token keeps its worth.
    ///
    /// # Errors
    /// [`OpenError::Damaged`] also if it has fewer groups of writes than were `acknowledged`.
    fn reopen(&self, acknowledged: u64, index: &Index) -> Result<Database, OpenError>;
}

/// A directory that this process has locked.
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
    Reopened(Box<Database>),
    /// The store is no longer wanted.
    Unwanted,
    /// This process will never open it again, for this reason.
    Impossible(Box<dyn Error>),
}

/// Closes `broken`, which had no room for a write, and opens it again once there is room. Calls `wait` with the length of each
/// pause; it breaks if the store is no longer wanted.
pub(crate) fn recover(
    broken: Database,
    location: &dyn Reopen,
    index: &Index,
    mut wait: impl FnMut(Duration) -> ControlFlow<()>,
) -> Recovery {
    let Database { trees, disk, commits } = broken;
    open::abandon(trees);
    let mut pause = TRY_EVERY;
    let mut said = String::new();
    loop {
        if wait(pause).is_break() {
            return Recovery::Unwanted;
        }
        if location.try_room().is_err() {
            continue;
        }
        let reopened = location.reopen(commits, index);
        // This file has been open all along, so it reports failures that a file opened later may not.
        if let Err(error) = disk.sync() {
            return Recovery::Impossible(error.into());
        }
        match reopened {
            Ok(database) => return Recovery::Reopened(Box::new(database)),
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
    use std::collections::VecDeque;

    use super::*;
    use crate::{
        clock::Timestamp,
        domain::{ApiToken, Session, User},
        store::sled::{
            file::{database::Disk, tally::CommitTally},
            memory::index::Ended,
            trees::{Trees, meta::Moments},
        },
    };

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
    const HOUR: Duration = Duration::from_hours(1);

    /// A database that has been opened, written and closed.
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
    fn the_database_is_made_what_the_index_is() {
        let directory = tempfile::tempdir().unwrap();
        let index = Index::default();
        let [ada, barbara] = ["ada", "barbara"].map(|name| Arc::new(User::sample(name, NOW)));
        let started = |user: &User| Session::start(user.id, HOUR, HOUR, NOW).0;
        let [same, closed, changed, refused] = [&ada, &ada, &ada, &barbara].map(|user| started(user));
        let [kept, revoked, never] = [&ada, &ada, &barbara].map(|user| ApiToken::sample_of(user.id, NOW));
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
        // The revocation of one of these was refused.
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
    fn a_lost_write_or_another_directory_is_not_opened_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data");
        let index = Index::default();
        let location = left(&path, |trees| trees.put_commits(7, Moments::at(NOW)).unwrap());
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
        left(&path, |trees| trees.put_commits(7, Moments::at(NOW)).unwrap());
        let refusal = location.reopen(7, &index).err();
        assert!(
            matches!(refusal, Some(OpenError::Inaccessible { .. })),
            "{refusal:?}"
        );
        fs::remove_dir_all(&path).unwrap();
        fs::rename(&moved, &path).unwrap();
        location.reopen(7, &index).unwrap();
    }

    /// What each try finds.
    #[derive(Clone, Copy)]
    enum Try {
        NoRoom,
        Inaccessible,
        Damaged,
        Opens,
    }

    /// A place where each try finds the next of these.
    struct Tries(std::sync::Mutex<VecDeque<Try>>);

    impl Reopen for Tries {
        fn try_room(&self) -> io::Result<()> {
            let mut tries = self.0.lock().unwrap();
            if matches!(tries.front(), Some(Try::NoRoom)) {
                tries.pop_front();
                return Err(ErrorKind::StorageFull.into());
            }
            Ok(())
        }

        fn reopen(&self, acknowledged: u64, _: &Index) -> Result<Database, OpenError> {
            let path = Path::new("data");
            match self.0.lock().unwrap().pop_front().unwrap() {
                Try::Opens => Ok(in_memory(acknowledged)),
                Try::Damaged => Err(OpenError::damaged(path, &"its last writes are missing")),
                _ => Err(OpenError::inaccessible(path, ErrorKind::StorageFull.into())),
            }
        }
    }

    struct NoDisk;

    impl Disk for NoDisk {
        fn sync(&self) -> io::Result<()> {
            Ok(())
        }

        fn note(&self, _: CommitTally) -> io::Result<()> {
            Ok(())
        }
    }

    fn in_memory(commits: u64) -> Database {
        Database {
            trees: Trees::of(sled::Config::new().temporary(true).open().unwrap()).unwrap(),
            disk: Box::new(NoDisk),
            commits,
        }
    }

    /// How an outage ends, and the length of each pause in seconds, if the store is wanted for at most `patience` pauses.
    fn recovery(tries: &[Try], patience: usize) -> (Recovery, Vec<u64>) {
        let location = Tries(std::sync::Mutex::new(tries.iter().copied().collect()));
        let mut pauses = Vec::new();
        let recovery = recover(in_memory(7), &location, &Index::default(), |pause| {
            if pauses.len() == patience {
                return ControlFlow::Break(());
            }
            pauses.push(pause.as_secs());
            ControlFlow::Continue(())
        });
        (recovery, pauses)
    }

    #[test]
    fn an_outage_is_retried_every_second_while_there_is_no_room() {
        let tries = [[Try::NoRoom; 100].as_slice(), &[Try::Opens]].concat();
        let (recovery, pauses) = recovery(&tries, usize::MAX);
        let Recovery::Reopened(database) = recovery else {
            panic!("not opened")
        };
        assert_eq!(database.commits, 7, "what was acknowledged");
        assert_eq!(pauses, [1; 101]);
    }

    #[test]
    fn openings_that_fail_are_retried_at_growing_pauses() {
        let tries = [[Try::Inaccessible; 9].as_slice(), &[Try::NoRoom, Try::Opens]].concat();
        let (recovery, pauses) = recovery(&tries, usize::MAX);
        assert!(matches!(recovery, Recovery::Reopened(_)));
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60]);
    }

    #[test]
    fn a_damaged_database_or_an_unwanted_store_is_not_retried() {
        let (damaged, pauses) = recovery(&[Try::Inaccessible, Try::Damaged, Try::Opens], usize::MAX);
        assert!(matches!(damaged, Recovery::Impossible(_)));
        assert_eq!(pauses, [1, 2]);
        for patience in 0..3 {
            let (unwanted, pauses) = recovery(&[Try::NoRoom, Try::Inaccessible, Try::NoRoom], patience);
            assert!(matches!(unwanted, Recovery::Unwanted));
            assert_eq!(pauses.len(), patience);
        }
    }
}

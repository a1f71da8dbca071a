//! Opens a database directory: one owner, private permissions, a known version, and nothing acknowledged missing. If any of that
//! fails, the error says what to do. A refused database is left as it was if it could be copied; the error says if not.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::Path,
    thread,
    time::Duration,
};

use super::{
    directory::{self, DirectoryLock},
    entries,
    log_file::{self, DATA_FILE},
    quiet::{aloud, quietly},
    rescue::{Rescue, SETTINGS_FILE},
    staging,
    tally::{CommitTally, Tally},
};
use crate::{
    config::StoreConfig,
    store::{
        error::{OpenError, StoreError},
        sled::{
            error::while_opening,
            trees::{FIRST_SCHEMA, SCHEMA, Trees},
        },
    },
};

/// A database of up to this many bytes is always opened beside a copy: that takes a few milliseconds. A larger one is copied only
/// if it was not closed in good order, or if its file needs a risky repair: that is when the most is changed.
const ALWAYS_RESCUED: u64 = 16 << 20;
/// How often sled's own thread writes to disk and collects garbage. Without it, sled's memory grows.
const FLUSH_EVERY_MS: u64 = 500;
/// How many times the lock of the data file is tried, and the pause between two tries.
const LET_GO_TRIES: u32 = 200;
const LET_GO_PAUSE: Duration = Duration::from_millis(5);

/// When the sessions of a database are loaded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Before the first request: the database is small, or may be damaged.
    Now,
    /// While requests are answered.
    Later,
}

pub(crate) struct Opened {
    pub(crate) trees: Trees,
    /// The data file, opened for syncing.
    pub(crate) file: File,
    pub(crate) tally: Tally,
    /// How many groups of writes are durable.
    pub(crate) commits: u64,
}

/// Opens the database that `config` names. It belongs to this process while the lock is held. `read` loads it, now or later; if
/// `read` fails, the database is damaged.
pub(crate) fn open(
    config: &StoreConfig,
    read: impl FnOnce(&Trees, Reading) -> Result<(), StoreError>,
) -> Result<(Opened, DirectoryLock), OpenError> {
    let path = &config.path;
    let existed = directory::is_marked(path).map_err(|source| OpenError::inaccessible(path, source))?;
    directory::make_private(path, existed)?;
    let lock = DirectoryLock::take(path)?;
    let opened = open_own(config, existed, 0, read)?;
    Ok((opened, lock))
}

/// Opens again a database that this process had open, and of which it has `acknowledged` so many groups of writes.
pub(crate) fn reopen(
    config: &StoreConfig,
    lock: &DirectoryLock,
    acknowledged: u64,
    read: impl FnOnce(&Trees) -> Result<(), StoreError>,
) -> Result<Opened, OpenError> {
    let path = &config.path;
    // The directory may have been replaced by another one, which is not locked.
    lock.is_of(path)
        .map_err(|source| OpenError::inaccessible(path, source))?;
    open_own(config, true, acknowledged, |trees, _| read(trees))
}

/// Opens a database that no other process has open. It must have at least `acknowledged` groups of writes, and at least as many
/// as its tally says.
fn open_own(
    config: &StoreConfig,
    existed: bool,
    acknowledged: u64,
    read: impl FnOnce(&Trees, Reading) -> Result<(), StoreError>,
) -> Result<Opened, OpenError> {
    let path = &config.path;
    let io_error = |source| OpenError::inaccessible(path, source);
    // The process that had it open before may have been this one.
    wait_until_let_go(path).map_err(io_error)?;
    if let Some(left) = Rescue::left(path).map_err(io_error)? {
        left.put_back().map_err(io_error)?;
    }
    let size = check_data_file(path, existed)?;
    directory::remove_unfinished_snapshots(path).map_err(io_error)?;
    if !existed {
        directory::remove_unfinished_settings(path).map_err(io_error)?;
    }
    let mut last = Tally::read(path).map_err(|error| OpenError::damaged(path, &error))?;
    last.commits = last.commits.max(acknowledged);
    // If an import was cut short, `read` may write as much as it has users.
    last.stopped_cleanly &= !staging::is_left(path).map_err(io_error)?;
    let repair = log_file::examine(path).map_err(io_error)?;
    let in_doubt = !last.stopped_cleanly || size <= ALWAYS_RESCUED || repair.is_risky();
    let rescue = (existed && in_doubt)
        .then(|| Rescue::copy(path))
        .and_then(|copied| copied.map_err(|error| warn_without_rescue(path, &error)).ok());

    let opened = catch_damage(path, || {
        let remnant = repair.make(path).map_err(io_error)?;
        let trees = open_sled(path, config.cache)?;
        if let Some(remnant) = remnant
            && !remnant.was_free(path).map_err(io_error)?
        {
            return Err(OpenError::damaged(path, &"a part of its log is missing"));
        }
        check(&trees, path, existed, last)?;
        let reading = if existed && !in_doubt {
            Reading::Later
        } else {
            Reading::Now
        };
        read(&trees, reading).map_err(|error| while_opening(path, &error))?;
        let commits = trees.commits().map_err(|error| while_opening(path, &error))?;
        // Everything served and counted from now on must be on the disk, including what a killed process left in the system's
        // memory. Until it is, a power cut must leave the copy.
        trees.flush().map_err(|error| while_opening(path, &error))?;
        let file = File::options()
            .write(true)
            .open(path.join(DATA_FILE))
            .map_err(io_error)?;
        file.sync_data().map_err(io_error)?;
        Ok((trees, file, commits))
    });
    let (trees, file, commits) = match opened {
        Ok(opened) => opened,
        Err(error) => return Err(put_back(path, error, rescue, existed)),
    };
    if let Some(rescue) = rescue {
        rescue.discard().map_err(io_error)?;
    }

    // Not earlier: until now the upgrade may have to be repeated.
    trees
        .forget_first_schema()
        .map_err(|error| while_opening(path, &error))?;
    let tally = Tally::open(path, commits).map_err(io_error)?;
    if !existed {
        directory::mark(path, &[DATA_FILE, SETTINGS_FILE]).map_err(io_error)?;
    }
    entries::make_private(path).map_err(io_error)?;
    Ok(Opened {
        trees,
        file,
        tally,
        commits,
    })
}

/// Checks what sled found: a known schema, every acknowledged group of writes and, unless the database was closed in good order,
/// as many users as it counts. Upgrades an earlier schema, and makes the roster anew if it is not what the users say.
fn check(trees: &Trees, path: &Path, existed: bool, last: CommitTally) -> Result<(), OpenError> {
    let damaged = |what: &str| Err(OpenError::damaged(path, &what));
    let unreadable = |error: StoreError| while_opening(path, &error);
    let schema = trees.schema().map_err(unreadable)?;
    match schema {
        Some(FIRST_SCHEMA..=SCHEMA) => {}
        Some(found) => {
            return Err(OpenError::Newer {
                database: path.display().to_string(),
                found,
                known: SCHEMA,
            });
        }
        None if existed => return damaged("it was in use before, and nothing is left in it"),
        None => trees
            .put_schema(SCHEMA)
            .and_then(|()| trees.flush())
            .map_err(unreadable)?,
    }
    if trees.commits().map_err(unreadable)? < last.commits {
        return damaged("its last writes are missing");
    }
    let upgraded = schema.filter(|found| *found < SCHEMA);
    if let Some(found) = upgraded {
        upgrade(trees, path, found).map_err(unreadable)?;
    }
    if existed && !last.stopped_cleanly {
        if !trees.users_are_whole().map_err(unreadable)? {
            return damaged("some of its users are missing");
        }
        if upgraded.is_none() && !trees.roster_is_whole().map_err(unreadable)? {
            aloud(|| tracing::warn!("the lists of users in {} are made anew", path.display()));
            trees.rebuild_roster().map_err(unreadable)?;
        }
    }
    Ok(())
}

/// Upgrades a database of the schema `from` to the present one. If it is cut short, the schema is still `from`.
fn upgrade(trees: &Trees, path: &Path, from: u32) -> Result<(), StoreError> {
    aloud(|| {
        tracing::info!(
            "the database {} is upgraded to the present schema: with a million users that takes up to a minute",
            path.display()
        );
    });
    if from == FIRST_SCHEMA {
        trees.upgrade()?;
    }
    trees.rebuild_roster()?;
    trees.flush()?;
    trees.put_schema(SCHEMA)?;
    trees.flush()
}

/// Restores the files, and says in `error` whether they are unchanged.
fn put_back(path: &Path, error: OpenError, rescue: Option<Rescue>, existed: bool) -> OpenError {
    let restored = match rescue {
        Some(rescue) => wait_until_let_go(path).and_then(|()| rescue.put_back()).is_ok(),
        None => !existed,
    };
    match error {
        OpenError::Damaged { database, what, .. } => OpenError::Damaged {
            database,
            what,
            untouched: restored,
        },
        other => other,
    }
}

/// Waits until sled releases its lock of the data file. Its threads may still write when its last handle has been dropped.
fn wait_until_let_go(path: &Path) -> io::Result<()> {
    // Opened for writing, as sled opens it: some systems grant an exclusive lock only then.
    let file = match File::options().write(true).open(path.join(DATA_FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    for _ in 0..LET_GO_TRIES {
        match file.try_lock() {
            Ok(()) => return file.unlock(),
            Err(TryLockError::WouldBlock) => thread::sleep(LET_GO_PAUSE),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Err(io::Error::other(
        "its data file is locked: the last writes are not finished yet, or another program has it open",
    ))
}

fn warn_without_rescue(path: &Path, error: &io::Error) {
    tracing::warn!(
        %error,
        "the database {} can't be copied while it is opened: if it is damaged, what lies behind the damage may be cleared",
        path.display()
    );
}

/// Returns the size of the data file in bytes. A database that existed must have one.
fn check_data_file(path: &Path, existed: bool) -> Result<u64, OpenError> {
    let data = path.join(DATA_FILE);
    match fs::metadata(&data) {
        Ok(meta) if existed && meta.len() == 0 => Err(OpenError::damaged(&data, &"the file is empty")),
        Err(error) if error.kind() == io::ErrorKind::NotFound && existed => {
            Err(OpenError::damaged(&data, &"the file is missing"))
        }
        Ok(meta) => Ok(meta.len()),
        Err(_) => Ok(0),
    }
}

fn open_sled(path: &Path, cache: u64) -> Result<Trees, OpenError> {
    let config = sled::Config::new()
        .path(path)
        .cache_capacity(cache)
        .flush_every_ms(Some(FLUSH_EVERY_MS));
    let opened = config.open().map_err(StoreError::failed);
    opened
        .and_then(Trees::of)
        .map_err(|error| while_opening(path, &error))
}

/// Runs `attempt`. sled reports some kinds of damage by a panic, at the opening or at the first read: that becomes an error.
fn catch_damage<T>(path: &Path, attempt: impl FnOnce() -> Result<T, OpenError>) -> Result<T, OpenError> {
    quietly(attempt).unwrap_or_else(|_| Err(OpenError::damaged(path, &"its log can't be replayed")))
}

/// Drops the handles of a database that had no room for a write. sled then logs the same failure for each of them.
pub(crate) fn abandon(trees: Trees) {
    if quietly(|| drop(trees)).is_err() {
        tracing::warn!("closing the failed database ended in a panic");
    }
}

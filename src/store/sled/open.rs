//! Opening a database directory: one owner, private permissions, a version that is known, and a message that a person
//! can act on when any of that fails. A database that has to be refused is left as it was.

use std::{
    cell::Cell,
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
};

use super::{
    rescue::{self, Rescue},
    tally::{self, Count, Tally},
    trees::Trees,
};
use crate::store::StoreError;

/// The version of the schema in the head of [`super`].
const SCHEMA: u32 = 1;
/// sled's own data file.
const DATA_FILE: &str = "db";
/// Holds the process id of the owner, and the lock that makes it one.
const LOCK_FILE: &str = "lock";
/// Stands in the directory once a database has been made there: without it an emptied data file would look like a new one.
const MARKER_FILE: &str = "schema";
/// A database up to this many bytes is opened beside a copy of it every time: that takes a few milliseconds. A larger one
/// only when it was not closed in good order, which is when sled changes the most.
const ALWAYS_RESCUED: u64 = 16 << 20;
/// How often sled's own thread writes to disk and collects garbage. It must run: sled's memory grows without it.
const FLUSH_EVERY_MS: u64 = 500;

/// A directory that can't be opened as a database.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error(
        "the database {} is in use by another process{}; stop that one first, or give this one another directory with --store.path",
        path.display(), holder.as_ref().map(|id| format!(" (process {id})")).unwrap_or_default()
    )]
    Locked {
        /// The directory.
        path: PathBuf,
        /// The other process's id, if it left one.
        holder: Option<String>,
    },
    /// The directory can't be made, read or written.
    #[error("the database directory {} can't be used: {source}; it must be a directory that this user may write to", path.display())]
    Inaccessible {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The directory has other things in it.
    #[error("the directory {} is not a database: it has a {found} in it; name another directory with --store.path", path.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// The name of something that is not this server's.
        found: String,
    },
    /// What is in the directory can't be read as a database of this server.
    #[error(
        "the database {} is damaged: {what}. {}. Move the directory away and put a backup in its place",
        path.display(),
        if *untouched { "It was left as it was" } else { "What lay behind the damage may have been cleared in the attempt" }
    )]
    Damaged {
        /// The directory, or the file in it.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
        /// Whether its files are what they were before.
        untouched: bool,
    },
    /// A newer version of this server wrote it.
    #[error(
        "the database {} has schema version {found}, and this version of jwt-server knows up to {SCHEMA}; use the version that wrote it",
        path.display()
    )]
    Newer {
        /// The directory.
        path: PathBuf,
        /// The version found.
        found: u32,
    },
}

impl OpenError {
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        Self::Inaccessible { path, source }
    }

    fn damaged(path: &Path, what: &impl ToString) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            what: what.to_string(),
            untouched: true,
        }
    }
}

pub(super) struct Opened {
    pub(super) trees: Trees,
    /// The data file, for syncing.
    pub(super) file: File,
    pub(super) tally: Tally,
    pub(super) lock: DirectoryLock,
}

/// Opens the database in `path`. `read` takes in what it holds; if that can't be done, the database is damaged.
pub(super) fn open(
    path: &Path,
    cache: u64,
    read: impl FnOnce(&Trees) -> Result<(), StoreError>,
) -> Result<Opened, OpenError> {
    let io_error = |source| OpenError::io(path, source);
    let existed = path.join(MARKER_FILE).try_exists().map_err(io_error)?;
    make_private_directory(path, existed)?;
    let lock = DirectoryLock::take(path)?;
    let size = check_data_file(path, existed)?;
    remove_unfinished_snapshots(path).map_err(io_error)?;
    let last = Tally::read(path).map_err(|error| OpenError::damaged(path, &error))?;
    let rescue = (existed && (!last.stopped_cleanly || size <= ALWAYS_RESCUED))
        .then(|| Rescue::copy(path))
        .and_then(|copied| copied.map_err(|error| warn_without_rescue(path, &error)).ok());

    let opened = open_sled(path, cache).and_then(|trees| {
        check(&trees, path, existed, last)?;
        read(&trees).map_err(|error| OpenError::damaged(path, &error))?;
        Ok(trees)
    });
    let trees = match opened {
        Ok(trees) => trees,
        Err(error) => return Err(put_back(error, rescue, existed)),
    };

    let file = File::options()
        .write(true)
        .open(path.join(DATA_FILE))
        .map_err(io_error)?;
    let commits = trees
        .commits()
        .map_err(|error| OpenError::damaged(path, &error))?;
    let tally = Tally::open(path, commits).map_err(io_error)?;
    if !existed {
        mark(path).map_err(io_error)?;
    }
    Ok(Opened {
        trees,
        file,
        tally,
        lock,
    })
}

/// Whether what sled found is what was left: a schema that is known, every acknowledged group of writes, and, unless the
/// database was closed in good order, as many users as it counts.
fn check(trees: &Trees, path: &Path, existed: bool, last: Count) -> Result<(), OpenError> {
    let damaged = |what: &str| Err(OpenError::damaged(path, &what));
    let unreadable = |error: StoreError| OpenError::damaged(path, &error);
    match trees.schema().map_err(unreadable)? {
        Some(SCHEMA) => {}
        Some(found) => {
            return Err(OpenError::Newer {
                path: path.to_owned(),
                found,
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
    if existed && !last.stopped_cleanly && !trees.users_are_whole().map_err(unreadable)? {
        return damaged("some of its users are missing");
    }
    Ok(())
}

/// Puts the files back as they were, and says in `error` whether that is so.
fn put_back(error: OpenError, rescue: Option<Rescue>, existed: bool) -> OpenError {
    let restored = match rescue {
        Some(rescue) => rescue.put_back().is_ok(),
        None => !existed,
    };
    match error {
        OpenError::Damaged { path, what, .. } => OpenError::Damaged {
            path,
            what,
            untouched: restored,
        },
        other => other,
    }
}

fn warn_without_rescue(path: &Path, error: &io::Error) {
    tracing::warn!(
        %error,
        "the database {} was not closed in good order, and there is no room for a copy of it while it is opened",
        path.display()
    );
}

/// A directory of our own, made with mode 0700 or brought to it: it holds password hashes and perhaps the signing key.
fn make_private_directory(path: &Path, is_ours: bool) -> Result<(), OpenError> {
    let io_error = |source| OpenError::io(path, source);
    if path.try_exists().map_err(io_error)? && !path.is_dir() {
        return Err(io_error(io::Error::other("it is not a directory")));
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(io_error)?;
    if !is_ours {
        for entry in fs::read_dir(path).map_err(io_error)? {
            let found = entry
                .map_err(io_error)?
                .file_name()
                .to_string_lossy()
                .into_owned();
            // A start that was cut short leaves sled's files and no marker; git leaves its placeholder.
            let known = [LOCK_FILE, tally::FILE, "blobs", ".gitignore", ".gitkeep"].contains(&found.as_str());
            if !known && !rescue::is_sled_file(&found) {
                return Err(OpenError::Foreign {
                    path: path.to_owned(),
                    found,
                });
            }
        }
    }
    let mut permissions = fs::metadata(path).map_err(io_error)?.permissions();
    if permissions.mode() & 0o077 != 0 {
        permissions.set_mode(0o700);
        fs::set_permissions(path, permissions).map_err(io_error)?;
    }
    Ok(())
}

/// The data file's size in bytes. A database that was in use has one.
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

/// sled writes a snapshot under this name and renames it when it is whole, but reads one that a kill left unfinished as
/// the newest, and then calls the database damaged.
fn remove_unfinished_snapshots(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// sled says some kinds of damage with a panic. That must not reach the user, nor stop at this thread's end.
fn open_sled(path: &Path, cache: u64) -> Result<Trees, OpenError> {
    let config = sled::Config::new()
        .path(path)
        .cache_capacity(cache)
        .flush_every_ms(Some(FLUSH_EVERY_MS));
    OPENING.set(true);
    let opened = panic::catch_unwind(AssertUnwindSafe(|| config.open().and_then(Trees::of)));
    OPENING.set(false);
    match opened {
        Ok(Ok(trees)) => Ok(trees),
        Ok(Err(sled::Error::Io(source))) => Err(OpenError::io(path, source)),
        Ok(Err(_)) | Err(_) => Err(OpenError::damaged(path, &"its log can't be read")),
    }
}

thread_local! {
    static OPENING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is opening a database, so that a panic is sled's way of saying "damaged" and will be reported as
/// that: a panic hook can then keep quiet.
#[must_use]
pub fn is_opening() -> bool {
    OPENING.get()
}

/// Leaves the marker, and makes what was just made durable: the files, their names, and the directory's own name.
fn mark(path: &Path) -> io::Result<()> {
    let mut marker = File::create(path.join(MARKER_FILE))?;
    writeln!(
        marker,
        "A jwt-server database lives here. First schema version: {SCHEMA}"
    )?;
    marker.sync_all()?;
    for name in [DATA_FILE, "conf"] {
        File::open(path.join(name))?.sync_all()?;
    }
    File::open(path)?.sync_all()?;
    match path.canonicalize()?.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// Exclusive use of a directory, given back when this is dropped or the process ends.
pub(super) struct DirectoryLock(
    #[expect(dead_code, reason = "the lock lives as long as the open file")] File,
);

impl DirectoryLock {
    fn take(path: &Path) -> Result<Self, OpenError> {
        let io_error = |source| OpenError::io(path, source);
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path.join(LOCK_FILE))
            .map_err(io_error)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let read = file.read_to_string(&mut holder).is_ok();
                let holder = holder.trim().to_owned();
                let is_a_number = !holder.is_empty() && holder.bytes().all(|b| b.is_ascii_digit());
                return Err(OpenError::Locked {
                    path: path.to_owned(),
                    holder: (read && is_a_number).then_some(holder),
                });
            }
            Err(TryLockError::Error(source)) => return Err(io_error(source)),
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(io_error)?;
        Ok(Self(file))
    }
}

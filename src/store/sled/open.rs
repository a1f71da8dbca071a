//! Opening a database directory: one owner, private permissions, a version that is known, and a message that a person
//! can act on when any of that fails. Nothing in the directory is repaired, replaced or started afresh.

use std::{
    cell::Cell,
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
};

use super::trees::Trees;

/// The version of the schema in the head of [`super`].
const SCHEMA: u32 = 1;
/// sled's own data file.
const DATA_FILE: &str = "db";
/// Holds the process id of the owner, and the lock that makes it one.
const LOCK_FILE: &str = "lock";
/// Stands in the directory once a database has been made there: without it an emptied data file would look like a new one.
const MARKER_FILE: &str = "schema";
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
    /// What is in the directory can't be read as a database of this server.
    #[error(
        "the database {} is damaged ({what}); nothing in it was changed. Move the directory away and put a backup in its place, or keep it and ask for help",
        path.display()
    )]
    Damaged {
        /// The directory, or the file in it.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
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

    pub(super) fn damaged(path: &Path, what: &impl ToString) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            what: what.to_string(),
        }
    }
}

pub(super) struct Opened {
    pub(super) trees: Trees,
    /// The data file, for syncing.
    pub(super) file: File,
    pub(super) lock: DirectoryLock,
}

pub(super) fn open(path: &Path, cache: u64) -> Result<Opened, OpenError> {
    let io_error = |source| OpenError::io(path, source);
    make_private_directory(path).map_err(io_error)?;
    let lock = DirectoryLock::take(path)?;
    let existed = path.join(MARKER_FILE).try_exists().map_err(io_error)?;
    check_data_file(path, existed)?;
    let trees = open_sled(path, cache)?;
    let unreadable = |error| OpenError::damaged(path, &error);
    match trees.schema().map_err(unreadable)? {
        Some(SCHEMA) => {}
        Some(found) => {
            let path = path.to_owned();
            return Err(OpenError::Newer { path, found });
        }
        None if existed => {
            return Err(OpenError::damaged(path, &"it was in use before and is empty now"));
        }
        None => trees
            .put_schema(SCHEMA)
            .and_then(|()| trees.flush())
            .map_err(unreadable)?,
    }
    let file = File::options()
        .write(true)
        .open(path.join(DATA_FILE))
        .map_err(io_error)?;
    if !existed {
        file.sync_all().map_err(io_error)?;
        mark(path).map_err(io_error)?;
    }
    Ok(Opened { trees, file, lock })
}

/// Made with mode 0700, or brought to it: the directory holds password hashes and perhaps the signing key.
fn make_private_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let mut permissions = fs::metadata(path)?.permissions();
    if permissions.mode() & 0o077 != 0 {
        permissions.set_mode(0o700);
        fs::set_permissions(path, permissions)?;
    }
    Ok(())
}

fn check_data_file(path: &Path, existed: bool) -> Result<(), OpenError> {
    let data = path.join(DATA_FILE);
    match fs::metadata(&data) {
        Ok(meta) if existed && meta.len() == 0 => Err(OpenError::damaged(&data, &"the file is empty")),
        Err(error) if error.kind() == io::ErrorKind::NotFound && existed => {
            Err(OpenError::damaged(&data, &"the file is missing"))
        }
        _ => Ok(()),
    }
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
        Ok(Err(error)) => Err(OpenError::damaged(path, &error)),
        Err(_) => Err(OpenError::damaged(path, &"its log can't be replayed")),
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
    for entry in fs::read_dir(path)? {
        File::open(entry?.path())?.sync_all()?;
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

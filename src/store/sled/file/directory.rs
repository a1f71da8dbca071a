//! The database directory: it is this server's, private, and used by one process at a time.

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, File, Metadata, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{
    entries::{self, LOCK_FILE, MARKER_FILE},
    owner, private, rescue,
};
use crate::store::error::{OpenError, shown};

/// Whether a database has been made in the directory.
pub(crate) fn is_marked(path: &Path) -> io::Result<bool> {
    path.join(MARKER_FILE).try_exists()
}

/// Makes the directory with mode 0700, or gives it that mode: it has password hashes and perhaps the signing key. Gives its files
/// mode 0600. A directory whose mode can't be changed, because it is another user's or its file system has no modes, stays as it
/// is.
///
/// # Errors
/// [`OpenError::NotOwner`] if its owner would be shut out. [`OpenError::Foreign`] if there are other things in it, unless it
/// `is_ours` already. [`OpenError::Inaccessible`] if it can't be made, read or changed.
pub(crate) fn make_private(path: &Path, is_ours: bool) -> Result<(), OpenError> {
    let io_error = |source| OpenError::inaccessible(path, source);
    if path.try_exists().map_err(io_error)? && !path.is_dir() {
        return Err(io_error(io::Error::other("it is not a directory")));
    }
    owner::check(path)?;
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(io_error)?;
    if !is_ours {
        for entry in fs::read_dir(path).map_err(io_error)? {
            let name = entry.map_err(io_error)?.file_name();
            if !entries::may_be_there(&name.to_string_lossy()) {
                return Err(OpenError::Foreign {
                    database: shown(path),
                    found: shown(name),
                });
            }
        }
    }
    let mut permissions = fs::metadata(path).map_err(io_error)?.permissions();
    if permissions.mode() & 0o077 != 0 {
        permissions.set_mode(0o700);
        match fs::set_permissions(path, permissions) {
            Err(error) if is_without_modes(&error) => {}
            changed => changed.map_err(io_error)?,
        }
    }
    entries::make_private(path).map_err(io_error)
}

/// Whether `error` says that the mode of a directory is not this user's to change, or that there is none.
fn is_without_modes(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported
    )
}

/// Removes snapshots that a kill left unfinished. sled writes a snapshot under such a name and renames it when it is whole. But
/// it also reads an unfinished one, as the newest, and then reports damage.
pub(crate) fn remove_unfinished_snapshots(path: &Path) -> io::Result<()> {
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

/// Removes settings of sled that a kill left unfinished in a new database. sled writes its settings and then a CRC-32 of them. If
/// the CRC is missing, sled takes the end of the settings for it and reports damage. Without the file sled writes it again.
pub(crate) fn remove_unfinished_settings(path: &Path) -> io::Result<()> {
    let settings = path.join(rescue::SETTINGS_FILE);
    let content = match fs::read(&settings) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        read => read?,
    };
    let is_whole = content
        .split_last_chunk()
        .is_some_and(|(settings, crc)| crc32fast::hash(settings) == u32::from_le_bytes(*crc));
    if is_whole {
        Ok(())
    } else {
        fs::remove_file(settings)
    }
}

/// Writes the marker, and makes durable what was just made: `files`, their names, and the directory's own name.
pub(crate) fn mark(path: &Path, files: &[&str]) -> io::Result<()> {
    for name in files {
        File::open(path.join(name))?.sync_all()?;
    }
    let mut marker = private::options()
        .create(true)
        .truncate(true)
        .write(true)
        .open(path.join(MARKER_FILE))?;
    writeln!(marker, "A jwt-server database lives here.")?;
    marker.sync_all()?;
    File::open(path)?.sync_all()?;
    // The parent may be unreadable to this process. Then the directory is not new either.
    let parent = path.canonicalize()?.parent().map(File::open);
    match parent.transpose() {
        Ok(Some(parent)) => parent.sync_all(),
        _ => Ok(()),
    }
}

/// The lock files that this process holds. A process id would not tell: two containers that share a directory may have the same.
static HELD: Mutex<BTreeSet<FileId>> = Mutex::new(BTreeSet::new());

/// The device and the inode of a file.
type FileId = (u64, u64);

/// Exclusive use of a directory, released when this is dropped or the process ends.
pub(crate) struct DirectoryLock {
    file: File,
    id: FileId,
}

impl DirectoryLock {
    /// Takes the lock of the directory at `path`.
    ///
    /// # Errors
    /// [`OpenError::OpenHere`] if this process has it, [`OpenError::Locked`] if another one has, [`OpenError::Inaccessible`] if
    /// the lock file can't be used.
    pub(crate) fn take(path: &Path) -> Result<Self, OpenError> {
        let io_error = |source| OpenError::inaccessible(path, source);
        let mut file = private::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path.join(LOCK_FILE))
            .map_err(io_error)?;
        let id = file_id(&file.metadata().map_err(io_error)?);
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) if held().contains(&id) => {
                return Err(OpenError::OpenHere {
                    database: shown(path),
                });
            }
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let read = file.read_to_string(&mut holder).is_ok();
                let holder = holder.trim().to_owned();
                let is_a_number = !holder.is_empty() && holder.bytes().all(|b| b.is_ascii_digit());
                return Err(OpenError::Locked {
                    database: shown(path),
                    holder: (read && is_a_number).then_some(holder),
                });
            }
            Err(TryLockError::Error(source)) => return Err(io_error(source)),
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(io_error)?;
        held().insert(id);
        Ok(Self { file, id })
    }

    /// Checks that this locks the directory that is at `path` now.
    ///
    /// # Errors
    /// Another directory is there, or none.
    pub(crate) fn is_of(&self, path: &Path) -> io::Result<()> {
        if file_id(&self.file.metadata()?) == file_id(&fs::metadata(path.join(LOCK_FILE))?) {
            Ok(())
        } else {
            Err(io::Error::other("another directory is in its place"))
        }
    }
}

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        held().remove(&self.id);
    }
}

fn file_id(file: &Metadata) -> FileId {
    (file.dev(), file.ino())
}

fn held() -> MutexGuard<'static, BTreeSet<FileId>> {
    // Each use leaves the set whole.
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

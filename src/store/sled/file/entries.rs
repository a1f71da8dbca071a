//! What a database directory may contain: the database's own files, and what file systems and other programs put into any
//! directory.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use super::{rescue, staging, tally};

/// Has the lock of the owning process, and its id.
pub(crate) const LOCK_FILE: &str = "lock";
/// Marks a directory in which a database has been made. Without it, an emptied data file would look like a new one.
pub(crate) const MARKER_FILE: &str = "schema";
/// sled's folder for long values.
const BLOBS: &str = "blobs";

/// Whether a directory in which no database has been made may have an entry of this name.
pub(crate) fn may_be_there(name: &str) -> bool {
    // A start that was cut short leaves sled's files and no marker.
    [LOCK_FILE, tally::FILE, BLOBS].contains(&name) || rescue::is_sled_file(name) || is_harmless(name)
}

/// Whether something else than a user puts an entry of this name into a directory.
fn is_harmless(name: &str) -> bool {
    const NAMES: [&str; 21] = [
        // The socket of a server that was killed.
        "control.sock",
        // git leaves its placeholder.
        ".gitignore",
        ".gitkeep",
        // File systems and their snapshots.
        "lost+found",
        ".snapshot",
        ".snapshots",
        ".zfs",
        ".fscrypt",
        // Synchronisation.
        ".stfolder",
        ".stignore",
        ".stversions",
        "@eaDir",
        // Desktops.
        ".DS_Store",
        ".Spotlight-V100",
        ".fseventsd",
        ".Trashes",
        ".directory",
        "Thumbs.db",
        "desktop.ini",
        "System Volume Information",
        "$RECYCLE.BIN",
    ];
    // A file that was removed while it was open on NFS, macOS's other half of a file, and the waste of a user.
    NAMES.contains(&name)
        || [".nfs", "._", ".Trash-"]
            .iter()
            .any(|start| name.starts_with(start))
}

/// The paths of the database's own files and folders in `directory`.
pub(crate) fn own(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_file = [LOCK_FILE, MARKER_FILE, tally::FILE, staging::FILE].contains(&&*name)
            || rescue::is_sled_file(&name);
        if is_file || name == BLOBS || rescue::FOLDERS.contains(&&*name) {
            paths.push(entry.path());
        }
    }
    Ok(paths)
}

/// Takes the database's files in `directory` from all other users, as far as they are this user's.
pub(crate) fn make_private(directory: &Path) -> io::Result<()> {
    for path in own(directory)? {
        let found = fs::symlink_metadata(&path)?;
        if found.is_file() && found.permissions().mode() & 0o077 != 0 {
            // Not every file system has modes, and not every file is this user's.
            let _ = fs::set_permissions(&path, Permissions::from_mode(0o600));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_user_put_there_is_no_obstacle() {
        for name in [
            "lost+found",
            ".snapshot",
            ".DS_Store",
            ".stfolder",
            "._db",
            ".nfs0000000000a1",
            ".Trash-1000",
            "snap.0001",
            "db",
            "lock",
        ] {
            assert!(may_be_there(name), "{name}");
        }
        for name in ["letters.txt", ".bashrc", ".ssh", "lost", "rescue", "DB", ""] {
            assert!(!may_be_there(name), "{name}");
        }
    }
}

//! A copy of the database files while sled opens them. sled clears what lies behind damage before this server can refuse the
//! database, and one flipped byte would be a total loss. So a database that may be damaged is opened beside a copy, and put back
//! if it is refused.
//!
//! The folder `rescue` is a whole, synced copy of a database to which nothing has been written since. A start puts back one that
//! an interrupted start has left. While it is copied or removed, the folder is called `rescue.part`.

use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use super::log_file::DATA_FILE;

/// The file with sled's own settings.
pub(crate) const SETTINGS_FILE: &str = "conf";
const WHOLE: &str = "rescue";
const PART: &str = "rescue.part";
/// The folders that a copy may have.
pub(crate) const FOLDERS: [&str; 2] = [WHOLE, PART];

/// A whole copy.
pub(crate) struct Rescue(PathBuf);

impl Rescue {
    /// Returns the copy that an interrupted start has left in `directory`, if there is one.
    pub(crate) fn left(directory: &Path) -> io::Result<Option<Self>> {
        let left = directory.join(WHOLE).try_exists()?;
        Ok(left.then(|| Self(directory.to_owned())))
    }

    /// Copies every file of sled in `directory`.
    pub(crate) fn copy(directory: &Path) -> io::Result<Self> {
        let part = directory.join(PART);
        remove(&part)?;
        let copied = copy_into(&part, directory).and_then(|()| fs::rename(&part, directory.join(WHOLE)));
        if let Err(error) = copied {
            // A partial copy takes room, which may be what was missing.
            let _ = remove(&part);
            return Err(error);
        }
        Ok(Self(directory.to_owned()))
    }

    /// Restores the files, which must not be open, and removes the copy. If it fails, the copy stays, and the next start tries again.
    pub(crate) fn put_back(self) -> io::Result<()> {
        let folder = self.0.join(WHOLE);
        let copied = sled_files(&folder)?;
        for name in sled_files(&self.0)? {
            if !copied.contains(&name) {
                fs::remove_file(self.0.join(name))?;
            }
        }
        for name in &copied {
            // Copied and not moved: a start that is cut short here must leave the copy whole.
            fs::copy(folder.join(name), self.0.join(name))?;
            File::open(self.0.join(name))?.sync_all()?;
        }
        self.discard()
    }

    /// Removes the copy of a database that is whole. Nothing may be written before this returns: the next start would put the copy
    /// back over it.
    pub(crate) fn discard(self) -> io::Result<()> {
        fs::rename(self.0.join(WHOLE), self.0.join(PART))?;
        File::open(&self.0)?.sync_all()?;
        remove(&self.0.join(PART))
    }
}

fn copy_into(part: &Path, directory: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(part)?;
    for name in sled_files(directory)? {
        let copy = part.join(&name);
        fs::copy(directory.join(&name), &copy)?;
        File::open(copy)?.sync_all()?;
    }
    File::open(part)?.sync_all()
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The names of sled's own files. Its folder `blobs` is for values longer than any of this server.
fn sled_files(directory: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if is_sled_file(&name) && entry.file_type()?.is_file() {
            names.push(name);
        }
    }
    Ok(names)
}

pub(crate) fn is_sled_file(name: &str) -> bool {
    name == DATA_FILE || name == SETTINGS_FILE || name.starts_with("snap.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
        let mut names = sled_files(directory).unwrap();
        names.sort();
        let read = |name: String| {
            let bytes = fs::read(directory.join(&name)).unwrap();
            (name, bytes)
        };
        names.into_iter().map(read).collect()
    }

    fn damaged() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, content) in [("db", "damaged"), ("conf", "c"), ("snap.01", "s"), ("lock", "7")] {
            fs::write(directory.path().join(name), content).unwrap();
        }
        directory
    }

    /// Changes the files as sled does when it finds damage.
    fn clear(directory: &Path) {
        fs::write(directory.join("db"), "cleared").unwrap();
        fs::remove_file(directory.join("snap.01")).unwrap();
        fs::write(directory.join("snap.02"), "new").unwrap();
    }

    #[test]
    fn put_back_restores_what_was_copied() {
        let directory = damaged();
        let before = files(directory.path());
        let rescue = Rescue::copy(directory.path()).unwrap();
        clear(directory.path());
        rescue.put_back().unwrap();
        assert_eq!(files(directory.path()), before);
        assert!(Rescue::left(directory.path()).unwrap().is_none());
    }

    #[test]
    fn the_copy_of_an_interrupted_start_can_be_put_back() {
        let directory = damaged();
        let before = files(directory.path());
        drop(Rescue::copy(directory.path()).unwrap());
        clear(directory.path());
        // A second start was cut short halfway.
        fs::copy(directory.path().join("rescue/db"), directory.path().join("db")).unwrap();
        let left = Rescue::left(directory.path()).unwrap().unwrap();
        left.put_back().unwrap();
        assert_eq!(files(directory.path()), before);
    }

    #[test]
    fn a_partial_or_discarded_copy_is_never_put_back() {
        let directory = damaged();
        fs::create_dir(directory.path().join(PART)).unwrap();
        fs::write(directory.path().join(PART).join("db"), "half").unwrap();
        assert!(Rescue::left(directory.path()).unwrap().is_none());
        let rescue = Rescue::copy(directory.path()).unwrap();
        assert_eq!(files(&directory.path().join(WHOLE)), files(directory.path()));
        rescue.discard().unwrap();
        assert!(Rescue::left(directory.path()).unwrap().is_none());
        assert!(!directory.path().join(PART).exists());
    }
}

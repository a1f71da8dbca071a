//! A copy of the database's files while sled opens them. sled clears what lies behind damage before anybody can refuse it,
//! which would turn one flipped byte into a total loss; so a database that may be damaged is opened beside a copy, and
//! put back as it was if it has to be refused.
//!
//! The folder `rescue` is a copy that is whole and on the disk, of a database to which nothing has been written since: one
//! that an interrupted start has left is put back before anything else. Until it is whole, and while it is removed, the
//! folder is called `rescue.part`.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use super::log_file::DATA_FILE;

/// sled's file of its own settings.
pub(crate) const SETTINGS_FILE: &str = "conf";
const WHOLE: &str = "rescue";
const PART: &str = "rescue.part";

/// A copy that is whole.
pub(crate) struct Rescue(PathBuf);

impl Rescue {
    /// The copy that an interrupted start has left in `directory`.
    pub(crate) fn left(directory: &Path) -> io::Result<Option<Self>> {
        let left = directory.join(WHOLE).try_exists()?;
        Ok(left.then(|| Self(directory.to_owned())))
    }

    /// Copies every file of sled's in `directory`.
    pub(crate) fn copy(directory: &Path) -> io::Result<Self> {
        let part = directory.join(PART);
        remove(&part)?;
        let copied = copy_into(&part, directory).and_then(|()| fs::rename(&part, directory.join(WHOLE)));
        if let Err(error) = copied {
            // What there is of it takes room that may be the very thing that was missing.
            let _ = remove(&part);
            return Err(error);
        }
        Ok(Self(directory.to_owned()))
    }

    /// Makes the files what they were, and removes the copy. Nothing may have them open any more. If it fails, the copy stays
    /// for the next start to try again.
    pub(crate) fn put_back(self) -> io::Result<()> {
        let folder = self.0.join(WHOLE);
        let copied = sled_files(&folder)?;
        for name in sled_files(&self.0)? {
            if !copied.contains(&name) {
                fs::remove_file(self.0.join(name))?;
            }
        }
        for name in &copied {
            // Copied once more, not moved: a start that is cut short here must find the copy whole.
            fs::copy(folder.join(name), self.0.join(name))?;
            File::open(self.0.join(name))?.sync_all()?;
        }
        self.discard()
    }

    /// Removes the copy, because the database is good. Until that is done nothing may be written: the next start would put
    /// the copy back over it.
    pub(crate) fn discard(self) -> io::Result<()> {
        fs::rename(self.0.join(WHOLE), self.0.join(PART))?;
        File::open(&self.0)?.sync_all()?;
        remove(&self.0.join(PART))
    }
}

fn copy_into(part: &Path, directory: &Path) -> io::Result<()> {
    fs::create_dir(part)?;
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

/// The names of sled's own files. Its folder `blobs` is for values that are longer than any of this server's.
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

    /// What sled makes of it.
    fn clear(directory: &Path) {
        fs::write(directory.join("db"), "cleared").unwrap();
        fs::remove_file(directory.join("snap.01")).unwrap();
        fs::write(directory.join("snap.02"), "new").unwrap();
    }

    #[test]
    fn what_is_put_back_is_what_was_copied() {
        let directory = damaged();
        let before = files(directory.path());
        let rescue = Rescue::copy(directory.path()).unwrap();
        clear(directory.path());
        rescue.put_back().unwrap();
        assert_eq!(files(directory.path()), before);
        assert!(Rescue::left(directory.path()).unwrap().is_none());
    }

    #[test]
    fn a_copy_that_an_interrupted_start_left_can_still_be_put_back() {
        let directory = damaged();
        let before = files(directory.path());
        drop(Rescue::copy(directory.path()).unwrap());
        clear(directory.path());
        // Half of it done by a start that was cut short in turn.
        fs::copy(directory.path().join("rescue/db"), directory.path().join("db")).unwrap();
        let left = Rescue::left(directory.path()).unwrap().unwrap();
        left.put_back().unwrap();
        assert_eq!(files(directory.path()), before);
    }

    #[test]
    fn a_copy_that_is_not_whole_or_not_wanted_any_more_is_never_put_back() {
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

//! A copy of the database's files while sled opens them. sled clears what lies behind damage before anybody can refuse it,
//! which would turn one flipped byte into a total loss; so a database that may be damaged is opened beside a copy, and
//! put back as it was if it has to be refused.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

const FOLDER: &str = "rescue";

/// The copy. It is thrown away unless it is [put back](Self::put_back).
pub(super) struct Rescue {
    directory: PathBuf,
    files: Vec<String>,
}

impl Rescue {
    /// Copies every file of sled's in `directory`. A copy that an interrupted start has left is replaced.
    pub(super) fn copy(directory: &Path) -> io::Result<Self> {
        let rescue = Self {
            directory: directory.to_owned(),
            files: sled_files(directory)?,
        };
        discard(directory)?;
        fs::create_dir(rescue.folder())?;
        for name in &rescue.files {
            fs::copy(directory.join(name), rescue.folder().join(name))?;
        }
        Ok(rescue)
    }

    /// Makes the files what they were. Nothing may have them open any more.
    pub(super) fn put_back(self) -> io::Result<()> {
        for name in sled_files(&self.directory)? {
            if !self.files.contains(&name) {
                fs::remove_file(self.directory.join(name))?;
            }
        }
        for name in &self.files {
            fs::rename(self.folder().join(name), self.directory.join(name))?;
        }
        Ok(())
    }

    fn folder(&self) -> PathBuf {
        self.directory.join(FOLDER)
    }
}

impl Drop for Rescue {
    fn drop(&mut self) {
        if let Err(error) = discard(&self.directory) {
            tracing::warn!(%error, folder = %self.folder().display(), "a copy that is no longer needed could not be removed");
        }
    }
}

fn discard(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory.join(FOLDER)) {
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

pub(super) fn is_sled_file(name: &str) -> bool {
    name == "db" || name == "conf" || name.starts_with("snap.")
}

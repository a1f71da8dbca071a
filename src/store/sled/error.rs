//! Why a directory can't be opened as a database, in words that a person can act on.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::store::StoreError;

/// The version of the schema in the head of [`super`].
pub(super) const SCHEMA: u32 = 2;
/// The first version, which is upgraded.
pub(super) const FIRST_SCHEMA: u32 = 1;

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
    #[error("the database directory {} can't be used: {source}; it must be a directory that this user may write to, on a disk with room", path.display())]
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

/// What the system said, if it was the system that failed.
pub(super) fn io_kind(error: &StoreError) -> Option<io::ErrorKind> {
    let StoreError::Failed(cause) = error else {
        return None;
    };
    match cause.downcast_ref::<sled::Error>() {
        Some(sled::Error::Io(source)) => Some(source.kind()),
        Some(_) => None,
        None => cause.downcast_ref::<io::Error>().map(io::Error::kind),
    }
}

impl OpenError {
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        Self::Inaccessible { path, source }
    }

    /// What it means that the database could not be read, or written, while it was opened.
    pub(super) fn store(path: &Path, error: &StoreError) -> Self {
        let StoreError::Failed(cause) = error else {
            return Self::damaged(path, error);
        };
        match cause.downcast_ref::<sled::Error>() {
            Some(sled::Error::Io(source)) => {
                Self::io(path, io::Error::new(source.kind(), source.to_string()))
            }
            _ => Self::damaged(path, &"its log can't be read"),
        }
    }

    pub(super) fn damaged(path: &Path, what: &impl ToString) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            what: what.to_string(),
            untouched: true,
        }
    }
}

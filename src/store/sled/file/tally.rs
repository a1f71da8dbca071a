//! A count of the acknowledged groups of writes, kept beside the database as well as in it. sled takes damage in its log for a
//! write that a crash cut short, and drops everything after it. A database that counts fewer groups than its tally has lost
//! something acknowledged, such as a log-out, and must not be opened.
//!
//! The file is written after each sync and is not synced itself: after a power cut it may be behind, never ahead.

use std::{
    fs::File,
    io::{self, ErrorKind, Read},
    os::unix::fs::FileExt,
    path::Path,
};

use super::private;

pub(crate) const FILE: &str = "tally";

/// How the database was left, and how many groups of writes it had acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CommitTally {
    pub(crate) stopped_cleanly: bool,
    pub(crate) commits: u64,
}

/// The open file.
pub(crate) struct Tally(File);

impl Tally {
    /// Reads the tally in `directory`. Without one, nothing was acknowledged.
    ///
    /// # Errors
    /// Of kind `InvalidData` if the file is no tally.
    pub(crate) fn read(directory: &Path) -> io::Result<CommitTally> {
        let none = CommitTally {
            stopped_cleanly: false,
            commits: 0,
        };
        let mut text = String::new();
        match File::open(directory.join(FILE)) {
            Ok(mut file) => file.read_to_string(&mut text)?,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(none),
            Err(error) => return Err(error),
        };
        if text.is_empty() {
            // A power cut came right after the file was made.
            return Ok(none);
        }
        let parsed = text.trim_end().split_once(' ').and_then(|(state, commits)| {
            let stopped_cleanly = match state {
                "clean" => true,
                "open" => false,
                _ => return None,
            };
            Some(CommitTally {
                stopped_cleanly,
                commits: commits.trim().parse().ok()?,
            })
        });
        parsed.ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "its tally can't be read"))
    }

    /// Opens the tally in `directory` and marks the database as open.
    pub(crate) fn open(directory: &Path, commits: u64) -> io::Result<Self> {
        let file = private::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(directory.join(FILE))?;
        let tally = Self(file);
        tally.write(CommitTally {
            stopped_cleanly: false,
            commits,
        })?;
        tally.0.sync_data()?;
        Ok(tally)
    }

    /// Writes `count` as a text of constant length, so that the file never has a part of one.
    pub(crate) fn write(&self, count: CommitTally) -> io::Result<()> {
        let state = if count.stopped_cleanly { "clean" } else { "open" };
        self.0
            .write_all_at(format!("{state:<5} {:020}\n", count.commits).as_bytes(), 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_reads_back_what_it_wrote() {
        let directory = tempfile::tempdir().unwrap();
        let nothing = CommitTally {
            stopped_cleanly: false,
            commits: 0,
        };
        assert_eq!(Tally::read(directory.path()).unwrap(), nothing);
        let tally = Tally::open(directory.path(), 7).unwrap();
        let opened = CommitTally {
            stopped_cleanly: false,
            commits: 7,
        };
        assert_eq!(Tally::read(directory.path()).unwrap(), opened);
        for stopped_cleanly in [true, false] {
            let count = CommitTally {
                stopped_cleanly,
                commits: u64::MAX,
            };
            tally.write(count).unwrap();
            assert_eq!(Tally::read(directory.path()).unwrap(), count);
        }
    }

    #[test]
    fn a_text_that_is_no_tally_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        for garbage in ["x", "clean", "clean x", "closed 00000000000000000007", "open -1"] {
            std::fs::write(directory.path().join(FILE), garbage).unwrap();
            assert!(Tally::read(directory.path()).is_err(), "{garbage:?}");
        }
        std::fs::write(directory.path().join(FILE), "").unwrap();
        assert_eq!(Tally::read(directory.path()).unwrap().commits, 0);
    }
}

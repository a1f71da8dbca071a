//! How a store fails: [`OpenError`] when it is opened, [`StoreError`] afterwards. Neither names a backend; the cause of a
//! failure is kept as it came, for the log.

use std::{error::Error, ffi::OsStr, fmt, io, path::Path, sync::Arc};

use rustix::io::Errno;

use crate::config::ConfigError;

/// A read or a write of the store failed. The cause goes to the log, never to a client.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The database could not read or write.
    #[error("the database failed: {0}")]
    Failed(Arc<dyn Error + Send + Sync>),
    /// A record exists but can't be read.
    #[error("the database has a record that can't be read: {0}")]
    Unreadable(String),
    /// A newer version of this server wrote a record.
    #[error(
        "the database has a record that a newer version of jwt-server wrote: {what} is of version {found}, and this one knows up to {known}"
    )]
    NewerRecord {
        /// Which record.
        what: String,
        /// The version of the record.
        found: u32,
        /// The latest version that this server knows.
        known: u32,
    },
    /// The store's disk has no room, or can't be written. The store goes on answering from memory and refuses every other
    /// read and write. It resumes by itself once there is room.
    #[error("the database is not read or written until there is room on its disk")]
    NoRoom,
    /// The store takes no writes any more: its writing thread has ended, after an error that is in the log.
    #[error("the database takes no writes until the server is restarted")]
    Closed,
}

impl StoreError {
    /// Wraps the error of a backend.
    pub fn failed(cause: impl Error + Send + Sync + 'static) -> Self {
        Self::Failed(Arc::new(cause))
    }

    /// Whether the log has the cause already, from the moment at which this state began. The caller has nothing to add.
    #[must_use]
    pub fn is_logged(&self) -> bool {
        matches!(self, Self::NoRoom | Self::Closed)
    }
}

/// A store can't be opened. Each variant says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A value of the configuration is not accepted.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Another process has it.
    #[error(
        "the database {database} is in use by another process{}; stop that one first, or give this one another directory with --store.path",
        holder.as_ref().map(|id| format!(" (process {id})")).unwrap_or_default()
    )]
    Locked {
        /// The name of the database: its directory.
        database: String,
        /// The id of the other process, if it is known.
        holder: Option<String>,
    },
    /// This process has it open already.
    #[error(
        "the database {database} is open in this process already; use what has it open, such as the accounts of an Auth (Auth::accounts), or drop that first"
    )]
    OpenHere {
        /// The name of the database: its directory.
        database: String,
    },
    /// The directory can't be made, read or written.
    #[error("the database directory {database} can't be used: {source}{}", advice(source))]
    Inaccessible {
        /// The name of the database: its directory.
        database: String,
        /// What the system said.
        source: io::Error,
    },
    /// A part of it is another user's, who could not use what this process writes, or whose file this process may not write.
    #[error("{file} belongs to user {owner}, and this process runs as {}", way_out(database, *owner, *user))]
    NotOwner {
        /// The name of the database: its directory.
        database: String,
        /// The directory, a file in it, or the directory in which it is to be made.
        file: String,
        /// The user whose it is.
        owner: u32,
        /// The user as whom this process runs.
        user: u32,
    },
    /// The directory has other things in it.
    #[error(
        "the directory {database} is not a database: it has a {found} in it; name another directory with --store.path"
    )]
    Foreign {
        /// The directory.
        database: String,
        /// The name of an entry that no database has.
        found: String,
    },
    /// The database can't be read.
    #[error(
        "the database {database} is damaged: {what}. {}. Move the directory away and put a backup in its place",
        if *untouched { "It was left as it was" } else { "What lay behind the damage may have been cleared in the attempt" }
    )]
    Damaged {
        /// The name of the database, or of the file in it.
        database: String,
        /// What is wrong with it.
        what: String,
        /// Whether its files are unchanged.
        untouched: bool,
    },
    /// A newer version of this server wrote it.
    #[error(
        "the database {database} has schema version {found}, and this version of jwt-server knows up to {known}; use the version that wrote it"
    )]
    Newer {
        /// The name of the database.
        database: String,
        /// The version of the database.
        found: u32,
        /// The latest version that this server knows.
        known: u32,
    },
    /// A newer version of this server wrote a record in it.
    #[error(
        "the database {database} has a record that a newer version of jwt-server wrote: {what} is of version {found}, and this version knows up to {known}; use the version that wrote it"
    )]
    NewerRecord {
        /// The name of the database.
        database: String,
        /// Which record.
        what: String,
        /// The version of the record.
        found: u32,
        /// The latest version that this server knows.
        known: u32,
    },
    /// The runtime stopped meanwhile.
    #[error("the opening of the database was interrupted")]
    Interrupted,
}

impl OpenError {
    /// The directory can't be used.
    pub(in crate::store) fn inaccessible(path: &Path, source: io::Error) -> Self {
        Self::Inaccessible {
            database: shown(path),
            source,
        }
    }

    /// The database is damaged, and was not touched.
    pub(in crate::store) fn damaged(path: &Path, what: &impl fmt::Display) -> Self {
        Self::Damaged {
            database: shown(path),
            what: what.to_string(),
            untouched: true,
        }
    }
}

/// What to do about `error`, as the end of a sentence.
fn advice(error: &io::Error) -> &'static str {
    let is = |errno: Errno| error.raw_os_error() == Some(errno.raw_os_error());
    if is(Errno::NOLCK) {
        "; its file system has no locks, as NFS has none without its lock service: mount it with locks, or use a local disk"
    } else if is(Errno::INVAL) {
        "; its file system can't make a write durable (fsync), as some network file systems can't: use a local disk"
    } else if is(Errno::NOTSUP) || is(Errno::NOSYS) {
        "; its file system lacks what a database needs: use a local disk"
    } else if is(Errno::ROFS) {
        "; mount it so that it can be written"
    } else if is(Errno::NOSPC) || is(Errno::DQUOT) {
        "; make room on its disk"
    } else if error.raw_os_error().is_none() && error.kind() == io::ErrorKind::Other {
        // The error is this server's own, and says what to do.
        ""
    } else {
        "; it must be a directory that this user may write to, on a disk with room"
    }
}

fn way_out(database: &str, owner: u32, user: u32) -> String {
    if user == 0 {
        format!(
            "root: user {owner} could not use what root writes there. Run it as that user (sudo -u '#{owner}' jwt-server …), or give the database to root (chown -R root {database})"
        )
    } else {
        format!(
            "user {user}, which may not write it. Run it as user {owner}, or give the database to this user (chown -R {user} {database})"
        )
    }
}

/// A path or a name in a message: what a terminal would not show, or would obey, is escaped.
pub(in crate::store) fn shown(name: impl AsRef<OsStr>) -> String {
    let mut text = String::new();
    for c in name.as_ref().to_string_lossy().chars() {
        match c {
            '"' | '\'' | '\\' => text.push(c),
            _ => text.extend(c.escape_debug()),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advice_is_about_what_is_really_wrong() {
        for (errno, said) in [
            (Errno::INVAL, "can't make a write durable (fsync)"),
            (Errno::NOLCK, "no locks"),
            (Errno::NOTSUP, "use a local disk"),
            (Errno::ROFS, "mount it"),
            (Errno::NOSPC, "make room"),
            (Errno::DQUOT, "make room"),
            (Errno::ACCESS, "this user may write to"),
        ] {
            let error = io::Error::from_raw_os_error(errno.raw_os_error());
            let message = OpenError::inaccessible(Path::new("data"), error).to_string();
            assert!(message.contains(said), "{message}");
        }
        let own = OpenError::inaccessible(Path::new("data"), io::Error::other("its own reason"));
        assert_eq!(
            own.to_string(),
            "the database directory data can't be used: its own reason"
        );
    }

    #[test]
    fn a_shown_name_is_one_line_that_no_terminal_obeys() {
        assert_eq!(shown("it's a \"name\" é.txt"), "it's a \"name\" é.txt");
        let odd = shown("a\u{1b}[2J\n\u{202e}\u{200b}b");
        assert_eq!(odd, "a\\u{1b}[2J\\n\\u{202e}\\u{200b}b");
    }
}

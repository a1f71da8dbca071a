//! Why a line is no user, and why a file can't be read at all.

use super::{columns::COLUMNS, hash::HashProblem};
use crate::domain::{AttributeError, NameError, UsernameError};

/// The longest line, in bytes.
pub(super) const MAX_LINE: usize = 64 * 1024;

/// How many characters of a text that is wrong are shown.
const SHOWN: usize = 100;

/// The beginning of `text`, which is shown for the whole.
pub(super) fn beginning(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Why one line is no user. The lines behind it can still be read. A text of the line is in it only by its first 100 characters.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The line is longer than any user.
    #[error("the line is longer than {MAX_LINE} bytes")]
    TooLong,
    /// The line is not text.
    #[error("the line is not UTF-8")]
    NotUtf8,
    /// The line is not JSON, or not an object of the known fields.
    #[error("{detail} (column {column})")]
    Json {
        /// Where in the line, from 1.
        column: usize,
        /// What is wrong.
        detail: String,
    },
    /// The line has more or fewer cells than the header.
    #[error("the line has {found} cells, and the header has {expected}")]
    Cells {
        /// In the line.
        found: u64,
        /// In the header.
        expected: u64,
    },
    /// The line of an htpasswd file has no colon.
    #[error("there is no colon between a username and a hash")]
    NoColon,
    /// A field that each user needs.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// Not a username.
    #[error("{0:?} is no username. {1}")]
    Username(String, UsernameError),
    /// Not a hash that can be taken.
    #[error(transparent)]
    Hash(#[from] HashProblem),
    /// Not a role.
    #[error("{0:?} is no role: a role has 1 to 32 of A-Z, 0-9, _ and -, and starts with a letter")]
    Role(String),
    /// The end of a role that the user does not have.
    #[error("role_ends has {0:?}, and roles has it not")]
    EndWithoutRole(String),
    /// Not a moment.
    #[error("the end of a role is {0:?}, and must be like 2026-11-21T19:53:32Z, or seconds since 1970")]
    RoleEnd(String),
    /// Not true or false.
    #[error("{0} is {1:?}, and must be true or false")]
    NoTruth(&'static str, String),
    /// Not attributes.
    #[error("attributes: {0}")]
    Attributes(AttributeError),
    /// Not a display name.
    #[error("display_name: {0}")]
    DisplayName(NameError),
    /// Not a moment.
    #[error("created_at is {0:?}, and must be like 2026-11-21T19:53:32Z, or seconds since 1970")]
    CreatedAt(String),
    /// Not an id.
    #[error("id is {0:?}, and must be a UUID")]
    Id(String),
    /// The same user stands in the file before.
    #[error("{what} {name} stands in line {first} already")]
    Twice {
        /// `user` or `id`.
        what: &'static str,
        /// The username or the id.
        name: String,
        /// The line in which it stands first.
        first: u64,
    },
}

/// Why no user can be read from a file.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file can't be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// UTF-16, as some editors and shells on Windows write.
    #[error("the file is UTF-16, and must be UTF-8")]
    Utf16,
    /// Nothing to read.
    #[error("there is no user in the file")]
    Empty,
    /// The first line is neither an object of JSON, nor a header of CSV, nor of htpasswd.
    #[error(
        "the format is unknown: the first line must be a JSON object, or a CSV header with username in it, or NAME:HASH"
    )]
    UnknownFormat,
    /// A row of CSV is longer than any user, so it is not known where it ends.
    #[error(
        "the row that begins in line {0} has more than {MAX_LINE} bytes: perhaps a quote is opened there and not closed"
    )]
    RowTooLong(u64),
    /// A header of CSV with a column that is unknown, missing or there twice.
    #[error("the header has {0}; the columns are {known}", known = COLUMNS.join(","))]
    Header(String),
}

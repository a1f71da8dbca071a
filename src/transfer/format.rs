//! The formats that an import takes, and how they are told apart.

use std::io::BufRead;

use super::{columns::COLUMNS, lines::read_bounded, problem::ReadError};

/// How a file has its users.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A JSON object a line.
    JsonLines,
    /// A header, then a row a user (RFC 4180). Cells are separated by this character.
    Csv {
        /// A comma, a semicolon or a tab.
        separator: u8,
    },
    /// `NAME:HASH` a line, as Apache's htpasswd writes them.
    Htpasswd,
}

/// How many bytes of blank lines and comments may stand in front of the first user.
const MAX_HEAD: usize = 1 << 20;

/// The format of a text, and what was read of it to tell. The caller reads that again, in front of the rest.
pub(super) fn tell(input: &mut impl BufRead) -> Result<(Format, Vec<u8>), ReadError> {
    let mut head = Vec::new();
    let mut begin = 0;
    let mut has_comment = false;
    loop {
        if read_bounded(input, &mut head)? == 0 {
            return Err(ReadError::Empty);
        }
        if begin == 0 {
            without_mark(&mut head)?;
        }
        let line = head[begin..].trim_ascii();
        if line.starts_with(b"#") {
            has_comment = true;
        } else if !line.is_empty() {
            return match format_of(line)? {
                // The rows may begin with that character too.
                Format::Csv { .. } if has_comment => {
                    Err(ReadError::Header("a comment in front of it".into()))
                }
                format => Ok((format, head)),
            };
        }
        begin = head.len();
        if begin > MAX_HEAD {
            return Err(ReadError::UnknownFormat);
        }
    }
}

/// Removes a byte order mark from the front of a text.
fn without_mark(head: &mut Vec<u8>) -> Result<(), ReadError> {
    if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
        return Err(ReadError::Utf16);
    }
    if head.starts_with("\u{feff}".as_bytes()) {
        head.drain(..'\u{feff}'.len_utf8());
    }
    Ok(())
}

fn format_of(line: &[u8]) -> Result<Format, ReadError> {
    if line.starts_with(b"{") {
        return Ok(Format::JsonLines);
    }
    for separator in [b',', b';', b'\t'] {
        let mut cells = line.split(|byte| *byte == separator);
        if cells.any(|cell| column(cell) == Some("username")) {
            return Ok(Format::Csv { separator });
        }
    }
    if line.contains(&b':') {
        return Ok(Format::Htpasswd);
    }
    Err(ReadError::UnknownFormat)
}

/// The column with this name, which may stand in quotes, in letters of either case.
pub(super) fn column(name: &[u8]) -> Option<&'static str> {
    let name = name.trim_ascii();
    let bare = name.strip_prefix(b"\"").and_then(|name| name.strip_suffix(b"\""));
    let name = bare.unwrap_or(name);
    COLUMNS
        .into_iter()
        .find(|known| known.as_bytes().eq_ignore_ascii_case(name))
}

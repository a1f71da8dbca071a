//! Reads the users of a file, line by line. Besides the line that is read, it keeps the hash and the line of each name and of each
//! id. With the spare room of the maps, that is 20 to 40 bytes for each of them.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    io::{self, BufRead, Chain, Cursor, Read},
};

use super::{
    columns::COLUMNS,
    entry::Entry,
    fields::{Fields, Moment},
    format::{Format, column, tell},
    lines::Lines,
    problem::{MAX_LINE, Problem, ReadError, beginning},
};

/// One line that should be a user.
#[derive(Debug, PartialEq, Eq)]
pub struct Line {
    /// Where the user begins, counted from 1.
    pub number: u64,
    /// The user, or why there is none.
    pub user: Result<Entry, Problem>,
}

/// The users of a file. A name or an id that stands twice is a [`Problem`] of the second line. Blank lines, and comments of
/// htpasswd, are passed over.
pub struct Reader<R> {
    format: Format,
    source: Source<Input<R>>,
    hasher: RandomState,
    /// The line of each name and of each id. Hashes stand for them: their key is random, so no choice of names makes two the same.
    names: HashMap<u64, u64>,
    ids: HashMap<u64, u64>,
}

/// The number of a line, and what it says.
type Numbered = (u64, Result<Fields, Problem>);
/// What was read to tell the format, and then the rest.
type Input<R> = Chain<Cursor<Vec<u8>>, R>;

enum Source<R> {
    JsonLines(Lines<R>),
    Csv(Rows<R>),
    Htpasswd(Lines<R>),
}

struct Rows<R> {
    reader: csv::Reader<Bounded<R>>,
    /// What each column is.
    columns: Vec<&'static str>,
}

/// An input that fails when no more bytes of it may be read. A row of CSV has no end if a quote is not closed.
struct Bounded<R> {
    input: R,
    left: usize,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let most = buffer.len().min(self.left);
        let length = self.input.read(&mut buffer[..most])?;
        self.left -= length;
        Ok(length)
    }
}

impl<R: BufRead> Reader<R> {
    /// Begins to read `input`, whose format it tells from the first line.
    ///
    /// # Errors
    /// [`ReadError::Io`] if `input` can't be read; [`Utf16`](ReadError::Utf16), [`Empty`](ReadError::Empty) or
    /// [`UnknownFormat`](ReadError::UnknownFormat) if it has no known format; [`Header`](ReadError::Header) for a header of
    /// CSV that names no columns of users.
    pub fn new(mut input: R) -> Result<Self, ReadError> {
        let (format, head) = tell(&mut input)?;
        let length = head.len();
        let input = Cursor::new(head).chain(input);
        let source = match format {
            Format::JsonLines => Source::JsonLines(Lines::new(input)),
            Format::Csv { separator } => Source::Csv(Rows::new(input, separator, length)?),
            Format::Htpasswd => Source::Htpasswd(Lines::new(input)),
        };
        Ok(Self {
            format,
            source,
            hasher: RandomState::new(),
            names: HashMap::new(),
            ids: HashMap::new(),
        })
    }

    /// The format that was told from the first line.
    #[must_use]
    pub const fn format(&self) -> Format {
        self.format
    }

    /// Returns the next line that is not blank; `None` at the end.
    ///
    /// # Errors
    /// [`ReadError::Io`] if the input can't be read.
    pub fn next_line(&mut self) -> Result<Option<Line>, ReadError> {
        let Some((number, fields)) = self.source.next()? else {
            return Ok(None);
        };
        let user = fields.and_then(Fields::check);
        let user = user.and_then(|entry| self.once(entry, number));
        Ok(Some(Line { number, user }))
    }

    /// Returns `entry`, unless its name or its id stood in an earlier line.
    fn once(&mut self, entry: Entry, number: u64) -> Result<Entry, Problem> {
        let name = entry.username.as_str();
        if let Some(first) = self.names.insert(self.hasher.hash_one(name), number) {
            self.names.insert(self.hasher.hash_one(name), first);
            let name = name.to_owned();
            return Err(Problem::Twice {
                what: "user",
                name,
                first,
            });
        }
        if let Some(id) = entry.id
            && let Some(first) = self.ids.insert(self.hasher.hash_one(id), number)
        {
            self.ids.insert(self.hasher.hash_one(id), first);
            let name = id.to_string();
            return Err(Problem::Twice {
                what: "id",
                name,
                first,
            });
        }
        Ok(entry)
    }
}

impl<R: BufRead> Source<R> {
    fn next(&mut self) -> Result<Option<Numbered>, ReadError> {
        match self {
            Self::Csv(rows) => rows.next(),
            Self::JsonLines(lines) => next_of(lines, str::is_empty, Fields::from_json),
            Self::Htpasswd(lines) => {
                let is_none = |line: &str| line.is_empty() || line.starts_with('#');
                next_of(lines, is_none, from_htpasswd)
            }
        }
    }
}

/// The next of `lines` that `is_none` does not pass over, read by `read`.
fn next_of<R: BufRead>(
    lines: &mut Lines<R>,
    is_none: impl Fn(&str) -> bool,
    read: impl Fn(&str) -> Result<Fields, Problem>,
) -> Result<Option<Numbered>, ReadError> {
    while let Some((number, line)) = lines.next()? {
        match line {
            Ok(line) if is_none(line.trim()) => {}
            Ok(line) => return Ok(Some((number, read(line.trim())))),
            Err(problem) => return Ok(Some((number, Err(problem)))),
        }
    }
    Ok(None)
}

fn from_htpasswd(line: &str) -> Result<Fields, Problem> {
    let (name, hash) = line.split_once(':').ok_or(Problem::NoColon)?;
    Ok(Fields {
        username: Some(name.to_owned()),
        password_hash: Some(hash.to_owned()),
        ..Fields::default()
    })
}

impl<R: Read> Rows<R> {
    /// Reads the header. It ends in the first `head` bytes, or soon after them.
    fn new(input: R, separator: u8, head: usize) -> Result<Self, ReadError> {
        let input = Bounded {
            input,
            left: head + MAX_LINE,
        };
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(separator)
            .trim(csv::Trim::All)
            .from_reader(input);
        let header = reader.byte_headers().map_err(|error| fatal(error, 1))?;
        let mut columns = Vec::new();
        for name in header {
            let shown = String::from_utf8_lossy(name);
            let known = column(name)
                .ok_or_else(|| ReadError::Header(format!("an unknown column {:?}", beginning(&shown))))?;
            if columns.contains(&known) {
                return Err(ReadError::Header(format!("the column {known} twice")));
            }
            columns.push(known);
        }
        match COLUMNS[..2].iter().find(|needed| !columns.contains(needed)) {
            Some(missing) => Err(ReadError::Header(format!("no column {missing}"))),
            None => Ok(Self { reader, columns }),
        }
    }

    fn next(&mut self) -> Result<Option<Numbered>, ReadError> {
        let mut row = csv::StringRecord::new();
        let before = self.reader.position().line();
        self.reader.get_mut().left = MAX_LINE;
        match self.reader.read_record(&mut row) {
            Ok(false) => Ok(None),
            Ok(true) => {
                let number = row.position().map_or(before, csv::Position::line);
                Ok(Some((number, self.fields(&row))))
            }
            Err(error) => {
                let number = error.position().map_or(before, csv::Position::line);
                match *error.kind() {
                    csv::ErrorKind::UnequalLengths {
                        expected_len, len, ..
                    } => {
                        let (found, expected) = (len, expected_len);
                        Ok(Some((number, Err(Problem::Cells { found, expected }))))
                    }
                    csv::ErrorKind::Utf8 { .. } => Ok(Some((number, Err(Problem::NotUtf8)))),
                    _ => Err(fatal(error, number)),
                }
            }
        }
    }

    fn fields(&self, row: &csv::StringRecord) -> Result<Fields, Problem> {
        let mut fields = Fields::default();
        let cells = self.columns.iter().zip(row).filter(|(_, cell)| !cell.is_empty());
        for (column, cell) in cells {
            let text = || Some(cell.to_owned());
            match *column {
                "username" => fields.username = text(),
                "password_hash" => fields.password_hash = text(),
                "roles" => {
                    let names = cell.split([' ', ',', ';', '|']).filter(|name| !name.is_empty());
                    fields.roles = Some(names.map(str::to_owned).collect());
                }
                "disabled" => fields.disabled = Some(truth(column, cell)?),
                "must_change_password" => fields.must_change_password = Some(truth(column, cell)?),
                "display_name" => fields.display_name = Some(text()),
                "created_at" => fields.created_at = text().map(Moment::Text),
                _ => fields.id = text(),
            }
        }
        Ok(fields)
    }
}

fn truth(column: &'static str, cell: &str) -> Result<bool, Problem> {
    match cell.to_ascii_lowercase().as_str() {
        "true" | "yes" | "1" => Ok(true),
        "false" | "no" | "0" => Ok(false),
        _ => Err(Problem::NoTruth(column, beginning(cell))),
    }
}

/// Why no row can be read from this line on.
fn fatal(error: csv::Error, line: u64) -> ReadError {
    match error.kind() {
        csv::ErrorKind::Io(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            ReadError::RowTooLong(line)
        }
        _ => ReadError::Io(error.into()),
    }
}

//! The file `import` in the database directory, with the staged users of an import.
//!
//! | line | content |
//! |---|---|
//! | the first | the id of the import, 32 hexadecimal digits |
//! | each other one | `StagedUserRecord`, JSON |

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, BufWriter, ErrorKind, Seek, SeekFrom, Write},
    path::Path,
};

use super::private;
use crate::{
    domain::{ImportedUser, random},
    store::{
        error::StoreError,
        records::{format::unreadable, staged_user::StagedUserRecord},
    },
};

pub(crate) const FILE: &str = "import";
/// How many users one batch has at most, and how many bytes of the file. A batch is one write, which must be short enough: see
/// [`BATCH`](crate::store::sled::commit::group::BATCH).
const BATCH: usize = 100;
const BATCH_BYTES: u64 = 64 * 1024;

/// How many bytes are written before they are sent to the disk. What waits in the system's memory goes there with the next sync of
/// any file, and writes to the database would wait for hundreds of megabytes.
const SYNC_EVERY: u64 = 4 * 1024 * 1024;

/// The id of an import. The database names the one whose file it needs.
pub(crate) type ImportId = [u8; 16];

/// A file that is being written.
pub(crate) struct StagingFile {
    pub(crate) id: ImportId,
    pub(crate) length: u64,
    synced: u64,
    output: BufWriter<File>,
}

/// A file that is being read, from one user to the next.
pub(crate) struct StagedUsers {
    input: BufReader<File>,
    offset: u64,
    end: u64,
}

/// Some users, and where those behind them begin.
pub(crate) struct StagedBatch {
    pub(crate) users: Vec<(ImportedUser, bool)>,
    pub(crate) next: u64,
}

impl StagingFile {
    /// Makes the file anew.
    pub(crate) fn create(directory: &Path) -> io::Result<Self> {
        remove(directory)?;
        let file = private::options()
            .create_new(true)
            .write(true)
            .open(directory.join(FILE))?;
        let mut staging = Self {
            id: random(),
            length: 0,
            synced: 0,
            output: BufWriter::new(file),
        };
        staging.append(head(staging.id).as_bytes())?;
        Ok(staging)
    }

    pub(crate) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.output.write_all(lines)?;
        self.length += lines.len() as u64;
        if self.length - self.synced >= SYNC_EVERY {
            self.output.flush()?;
            self.output.get_ref().sync_data()?;
            self.synced = self.length;
        }
        Ok(())
    }

    /// From now on, as if the disk were full.
    #[cfg(test)]
    pub(crate) fn find_no_room(&mut self) {
        let full = File::options().write(true).open("/dev/full").unwrap();
        self.output = BufWriter::new(full);
        self.append(b" ").unwrap();
    }

    /// Makes the file and its name durable.
    pub(crate) fn sync(&mut self, directory: &Path) -> io::Result<()> {
        self.output.flush()?;
        self.output.get_ref().sync_all()?;
        File::open(directory)?.sync_all()
    }
}

impl StagedUsers {
    /// Opens the file of the import `id`, whose users end at `end`, and goes to the user at `offset`.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`] if there is no such file, or it is shorter.
    pub(crate) fn open(directory: &Path, id: ImportId, offset: u64, end: u64) -> Result<Self, StoreError> {
        let missing = || unreadable("the file import, which has users whose import was decided");
        let file = File::open(directory.join(FILE)).map_err(|_| missing())?;
        let length = file.metadata().map_err(StoreError::failed)?.len();
        let mut input = BufReader::new(file);
        let mut first = String::new();
        input.read_line(&mut first).map_err(|_| missing())?;
        if first != head(id) || length < end {
            return Err(missing());
        }
        let offset = offset.max(first.len() as u64);
        input.seek(SeekFrom::Start(offset)).map_err(StoreError::failed)?;
        Ok(Self { input, offset, end })
    }

    /// Reads the next users; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<StagedBatch>, StoreError> {
        let begin = self.offset;
        let mut users = Vec::new();
        let mut line = Vec::new();
        while self.offset < self.end && users.len() < BATCH && self.offset - begin < BATCH_BYTES {
            line.clear();
            let length = self
                .input
                .read_until(b'\n', &mut line)
                .map_err(StoreError::failed)?;
            users.push(StagedUserRecord::read(&line)?);
            self.offset += length as u64;
        }
        let next = self.offset;
        Ok((!users.is_empty()).then_some(StagedBatch { users, next }))
    }
}

/// Whether there is such a file.
pub(crate) fn is_left(directory: &Path) -> io::Result<bool> {
    directory.join(FILE).try_exists()
}

/// Removes the file if there is one.
pub(crate) fn remove(directory: &Path) -> io::Result<()> {
    match fs::remove_file(directory.join(FILE)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn head(id: ImportId) -> String {
    format!("{:032x}\n", u128::from_be_bytes(id))
}

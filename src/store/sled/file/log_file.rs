//! The data file in sled's layout, and the repairs without which sled loses data when it opens one after a power cut.
//!
//! The file is a row of segments of 512 KiB. Their order in the file has no meaning: the log continues in any free segment. A
//! segment begins with a header, little endian:
//!
//! | bytes | |
//! |---|---|
//! | 4 | CRC-32 of the other 16, all bits inverted |
//! | 8 | the place in the log at which the segment begins, an `i64`, all bits but the highest inverted |
//! | 8 | the place up to which the log had been written when the segment was begun, likewise |
//!
//! **A shortened file.** When nothing in the last segment of the file is in use, sled shortens the file by it. If the power fails
//! meanwhile, and the file system shortens a file in steps, a part of the segment is left. sled replays its log, reaches that
//! part, and takes the end of the file for the end of the log, because an error ends the replay (`iterator.rs`). Then it clears
//! every segment that was written later. An unreadable message would end only its segment. So the file is filled up with zeros,
//! which are such a message.
//!
//! **A missing segment.** When a group of writes begins two segments, a power cut may leave the second without the first. sled
//! looks for the end of the log from the segment that was being written when the newest one was begun. That one is missing, and
//! sled replays nothing (`check_contiguity_in_unstable_tail` in `snapshot.rs`). Neither of the two had been synced, so the second
//! is cleared: the log ends before both.

use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    iter,
    os::unix::fs::FileExt,
    path::Path,
};

/// The name of the data file.
pub(crate) const DATA_FILE: &str = "db";
/// The length of a segment in bytes.
const SEGMENT: u64 = 512 << 10;
const HEADER: usize = 20;

#[derive(Clone, Copy)]
struct Segment {
    /// The place in the file.
    at: u64,
    header: [u8; HEADER],
    begins: u64,
    written_up_to: u64,
}

/// What is left of the last segment of a file, if others follow it in the log.
pub(crate) struct Remnant(Segment);

/// What lets sled replay a data file up to the end of the log.
#[derive(Default)]
pub(crate) struct Repair {
    /// Segments to clear.
    orphans: Vec<Segment>,
    /// The length that the file must have, if it is shorter.
    length: Option<u64>,
    remnant: Option<Remnant>,
}

/// Returns the repair that the data file in `directory` needs.
pub(crate) fn examine(directory: &Path) -> io::Result<Repair> {
    let file = match File::open(directory.join(DATA_FILE)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Repair::default()),
        opened => opened?,
    };
    let size = file.metadata()?.len();
    let mut segments = Vec::new();
    for at in iter::successors(Some(0), |at| Some(at + SEGMENT)).take_while(|at| *at < size) {
        segments.extend(Segment::read(&file, at)?);
    }
    let last = segments.last().copied();
    let Some(replayed_from) = last_snapshot(directory)? else {
        // sled does not continue from that snapshot either.
        return Ok(Repair::default());
    };
    segments.retain(|segment| segment.begins >= replayed_from);
    let mut repair = Repair::default();
    let end = loop {
        let written_up_to = segments.iter().map(|segment| segment.written_up_to).max();
        let sought_from = start_of(written_up_to.unwrap_or(0).max(replayed_from));
        let (later, others): (Vec<Segment>, Vec<Segment>) =
            segments.iter().partition(|segment| segment.begins > sought_from);
        if later.is_empty() || others.iter().any(|segment| segment.begins == sought_from) {
            break sought_from;
        }
        repair.orphans.extend(later);
        segments = others;
    };
    if !size.is_multiple_of(SEGMENT) {
        repair.length = Some(size.next_multiple_of(SEGMENT));
        let remnant = last.filter(|last| last.at == start_of(size) && last.begins < end);
        repair.remnant = remnant.map(Remnant);
    }
    Ok(repair)
}

impl Repair {
    /// Whether the repair could be wrong. Zeros at the end never are.
    pub(crate) fn is_risky(&self) -> bool {
        self.remnant.is_some() || !self.orphans.is_empty()
    }

    /// Makes the repair. Returns the last segment if it was not whole, unless the log may end there, which is the usual case.
    pub(crate) fn make(self, directory: &Path) -> io::Result<Option<Remnant>> {
        if self.length.is_some() || !self.orphans.is_empty() {
            let file = File::options().write(true).open(directory.join(DATA_FILE))?;
            for orphan in self.orphans {
                file.write_all_at(&[0; HEADER], orphan.at)?;
            }
            if let Some(length) = self.length {
                file.set_len(length)?;
            }
        }
        Ok(self.remnant)
    }
}

impl Remnant {
    /// Whether sled, which has opened the database in `directory` since, found the segment to be free. Then sled has cleared it,
    /// written over it, or cut it off. Otherwise something acknowledged was in it.
    pub(crate) fn was_free(&self, directory: &Path) -> io::Result<bool> {
        let file = File::open(directory.join(DATA_FILE))?;
        Ok(Segment::read(&file, self.0.at)?.is_none_or(|now| now.header != self.0.header))
    }
}

impl Segment {
    /// Reads the segment `at` that place of the file, if it is in use.
    fn read(file: &File, at: u64) -> io::Result<Option<Self>> {
        let mut header = [0; HEADER];
        match file.read_exact_at(&mut header, at) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
            read => read.map(|()| Self::of(at, header)),
        }
    }

    fn of(at: u64, header: [u8; HEADER]) -> Option<Self> {
        let (crc, places) = header.split_first_chunk()?;
        let (begins, rest) = places.split_first_chunk()?;
        let place = |bytes: [u8; 8]| u64::try_from(i64::from_le_bytes(bytes) ^ i64::MAX);
        if !crc32fast::hash(places) != u32::from_le_bytes(*crc) {
            return None;
        }
        Some(Self {
            at,
            header,
            begins: place(*begins).ok()?,
            // Before the first segment nothing had been written: sled writes -1.
            written_up_to: place(*rest.first_chunk()?).unwrap_or(0),
        })
    }
}

/// The beginning of the segment that contains this place.
fn start_of(place: u64) -> u64 {
    place / SEGMENT * SEGMENT
}

/// Returns the beginning of the segment from which sled replays its log: the one of its last snapshot, whose name is the place.
/// Returns `None` if there is a snapshot with another name.
fn last_snapshot(directory: &Path) -> io::Result<Option<u64>> {
    let mut last = 0;
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        let Some(place) = name.strip_prefix("snap.") else {
            continue;
        };
        match u64::from_str_radix(place, 16) {
            Ok(place) => last = last.max(start_of(place)),
            Err(_) => return Ok(None),
        }
    }
    Ok(Some(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: usize = 512 << 10;

    fn segment(begins: i64, written_up_to: i64) -> Vec<u8> {
        let places = [begins, written_up_to].map(|place| (place ^ i64::MAX).to_le_bytes());
        let places = places.concat();
        let mut segment = (!crc32fast::hash(&places)).to_le_bytes().to_vec();
        segment.extend(places);
        segment.resize(LENGTH, 7);
        segment
    }

    /// A database of these segments, with so many bytes missing at its end. Each segment was begun when everything before it had
    /// been written.
    fn database(segments: &[i64], missing: usize) -> tempfile::TempDir {
        let length = i64::try_from(SEGMENT).unwrap();
        let starts = segments.iter().map(|start| start * length);
        let mut content: Vec<u8> = starts.flat_map(|begins| segment(begins, begins - 1)).collect();
        content.truncate(content.len() - missing);
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(DATA_FILE), content).unwrap();
        directory
    }

    fn prepare(directory: &Path) -> io::Result<Option<Remnant>> {
        examine(directory)?.make(directory)
    }

    fn read(directory: &tempfile::TempDir) -> Vec<u8> {
        fs::read(directory.path().join(DATA_FILE)).unwrap()
    }

    fn write(directory: &tempfile::TempDir, content: &[u8]) {
        fs::write(directory.path().join(DATA_FILE), content).unwrap();
    }

    #[test]
    fn a_file_is_only_filled_up_with_zeros_to_whole_segments() {
        for missing in [0, 1, LENGTH - 1] {
            let directory = database(&[0, 1], missing);
            let before = read(&directory);
            assert!(prepare(directory.path()).unwrap().is_none());
            assert_eq!(read(&directory), [before, vec![0; missing]].concat());
        }
        assert!(prepare(tempfile::tempdir().unwrap().path()).unwrap().is_none());
    }

    #[test]
    fn a_remnant_is_free_once_its_header_is_gone() {
        // The newest segment, and the one that was being written when the newest was begun.
        for segments in [[0, 1, 2], [0, 2, 1]] {
            assert!(prepare(database(&segments, 9).path()).unwrap().is_none());
        }
        let directory = database(&[3, 2, 1], 9);
        let remnant = prepare(directory.path()).unwrap().unwrap();
        assert!(!remnant.was_free(directory.path()).unwrap());
        let whole = read(&directory);
        let (others, last) = whole.split_at(2 * LENGTH);
        for cleared in [&[others, &vec![0; last.len()]].concat(), others] {
            write(&directory, cleared);
            assert!(remnant.was_free(directory.path()).unwrap());
        }
    }

    #[test]
    fn a_segment_is_cleared_only_if_its_predecessor_is_missing() {
        let cleared = |directory: &tempfile::TempDir| {
            let before = read(directory);
            assert!(prepare(directory.path()).unwrap().is_none());
            let segments = read(directory);
            let segments = segments.chunks(LENGTH).zip(before.chunks(LENGTH));
            segments
                .map(|(after, before)| after != before)
                .collect::<Vec<_>>()
        };
        assert_eq!(cleared(&database(&[0, 1, 2], 0)), [false; 3]);
        // Segments from which pages were moved are usually missing.
        assert_eq!(cleared(&database(&[4, 7, 6, 2], 0)), [false; 4]);
        assert_eq!(cleared(&database(&[0, 1, 3], 0)), [false, false, true]);
        assert_eq!(cleared(&database(&[6, 1, 4, 0], 0)), [true, false, true, false]);
        // Segments before the last snapshot are not needed.
        let directory = database(&[0, 3], 0);
        fs::write(directory.path().join("snap.0000000000180400"), "").unwrap();
        assert_eq!(cleared(&directory), [false; 2]);
    }
}

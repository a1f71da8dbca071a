//! The data file as sled lays it out, and what sled must be spared when it opens one that does not end where a segment does.
//!
//! The file is a row of segments of 512 KiB. Their order in the file says nothing: the log goes on in whichever is free. A
//! segment opens with a header, little endian:
//!
//! | bytes | |
//! |---|---|
//! | 4 | CRC-32 of the other 16, all bits turned over |
//! | 8 | which place in the log it begins at, an `i64`, all bits but the highest turned over |
//! | 8 | up to which place the log had been written when it was begun, likewise |
//!
//! When nothing in the last segment of the file is of use any more, sled shortens the file by it. If the power goes
//! meanwhile, and the file system shortens a file in steps, some of the segment is left. sled then replays its log, comes to
//! what is left, and takes the end of the file for the end of the log: an error ends the replay (`iterator.rs`), while a
//! message that is only unreadable ends no more than its segment. It goes on to clear every segment that was written later.
//! So the file is filled up with zeros, which are such a message.

use std::{
    fs::File,
    io::{self, ErrorKind},
    iter,
    os::unix::fs::FileExt,
    path::Path,
};

/// How many bytes a segment has.
const SEGMENT: u64 = 512 << 10;
const HEADER: usize = 20;

/// What is left of the last segment of a file, and was followed by others in the log.
#[derive(Debug)]
pub(super) struct Remnant {
    at: u64,
    header: [u8; HEADER],
}

/// Fills the last segment of the data file `path` up, if there is one that is not whole. Returns that segment unless it may
/// be where the log ends, which is nearly always the case and as it should be.
pub(super) fn fill(path: &Path) -> io::Result<Option<Remnant>> {
    let file = match File::options().read(true).write(true).open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let size = file.metadata()?.len();
    if size.is_multiple_of(SEGMENT) {
        return Ok(None);
    }
    file.set_len(size.next_multiple_of(SEGMENT))?;
    let mut written_up_to = 0;
    let mut last = None;
    for at in iter::successors(Some(0), |at| Some(at + SEGMENT)).take_while(|at| *at < size) {
        let header = header(&file, at)?;
        let Some((begins, written)) = places(&header) else {
            last = None;
            continue;
        };
        written_up_to = written_up_to.max(written);
        last = Some((begins, Remnant { at, header }));
    }
    // Where sled looks for the log's end, from the segment on that was being written when the newest was begun.
    let tail = written_up_to / SEGMENT * SEGMENT;
    Ok(last.filter(|(begins, _)| *begins < tail).map(|(_, last)| last))
}

impl Remnant {
    /// Whether sled, which has opened the file `path` meanwhile, has found it to be free: then it has cleared it, written over
    /// it, or cut it off. Else something that was acknowledged was in it.
    pub(super) fn was_free(&self, path: &Path) -> io::Result<bool> {
        Ok(header(&File::open(path)?, self.at)? != self.header)
    }
}

/// The header of the segment `at` that place of the file, with zeros for what lies behind its end.
fn header(file: &File, at: u64) -> io::Result<[u8; HEADER]> {
    let mut header = [0; HEADER];
    match file.read_exact_at(&mut header, at) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok([0; HEADER]),
        read => read.map(|()| header),
    }
}

/// Where a segment begins in the log, and up to where the log had been written then; `None` if it is not in use.
fn places(header: &[u8; HEADER]) -> Option<(u64, u64)> {
    let (crc, places) = header.split_first_chunk()?;
    let (begins, rest) = places.split_first_chunk()?;
    let place = |bytes: [u8; 8]| u64::try_from(i64::from_le_bytes(bytes) ^ i64::MAX);
    if !crc32fast::hash(places) != u32::from_le_bytes(*crc) {
        return None;
    }
    let written = place(*rest.first_chunk()?);
    // Before the first segment nothing had been written, which sled spells -1.
    Some((place(*begins).ok()?, written.unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use std::fs;

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

    /// A file of segments that begin at these places, in whole segments, when everything before them had been written; so
    /// many bytes are missing at its end.
    fn file(segments: &[i64], missing: usize) -> tempfile::NamedTempFile {
        let length = i64::try_from(SEGMENT).unwrap();
        let starts = segments.iter().map(|start| start * length);
        let mut content: Vec<u8> = starts.flat_map(|begins| segment(begins, begins - 1)).collect();
        content.truncate(content.len() - missing);
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), content).unwrap();
        file
    }

    #[test]
    fn a_file_is_filled_up_with_zeros_to_whole_segments() {
        for missing in [0, 1, LENGTH - 1] {
            let file = file(&[0, 1], missing);
            let before = fs::read(file.path()).unwrap();
            assert!(fill(file.path()).unwrap().is_none());
            assert_eq!(
                fs::read(file.path()).unwrap(),
                [before, vec![0; missing]].concat()
            );
        }
        assert!(fill(Path::new("/nowhere")).unwrap().is_none());
    }

    #[test]
    fn what_the_log_went_on_after_is_a_remnant_and_free_once_it_is_gone() {
        // The newest, and the one that was being written when that was begun.
        for segments in [[0, 1, 2], [0, 2, 1]] {
            assert!(fill(file(&segments, 9).path()).unwrap().is_none());
        }
        let file = file(&[3, 2, 1], 9);
        let remnant = fill(file.path()).unwrap().unwrap();
        assert!(!remnant.was_free(file.path()).unwrap());
        let whole = fs::read(file.path()).unwrap();
        let (others, last) = whole.split_at(2 * LENGTH);
        fs::write(file.path(), [others, &vec![0; last.len()]].concat()).unwrap();
        assert!(remnant.was_free(file.path()).unwrap());
        fs::write(file.path(), others).unwrap();
        assert!(remnant.was_free(file.path()).unwrap());
    }
}

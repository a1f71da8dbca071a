//! The lines of a text, each bounded, with their numbers.

use std::io::{self, BufRead, Read};

use super::problem::{MAX_LINE, Problem};

pub(super) struct Lines<R> {
    input: R,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    pub(super) const fn new(input: R) -> Self {
        Self { input, number: 0 }
    }

    /// Returns the next line without its end, and its number, counted from 1. Returns `None` at the end of the text. What a line
    /// has beyond [`MAX_LINE`] is passed over.
    pub(super) fn next(&mut self) -> io::Result<Option<(u64, Result<String, Problem>)>> {
        let mut line = Vec::new();
        if read_bounded(&mut self.input, &mut line)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        let is_cut = line.len() > MAX_LINE && !line.ends_with(b"\n");
        if is_cut {
            skip_line(&mut self.input)?;
            return Ok(Some((self.number, Err(Problem::TooLong))));
        }
        let text = String::from_utf8(line).map_err(|_| Problem::NotUtf8);
        let text = text.map(|mut text| {
            let content = text.trim_end_matches(['\n', '\r']).len();
            text.truncate(content);
            text
        });
        Ok(Some((self.number, text)))
    }
}

/// Appends the next line of `input` to `line`, at most one byte more than [`MAX_LINE`] of it. Returns how many bytes came.
pub(super) fn read_bounded(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<usize> {
    input.by_ref().take(MAX_LINE as u64 + 1).read_until(b'\n', line)
}

fn skip_line(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let there = input.fill_buf()?;
        let (length, is_end) = match there.iter().position(|byte| *byte == b'\n') {
            Some(end) => (end + 1, true),
            None => (there.len(), there.is_empty()),
        };
        input.consume(length);
        if is_end {
            return Ok(());
        }
    }
}

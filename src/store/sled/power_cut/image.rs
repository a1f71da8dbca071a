//! The files of a database directory at one moment, and what a power cut leaves of them.

use std::{collections::BTreeMap, fs, path::Path};

use super::super::file::{entries, log_file, rescue, tally};

pub(super) const PAGE: usize = 4096;
pub(super) const SEGMENT: usize = 512 * 1024;

/// Numbers that look random and are the same in each run.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    pub(super) fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }
}

/// The files of a database directory that a cut can change, by name.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Image(pub(super) BTreeMap<String, Vec<u8>>);

impl Image {
    /// Reads the files as they are at one moment, although sled's own threads may write.
    pub(super) fn of(directory: &Path) -> Self {
        let mut image = Self::read(directory);
        loop {
            let again = Self::read(directory);
            if again == image {
                return image;
            }
            image = again;
        }
    }

    fn read(directory: &Path) -> Self {
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(directory).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let is_counted =
                rescue::is_sled_file(&name) || name == tally::FILE || name == entries::MARKER_FILE;
            if is_counted {
                files.insert(name.clone(), fs::read(directory.join(name)).unwrap());
            }
        }
        Self(files)
    }

    pub(super) fn write(&self, directory: &Path) {
        for (name, content) in &self.0 {
            fs::write(directory.join(name), content).unwrap();
        }
    }

    pub(super) fn data(&self) -> &[u8] {
        self.0.get(log_file::DATA_FILE).map_or(&[], Vec::as_slice)
    }
}

/// A cut between the sync that made `durable` and the one that would have made `next`.
pub(super) fn cut(dice: &mut Dice, durable: &Image, next: &Image, first_tally: &[u8]) -> Image {
    let mut image = Image(BTreeMap::new());
    // sled makes a snapshot under its final name at once, and then removes the one before.
    let (gained, lost) = (dice.one_in(2), dice.one_in(2));
    for (name, content) in &durable.0 {
        if next.0.contains_key(name) || !(gained && lost) {
            image.0.insert(name.clone(), content.clone());
        }
    }
    for (name, content) in &next.0 {
        if !durable.0.contains_key(name) && gained {
            image.0.insert(name.clone(), content.clone());
        }
    }
    // The tally is not synced: it may be any since it was opened.
    let tally = match dice.below(4) {
        0 => Some(first_tally),
        1 => durable.0.get(tally::FILE).map(Vec::as_slice),
        _ => next.0.get(tally::FILE).map(Vec::as_slice),
    };
    image
        .0
        .insert(tally::FILE.into(), tally.unwrap_or_default().to_vec());
    image.0.insert(
        log_file::DATA_FILE.into(),
        cut_data(dice, durable.data(), next.data()),
    );
    image
}

/// Returns the pages of `next` that differ from `durable`.
pub(super) fn changed(durable: &[u8], next: &[u8]) -> Vec<usize> {
    let page = |bytes: &[u8], number: usize| {
        bytes
            .get(number * PAGE..bytes.len().min((number + 1) * PAGE))
            .map(<[u8]>::to_vec)
    };
    (0..next.len().div_ceil(PAGE))
        .filter(|number| page(durable, *number) != page(next, *number))
        .collect()
}

/// Returns `durable` with a part of what differs in `next`.
fn cut_data(dice: &mut Dice, durable: &[u8], next: &[u8]) -> Vec<u8> {
    let (short, long) = (durable.len().min(next.len()), durable.len().max(next.len()));
    let mut data = durable.to_vec();
    // The length may be that of any moment. What was not written is zeros.
    let length = match dice.below(3) {
        0 => next.len(),
        1 => durable.len(),
        _ => short + dice.below(long - short + 1),
    };
    let pages = changed(durable, next);
    data.resize(long, 0);
    let way = dice.below(6);
    let border = dice.below(pages.len() + 1);
    for (number, page) in pages.iter().enumerate() {
        let arrived = match way {
            // Everything, as after a kill -9.
            0 => true,
            // In order, and in reverse order.
            1 => number < border,
            2 => number >= border,
            3 => number == border,
            4 => dice.one_in(2),
            _ => !dice.one_in(8),
        };
        let (from, to) = (page * PAGE, next.len().min((page + 1) * PAGE));
        // Torn: only so many bytes of the page are new.
        let torn = if dice.one_in(4) {
            dice.below(to - from + 1)
        } else {
            to - from
        };
        if arrived {
            data[from..from + torn].copy_from_slice(&next[from..from + torn]);
        }
    }
    data.truncate(length.max(short));
    data
}

//! What came of the images of a run: whole, refused, or with a loss.

use std::collections::BTreeMap;

use super::{
    super::SledStore,
    NOW, config,
    image::{Image, PAGE, SEGMENT, changed},
    load::Known,
    place,
};
use crate::{event::Listeners, store::OpenError};

/// How many images are made of a group of writes with which sled reuses a segment of its log, and of one with which it shortens
/// its file. These are the dangerous ones.
const IMAGES_OF_A_REUSE: usize = 4;
const IMAGES_OF_A_SHORTENING: usize = 16;

/// What happened to the images of a run.
#[derive(Debug, Default)]
pub(super) struct Tallied {
    pub(super) whole: usize,
    /// How many segments of sled's log were reused by a group of writes.
    pub(super) reused: usize,
    /// How many segments of the log were begun, including the reused ones.
    pub(super) begun: usize,
    /// How often sled shortened its file.
    pub(super) shortened: usize,
    /// The longest data file, in bytes.
    pub(super) longest: usize,
    /// The longest group of writes, in bytes.
    pub(super) group: usize,
    /// How many images were refused, by the message.
    pub(super) refused: BTreeMap<String, usize>,
    pub(super) lost: Vec<String>,
}

impl Tallied {
    pub(super) fn images(&self) -> usize {
        self.whole + self.refused.values().sum::<usize>() + self.lost.len()
    }

    /// Counts what sled did with its segments between the two images. Returns how many images to make of it.
    pub(super) fn measure(&mut self, before: &Image, after: &Image) -> usize {
        const HEADER: usize = 20;
        let segments = |image: &Image| {
            let starts = image.data().chunks(SEGMENT);
            starts
                .map(|segment| segment[..HEADER.min(segment.len())].to_vec())
                .collect::<Vec<_>>()
        };
        let (before_them, after_them) = (segments(before), segments(after));
        let more = after_them.len().saturating_sub(before_them.len());
        let headers = before_them.into_iter().zip(after_them);
        let reused = headers.filter(|(before, after)| before != after).count();
        self.reused += reused;
        self.begun += reused + more;
        self.longest = self.longest.max(after.data().len());
        self.group = self.group.max(PAGE * changed(before.data(), after.data()).len());
        if after.data().len() < before.data().len() {
            self.shortened += 1;
            IMAGES_OF_A_SHORTENING
        } else {
            reused * IMAGES_OF_A_REUSE
        }
    }
}

/// Opens `image`. Returns what is in it, unless it is refused. `moment` says when the cut was.
pub(super) fn judge(
    image: &Image,
    acknowledged: &Known,
    asked: &Known,
    tallied: &mut Tallied,
    moment: &str,
) -> Option<Known> {
    let directory = place();
    image.write(directory.path());
    match SledStore::open(&config(directory.path()), NOW, Listeners::default()) {
        Ok(store) => match acknowledged.found_in(&store, asked) {
            Ok(found) => {
                tallied.whole += 1;
                Some(found)
            }
            Err(what) => {
                tallied.lost.push(format!("{what} ({moment})"));
                None
            }
        },
        Err(OpenError::Damaged {
            what,
            untouched: true,
            ..
        }) => {
            let what = format!("{what} ({moment})");
            *tallied.refused.entry(what).or_default() += 1;
            None
        }
        Err(error) => panic!("{error}"),
    }
}

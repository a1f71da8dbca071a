//! Single segments of sled's log as a power cut can leave them, and as none can, made by hand. The tests check where the log then
//! ends, and that the database is refused if that is too early.

use std::{thread, time::Duration};

use super::{
    super::{
        file::{log_file, open, tally},
        trees::{Trees, meta::Moments},
    },
    LIFETIME, NOW, config,
    image::{Image, SEGMENT},
    outcome::Tallied,
    place,
};
use crate::{
    domain::{Session, SessionId, UserId},
    store::OpenError,
};

/// A group of writes begins two segments, and a cut leaves only the later one.
#[test]
fn a_segment_without_its_predecessor_hides_nothing_earlier() {
    let home = place();
    let owner = UserId::generate(NOW);
    for opening in 0..3 {
        let (opened, _lock) = open::open(&config(home.path()), |_, _| Ok(())).unwrap();
        let trees = opened.trees;
        let put = || {
            let session = Session::start(owner, LIFETIME, LIFETIME, NOW).0;
            trees.put_session(&session).unwrap();
            session.id
        };
        let live: Vec<_> = (0..700).map(|_| put()).collect();
        let commits = opened.commits + 1;
        trees.put_commits(commits, Moments::at(NOW)).unwrap();
        trees.flush().unwrap();
        let durable = Image::of(home.path());
        let begun = || {
            let mut tallied = Tallied::default();
            tallied.measure(&durable, &Image::of(home.path()));
            tallied.begun
        };
        while begun() < 2 {
            for _ in 0..20 {
                put();
            }
            trees.flush().unwrap();
        }
        let next = Image::of(home.path());
        let newest = newest(next.data());
        let mut image = durable.clone();
        image.0.remove(tally::FILE);
        let data = image.0.get_mut(log_file::DATA_FILE).unwrap();
        data.resize(data.len().max(next.data().len()), 0);
        let end = next.data().len().min((newest + 1) * SEGMENT);
        data[newest * SEGMENT..end].copy_from_slice(&next.data()[newest * SEGMENT..end]);
        let directory = place();
        image.write(directory.path());
        let (found, _lock) = open::open(&config(directory.path()), |_, _| Ok(())).unwrap();
        assert_eq!(found.commits, commits, "opening {opening}");
        for id in live {
            assert!(found.trees.session(id).unwrap().is_some(), "opening {opening}");
        }
    }
}

/// The number of the segment that the log has reached.
fn newest(data: &[u8]) -> usize {
    let segments = data.chunks(SEGMENT).enumerate();
    segments.max_by_key(|(_, segment)| begins(segment)).unwrap().0
}

/// The place in the log at which a segment begins, if it is in use.
fn begins(segment: &[u8]) -> Option<i64> {
    log_place(segment.get(4..12)?)
}

/// The place at which the unstable tail of the log begins: the segment that was being written when the newest one was begun.
fn tail(data: &[u8]) -> i64 {
    let written = data
        .chunks(SEGMENT)
        .filter_map(|segment| log_place(segment.get(12..20)?));
    let length = i64::try_from(SEGMENT).unwrap();
    written.max().unwrap() / length * length
}

fn log_place(bytes: &[u8]) -> Option<i64> {
    let place = i64::from_le_bytes(*bytes.first_chunk()?) ^ i64::MAX;
    Some(place).filter(|place| (0..1 << 40).contains(place))
}

/// A database whose file sled has just shortened.
struct Shortened {
    before: Image,
    after: Image,
    /// How many groups of writes both images have.
    commits: u64,
    /// What the later image has.
    live: Vec<SessionId>,
}

fn shortened() -> Shortened {
    const GROUP: usize = 50;
    const SEGMENTS: usize = 5;
    let home = place();
    let (opened, _lock) = open::open(&config(home.path()), |_, _| Ok(())).unwrap();
    let trees = opened.trees;
    let owner = UserId::generate(NOW);
    let mut live: Vec<SessionId> = Vec::new();
    let mut grown = false;
    for commits in 0..2000 {
        let before = Image::of(home.path());
        grown |= before.data().len() > SEGMENTS * SEGMENT;
        if grown {
            let some = live.split_off(live.len().saturating_sub(2 * GROUP));
            trees.remove_sessions(&some).unwrap();
        }
        for _ in 0..GROUP {
            let (session, _) = Session::start(owner, LIFETIME, LIFETIME, NOW);
            trees.put_session(&session).unwrap();
            live.push(session.id);
        }
        trees.put_commits(commits + 1, Moments::at(NOW)).unwrap();
        trees.flush().unwrap();
        // sled's own threads shorten the file.
        thread::sleep(Duration::from_millis(2));
        let after = Image::of(home.path());
        if after.data().len() < before.data().len() {
            return Shortened {
                before,
                after,
                commits,
                live,
            };
        }
    }
    panic!("sled has not shortened its file");
}

#[test]
fn the_remnant_of_a_removed_segment_does_not_end_the_log() {
    let Shortened {
        before,
        after,
        commits,
        ..
    } = shortened();
    let (whole, shorter) = (before.data().len(), after.data().len());
    let found: Vec<_> = (1..8)
        .map(|part| {
            let mut image = before.clone();
            let data = image.0.get_mut(log_file::DATA_FILE).unwrap();
            data.truncate(shorter + (whole - shorter) * part / 8);
            // No tally says that a write is missing.
            image.0.remove(tally::FILE);
            let directory = place();
            image.write(directory.path());
            let opened = open::open(&config(directory.path()), |_, _| Ok(()));
            opened.map(|(opened, _lock)| opened.commits).ok()
        })
        .collect();
    assert_eq!(found, [Some(commits); 7]);
}

/// No power cut does this.
#[test]
fn a_file_that_ends_within_a_used_segment_is_refused() {
    // How much of what sled has written is in use at the end varies.
    let found = (0..5).any(|_| refused_without_the_end_of_a_segment(shortened()) > 0);
    assert!(found, "no segment was in use to its end");
}

/// Puts each segment last in turn, whole and without its last byte. Returns how often that was refused. Otherwise everything must
/// be found.
fn refused_without_the_end_of_a_segment(shortened: Shortened) -> usize {
    let Shortened {
        after, commits, live, ..
    } = shortened;
    let mut refused = 0;
    for segment in 0..segments(&after) {
        for missing in [0, 1] {
            let image = with_last(&after, segment, missing);
            match outcome(&image, &after, segment, commits + 1) {
                Outcome::Whole(trees) => {
                    for id in &live {
                        assert!(trees.session(*id).unwrap().is_some(), "segment {segment}");
                    }
                }
                Outcome::Refused(what) => {
                    assert!(what.contains("a part of its log is missing"), "{what}");
                    assert_eq!(missing, 1, "segment {segment}");
                    refused += 1;
                }
                Outcome::OnlyTheTallyTells => assert_eq!(missing, 1, "segment {segment}"),
            }
        }
    }
    refused
}

/// A group of writes that continues in the next segment is lost with the end of the first one, as if the power had failed before
/// it was whole.
#[test]
fn where_the_log_may_end_the_tally_detects_a_loss() {
    let home = place();
    let (opened, _lock) = open::open(&config(home.path()), |_, _| Ok(())).unwrap();
    let trees = opened.trees;
    let owner = UserId::generate(NOW);
    let (mut before, mut begun, mut told) = (0, 0, 0);
    for commits in 1.. {
        for _ in 0..50 {
            let (session, _) = Session::start(owner, LIFETIME, LIFETIME, NOW);
            trees.put_session(&session).unwrap();
        }
        trees.put_commits(commits, Moments::at(NOW)).unwrap();
        trees.flush().unwrap();
        let image = Image::of(home.path());
        if newest(image.data()) == before {
            continue;
        }
        (before, begun) = (newest(image.data()), begun + 1);
        for segment in 0..segments(&image) {
            for missing in [1, 1000] {
                let cut = with_last(&image, segment, missing);
                if let Outcome::OnlyTheTallyTells = outcome(&cut, &image, segment, commits) {
                    told += 1;
                }
            }
        }
        if begun == 12 {
            break;
        }
    }
    assert!(told > 0, "no group of writes went on into another segment");
}

/// How many segments the file of an image has.
fn segments(image: &Image) -> usize {
    image.data().len().div_ceil(SEGMENT)
}

/// Makes an image in which this segment is the last and has so many bytes `missing`. The place of a segment in the file has no
/// meaning for the log. No tally says that a write is missing.
fn with_last(whole: &Image, segment: usize, missing: usize) -> Image {
    let mut image = whole.clone();
    image.0.remove(tally::FILE);
    let length = segments(whole) * SEGMENT;
    let data = image.0.get_mut(log_file::DATA_FILE).unwrap();
    data.resize(length, 0);
    let (others, last) = data.split_at_mut(length - SEGMENT);
    if let Some(other) = others.chunks_mut(SEGMENT).nth(segment) {
        last.swap_with_slice(other);
    }
    data.truncate(length - missing);
    image
}

enum Outcome {
    /// With everything.
    Whole(Trees),
    /// Refused as damaged, for this reason.
    Refused(String),
    /// Without the last group of writes, or the last two. With a tally it was refused.
    OnlyTheTallyTells,
}

/// Opens an `image` of so many groups of writes, in which this `segment` of the `whole` has lost its end.
fn outcome(image: &Image, whole: &Image, segment: usize, commits: u64) -> Outcome {
    let directory = place();
    image.write(directory.path());
    let found = match open::open(&config(directory.path()), |_, _| Ok(())) {
        Err(error) => {
            assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
            return Outcome::Refused(error.to_string());
        }
        Ok((opened, _lock)) => opened,
    };
    if found.commits == commits {
        return Outcome::Whole(found.trees);
    }
    // The group before the last one may have ended within the bytes that are missing. Where a group ends depends on when sled's own
    // thread flushes. No group is so short that a third one could have.
    assert!(
        (commits - 2..commits).contains(&found.commits),
        "segment {segment}: {} of {commits}",
        found.commits
    );
    let begins = begins(&whole.data()[segment * SEGMENT..]);
    assert!(
        begins >= Some(tail(whole.data())),
        "the log can't end in segment {segment}"
    );
    let directory = place();
    image.write(directory.path());
    tally::Tally::open(directory.path(), commits).unwrap();
    let refusal = open::open(&config(directory.path()), |_, _| Ok(()))
        .err()
        .unwrap();
    assert!(
        refusal.to_string().contains("its last writes are missing"),
        "{refusal}"
    );
    Outcome::OnlyTheTallyTells
}

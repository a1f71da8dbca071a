//! Simulated power cuts. When a sync has returned, the medium has what the files held when it began. Of everything written
//! after that, a cut may leave any part, in any order, torn anywhere. So each sync under load is recorded, and images are built
//! from what one sync made durable and a part of what the next one would have. Each image must open with everything that was
//! acknowledged, or be refused: never with less, and never with a panic.
//!
//! A cut during an opening is not simulated: sled syncs between its steps there, at moments that are not visible from outside, so
//! an image of any part of them would be one that no cut can leave.
//!
//! `JWT_SERVER_POWER_CUTS` sets the number of images; CONTRIBUTING.md has the long run.

mod image;
mod load;
mod outcome;
mod segments;

use std::{
    collections::BTreeSet,
    env, io,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::future::{join, join_all};
use tempfile::TempDir;

use self::{
    image::{Dice, Image, SEGMENT, cut},
    load::{Known, user},
    outcome::{Tallied, judge},
};
use super::{
    SledStore,
    commit::worker::Worker,
    file::{
        database::{DataFile, Database, Disk},
        open, tally,
    },
    memory::index::Index,
};
use crate::{
    clock::Timestamp,
    config::StoreConfig,
    domain::{ApiToken, FailedAttempts, Session},
    event::Listeners,
    store::{ApiTokens as _, Attempts as _, KeptAttempts, Sessions as _, UserCreation, Users as _},
};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const LIFETIME: Duration = Duration::from_hours(1);
const CACHE: u64 = 1 << 20;
const CUTS: usize = 40;
/// How many images are made from one load.
const CUTS_A_LOAD: usize = 500;
/// How many writes are requested at once, at most.
const MOST_AT_ONCE: usize = 64;
/// How often writes are requested between two cuts.
const STEPS_A_CUT: usize = 8;

fn config(path: &Path) -> StoreConfig {
    StoreConfig {
        path: path.to_owned(),
        cache: CACHE,
    }
}

/// A disk that records what each sync made durable.
struct Recorder {
    disk: DataFile,
    directory: PathBuf,
    synced: Arc<Mutex<Vec<Image>>>,
}

impl Disk for Recorder {
    fn sync(&self) -> io::Result<()> {
        // Read before the sync: what is written while it runs may or may not be part of it.
        let image = Image::of(&self.directory);
        self.disk.sync()?;
        self.synced.lock().unwrap().push(image);
        Ok(())
    }

    fn note(&self, count: tally::CommitTally) -> io::Result<()> {
        self.disk.note(count)
    }
}

/// Makes a directory in memory if possible: the disk is simulated, so the test need not wait for a real one.
fn place() -> TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

fn open_recorded(directory: &Path, synced: &Arc<Mutex<Vec<Image>>>) -> SledStore {
    let index = Arc::new(Index::default());
    let (opened, lock) = open::open(&config(directory), |trees, _| {
        trees
            .load(&index, NOW, &mut || ControlFlow::Continue(()))
            .map(|_| ())
    })
    .unwrap();
    let disk = Recorder {
        disk: DataFile {
            data: opened.file,
            tally: opened.tally,
        },
        directory: directory.to_owned(),
        synced: Arc::clone(synced),
    };
    let database = Database {
        trees: opened.trees,
        disk: Box::new(disk),
        commits: opened.commits,
    };
    SledStore::over(
        Worker::start().unwrap(),
        database,
        index,
        lock,
        &config(directory),
        Listeners::default(),
        None,
    )
}

/// What a sync does.
#[derive(Clone, Copy)]
enum Medium {
    Honest,
    /// It reports success, and lacks what the last sync was for.
    OneSyncBehind,
}

/// Writes to a database, and cuts the power `cuts` times.
async fn work(dice: &mut Dice, medium: Medium, cuts: usize, tallied: &mut Tallied) {
    let mut home = place();
    let synced: Arc<Mutex<Vec<Image>>> = Arc::default();
    let mut store = open_recorded(home.path(), &synced);
    let mut durable = Image::of(home.path());
    let mut unsynced = None;
    let mut groups_since = 0;
    let mut first_tally = durable.0[tally::FILE].clone();
    let mut known = Known::default();
    let enough = tallied.images() + cuts;
    for step in 0.. {
        let mut asked = known.clone();
        let mut busy = BTreeSet::new();
        let ops: Vec<_> = (0..=dice.below(MOST_AT_ONCE))
            .map(|_| known.next(dice, &mut busy))
            .collect();
        let answers = join_all(ops.iter().map(|op| op.perform(&store))).await;
        for (op, minted) in ops.into_iter().zip(answers) {
            asked.note(op, minted, &store);
        }
        let groups = std::mem::take(&mut *synced.lock().unwrap());
        let mut left = None;
        for group in groups {
            let dangerous = tallied.measure(&durable, &group);
            let images = dangerous.max(usize::from(step % STEPS_A_CUT == 0));
            for _ in 0..images {
                if tallied.images() == enough {
                    return;
                }
                let image = cut(dice, &durable, &group, &first_tally);
                let (from, to) = (durable.data().len(), group.data().len());
                let moment = format!(
                    "group {groups_since} since the opening, from {from} to {to} bytes, reuses a segment: {}",
                    dangerous > 0
                );
                let found = judge(&image, &known, &asked, tallied, &moment);
                left = found.map(|found| (image, found));
            }
            groups_since += 1;
            durable = match medium {
                Medium::Honest => group,
                Medium::OneSyncBehind => unsynced.replace(group).unwrap_or(durable),
            };
        }
        known = asked;
        if let Some((image, found)) = left.filter(|_| dice.one_in(8)) {
            // The run continues with what the cut has left.
            drop(store);
            // What closing wrote is not part of what the cut has left.
            synced.lock().unwrap().clear();
            home = place();
            image.write(home.path());
            first_tally.clone_from(&image.0[tally::FILE]);
            store = open_recorded(home.path(), &synced);
            // The opening has synced what it wrote.
            let opened = Image::of(home.path());
            first_tally.clone_from(&opened.0[tally::FILE]);
            (durable, known, groups_since) = (opened, found, 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_loses_nothing_that_was_acknowledged() {
    let cuts = match env::var("JWT_SERVER_POWER_CUTS") {
        Ok(cuts) => cuts.parse().expect("JWT_SERVER_POWER_CUTS is a number"),
        Err(_) => CUTS,
    };
    let mut tallied = Tallied::default();
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    for done in (0..cuts).step_by(CUTS_A_LOAD) {
        work(
            &mut dice,
            Medium::Honest,
            CUTS_A_LOAD.min(cuts - done),
            &mut tallied,
        )
        .await;
    }
    println!("{cuts} power cuts: {tallied:?}");
    assert!(tallied.lost.is_empty(), "{tallied:?}");
    // `BATCH` of the committing thread says why.
    assert!(tallied.group < 2 * SEGMENT, "{tallied:?}");
    // A refusal is correct too, and rare: see ARCHITECTURE.md. More than one in a hundred would need an explanation.
    assert!(
        tallied.refused.values().sum::<usize>() * 100 <= cuts,
        "{tallied:?}"
    );
}

/// `BATCH` of the committing thread says why.
#[tokio::test(flavor = "multi_thread")]
async fn no_group_of_writes_is_as_long_as_two_segments() {
    const MANY: usize = 2000;
    let home = place();
    let synced: Arc<Mutex<Vec<Image>>> = Arc::default();
    let store = open_recorded(home.path(), &synced);
    let mut durable = Image::of(home.path());
    let mut tallied = Tallied::default();
    let mut measure = |what: &str| {
        for group in std::mem::take(&mut *synced.lock().unwrap()) {
            tallied.measure(&durable, &group);
            durable = group;
        }
        assert!(tallied.group < 2 * SEGMENT, "{what}: {tallied:?}");
        tallied.group = 0;
    };
    let owner = user();
    let created = store.create_user(owner.clone(), None).await.unwrap();
    assert_eq!(created, UserCreation::Created);
    let sessions: Vec<_> = (0..MANY)
        .map(|_| Session::start(owner.id, LIFETIME, LIFETIME, NOW).0)
        .collect();
    join_all(
        sessions
            .iter()
            .map(|session| store.open_session(session.clone(), 0, usize::MAX, None)),
    )
    .await;
    measure("signed in");
    let tokens: Vec<_> = (0..MANY).map(|_| ApiToken::sample_of(owner.id, NOW)).collect();
    let added = tokens
        .iter()
        .map(|token| store.create_api_token(token.clone(), sessions[0].id, usize::MAX));
    join_all(added).await;
    measure("made API tokens");

    let later = NOW.plus(LIFETIME / 2);
    for token in &tokens {
        assert!(
            store
                .api_token_accepted(token.hash, later)
                .await
                .unwrap()
                .is_some()
        );
    }
    let places = (0..1000).map(|place| {
        let attempts = FailedAttempts { failures: 1, at: NOW };
        (place * 977, attempts)
    });
    let attempts = KeptAttempts {
        hash_key: [7; 16],
        places: places.collect(),
    };
    // These writes come one after the other, and the writes of users at any time.
    let tended = async {
        assert_eq!(store.keep_api_token_uses(MANY).await.unwrap(), MANY);
        store.keep_attempts(attempts.clone()).await.unwrap();
        assert_eq!(store.attempts().await.unwrap(), Some(attempts));
        assert_eq!(store.prune(NOW.plus(LIFETIME), MANY / 2).await.unwrap(), MANY / 2);
        assert_eq!(store.close_every_session().await.unwrap(), MANY / 2);
    };
    let users = async {
        for _ in 0..20 {
            join_all((0..MOST_AT_ONCE).map(|_| store.create_user(user(), None))).await;
        }
    };
    join(tended, users).await;
    measure("tended");
}

/// Shows that the test above would notice a loss.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_only_claims_to_sync_is_detected() {
    let mut tallied = Tallied::default();
    work(
        &mut Dice(0x9E37_79B9_7F4A_7C15),
        Medium::OneSyncBehind,
        20,
        &mut tallied,
    )
    .await;
    assert!(
        !tallied.lost.is_empty() && !tallied.refused.is_empty(),
        "{tallied:?}"
    );
}

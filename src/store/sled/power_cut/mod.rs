//! Simulated power cuts. When a sync has returned, the medium has what the files held when it began. Of everything written
//! after that, a cut may leave any part, in any order, torn anywhere. So each sync under load is recorded, and images are built
//! from what one sync made durable and a part of what the next one would have. Each image must open with everything that was
//! acknowledged, or be refused: never with less, and never with a panic.
//!
//! A cut during an opening is not simulated: sled syncs between its steps there, at moments that are not visible from outside, so
//! an image of any part of them would be one that no cut can leave.
//!
//! `JWT_SERVER_POWER_CUTS` sets the number of images; CONTRIBUTING.md has the long run.

mod segments;

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs, io,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use futures_util::future::{join, join_all};
use tempfile::TempDir;

use super::{
    SledStore,
    commit::worker::Worker,
    file::{
        database::{DataFile, Database, Disk},
        entries, log_file, open, rescue, tally,
    },
    memory::index::Index,
    trees::Trees,
};
use crate::{
    clock::Timestamp,
    config::StoreConfig,
    domain::{
        ApiToken, ApiTokenHash, FailedAttempts, Refresh, Role, Roles, Session, SessionId, TokenId,
        TokenPolicy, User, UserChange, UserId, Username,
    },
    event::Listeners,
    store::{
        ApiTokenCreation, ApiTokens as _, Attempts as _, KeptAttempts, OpenError, Sessions as _,
        UserCreation, Users as _,
    },
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
/// How many images are made of a group of writes with which sled reuses a segment of its log, and of one with which it shortens
/// its file. These are the dangerous ones.
const IMAGES_OF_A_REUSE: usize = 4;
const IMAGES_OF_A_SHORTENING: usize = 16;
const MOST_USERS: usize = 2000;
const MOST_SESSIONS: usize = 600;
const MOST_API_TOKENS: usize = 200;
const PAGE: usize = 4096;
const SEGMENT: usize = 512 * 1024;

fn config(path: &Path) -> StoreConfig {
    StoreConfig {
        path: path.to_owned(),
        cache: CACHE,
    }
}

/// Numbers that look random and are the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }
}

/// The files of a database directory that a cut can change, by name.
#[derive(Clone, Default, PartialEq, Eq)]
struct Image(BTreeMap<String, Vec<u8>>);

impl Image {
    /// Reads the files as they are at one moment, although sled's own threads may write.
    fn of(directory: &Path) -> Self {
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

    fn write(&self, directory: &Path) {
        for (name, content) in &self.0 {
            fs::write(directory.join(name), content).unwrap();
        }
    }

    fn data(&self) -> &[u8] {
        self.0.get(log_file::DATA_FILE).map_or(&[], Vec::as_slice)
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

/// One write.
enum Op {
    SignUp(User),
    SignIn(Session),
    Refresh(SessionId, TokenId),
    LogOut(SessionId),
    AddApiToken(ApiToken, SessionId),
    RevokeApiToken(ApiToken),
    ChangeUser(User),
}

impl Op {
    async fn perform(&self, store: &SledStore) {
        match self {
            Self::SignUp(user) => {
                let created = store.create_user(user.clone(), None).await.unwrap();
                assert_eq!(created, UserCreation::Created);
            }
            Self::SignIn(session) => {
                assert!(
                    store
                        .open_session(session.clone(), 0, usize::MAX, None)
                        .await
                        .unwrap()
                        .is_some()
                );
            }
            Self::Refresh(session, token) => {
                let policy = TokenPolicy {
                    lifetime: LIFETIME,
                    refresh_window: LIFETIME,
                    refresh_grace: Duration::ZERO,
                };
                let refreshed = store.refresh(*session, *token, policy, NOW).await.unwrap();
                assert!(matches!(refreshed, Refresh::Minted(_)), "{refreshed:?}");
            }
            Self::LogOut(session) => {
                assert!(store.close_session(*session).await.unwrap().is_some());
            }
            Self::AddApiToken(token, session) => {
                let creation = store.create_api_token(token.clone(), *session, usize::MAX);
                assert_eq!(creation.await.unwrap(), ApiTokenCreation::Created);
            }
            Self::RevokeApiToken(token) => {
                assert!(store.remove_api_token(token.user, token.id).await.unwrap());
            }
            Self::ChangeUser(user) => {
                let change = UserChange::Roles(user.roles.clone());
                let update = store.change_user(user.id, change).await.unwrap();
                assert_eq!(update.changed().as_deref(), Some(user));
            }
        }
    }
}

/// What the store has acknowledged.
#[derive(Clone, Default)]
struct Known {
    users: BTreeMap<Username, User>,
    /// Each session, or `None` once it is closed.
    sessions: BTreeMap<SessionId, Option<Session>>,
    /// Each API token, or `None` once it is revoked.
    api_tokens: BTreeMap<ApiTokenHash, Option<ApiToken>>,
}

impl Known {
    fn live(&self) -> Vec<&Session> {
        self.sessions.values().flatten().collect()
    }

    fn good_api_tokens(&self) -> Vec<&ApiToken> {
        self.api_tokens.values().flatten().collect()
    }

    /// The next write, to something that is not in `busy`: two concurrent writes of one thing could come in either order.
    fn next(&self, dice: &mut Dice, busy: &mut BTreeSet<[u8; 16]>) -> Op {
        let live = self.live();
        if self.users.is_empty() || (self.users.len() < MOST_USERS && dice.one_in(12)) {
            return Op::SignUp(User {
                roles: roles(dice),
                ..user()
            });
        }
        if dice.one_in(8) {
            let user = self.users.values().nth(dice.below(self.users.len())).unwrap();
            if busy.insert(*user.id.as_bytes()) {
                return Op::ChangeUser(User {
                    roles: roles(dice),
                    ..user.clone()
                });
            }
        }
        let tokens = self.good_api_tokens();
        if tokens.len() > dice.below(MOST_API_TOKENS) && dice.one_in(8) {
            let token = tokens[dice.below(tokens.len())];
            if busy.insert(*token.id.as_bytes()) {
                return Op::RevokeApiToken(token.clone());
            }
        }
        let session = (!live.is_empty()).then(|| live[dice.below(live.len())]);
        match session.filter(|session| busy.insert(*session.id.as_bytes())) {
            Some(session) if dice.one_in(12) => {
                Op::AddApiToken(ApiToken::sample_of(session.user, NOW), session.id)
            }
            Some(session) if live.len() > MOST_SESSIONS && dice.one_in(2) => Op::LogOut(session.id),
            Some(session) if !dice.one_in(4) => {
                Op::Refresh(session.id, session.tokens.last().unwrap().token.id)
            }
            _ => {
                let owner = self.users.values().nth(dice.below(self.users.len())).unwrap();
                Op::SignIn(Session::start(owner.id, LIFETIME, 10 * LIFETIME, NOW).0)
            }
        }
    }

    fn note(&mut self, op: Op, store: &SledStore) {
        match op {
            Op::SignUp(user) | Op::ChangeUser(user) => {
                self.users.insert(user.username.clone(), user);
            }
            Op::SignIn(session) => {
                self.sessions.insert(session.id, Some(session));
            }
            Op::Refresh(id, _) => {
                self.sessions.insert(id, store.index.session(id));
            }
            Op::LogOut(id) => {
                self.sessions.insert(id, None);
            }
            Op::AddApiToken(token, _) => {
                self.api_tokens.insert(token.hash, Some(token));
            }
            Op::RevokeApiToken(token) => {
                self.api_tokens.insert(token.hash, None);
            }
        }
    }

    /// Returns what `store` has. That must be this, except that some of the writes in `asked` may have happened as well.
    fn found_in(&self, store: &SledStore, asked: &Self) -> Result<Self, String> {
        let mut found = Self::default();
        for (name, after) in &asked.users {
            let before = self.users.get(name);
            let user = store
                .committer
                .read(|trees| trees.user_by_name(name))
                .map_err(|error| error.to_string())?;
            match user {
                Some(user) if user == *after || before == Some(&user) => {
                    found.users.insert(name.clone(), user);
                }
                Some(_) => return Err(format!("the user {name} is another one")),
                None if before.is_some() => return Err(format!("the user {name} is lost")),
                None => {}
            }
        }
        for (id, after) in &asked.sessions {
            let (before, now) = (self.sessions.get(id), store.index.session(*id));
            let before = before.cloned().flatten();
            if now != before && now != *after {
                let is = if now.is_some() { "as it was before" } else { "gone" };
                return Err(format!("the session {id} is {is}"));
            }
            found.sessions.insert(*id, now);
        }
        for (hash, after) in &asked.api_tokens {
            let (before, now) = (self.api_tokens.get(hash), store.index.api_tokens.as_used(*hash));
            let before = before.cloned().flatten();
            if now != before && now != *after {
                let is = if now.is_some() { "there again" } else { "gone" };
                return Err(format!("an API token is {is}"));
            }
            found.api_tokens.insert(*hash, now);
        }
        if store.index.len() != found.live().len()
            || store.index.api_tokens.all().len() != found.good_api_tokens().len()
        {
            return Err("there are sessions or API tokens that no write asked for".into());
        }
        if store.committer.read(Trees::users).ok() != Some(found.users.len() as u64) {
            return Err("the users are not as many as are counted".into());
        }
        if store.committer.read(Trees::roster_is_whole).ok() != Some(true) {
            return Err("the roster is not what the users are".into());
        }
        Ok(found)
    }
}

fn user() -> User {
    let id = UserId::generate(NOW);
    let name = format!("user-{}", &id.to_string()[24..]);
    User {
        id,
        roles: [Role::CLIENT].into_iter().collect(),
        ..User::sample(&name, NOW)
    }
}

/// Roles without that of administrators, of whom one would have to stay.
fn roles(dice: &mut Dice) -> Roles {
    let names = ["CLIENT", "EDITOR", "AUTHOR", "GUEST"].map(|name| Role::parse(name).unwrap());
    names.into_iter().filter(|_| dice.one_in(2)).collect()
}

/// A cut between the sync that made `durable` and the one that would have made `next`.
fn cut(dice: &mut Dice, durable: &Image, next: &Image, first_tally: &[u8]) -> Image {
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
fn changed(durable: &[u8], next: &[u8]) -> Vec<usize> {
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

/// Makes a directory in memory if possible: the disk is simulated, so the test need not wait for a real one.
fn place() -> TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

/// What happened to the images of a run.
#[derive(Debug, Default)]
struct Tallied {
    whole: usize,
    /// How many segments of sled's log were reused by a group of writes.
    reused: usize,
    /// How many segments of the log were begun, including the reused ones.
    begun: usize,
    /// How often sled shortened its file.
    shortened: usize,
    /// The longest data file, in bytes.
    longest: usize,
    /// The longest group of writes, in bytes.
    group: usize,
    /// How many images were refused, by the message.
    refused: BTreeMap<String, usize>,
    lost: Vec<String>,
}

impl Tallied {
    fn images(&self) -> usize {
        self.whole + self.refused.values().sum::<usize>() + self.lost.len()
    }

    /// Counts what sled did with its segments between the two images. Returns how many images to make of it.
    fn measure(&mut self, before: &Image, after: &Image) -> usize {
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
fn judge(
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
        join_all(ops.iter().map(|op| op.perform(&store))).await;
        for op in ops {
            asked.note(op, &store);
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

//! What a clock that was set back does to a database, what a killed first start leaves, what costs no write, and what is true
//! while the index is being filled.

use std::{
    fs,
    ops::ControlFlow,
    sync::{Arc, mpsc},
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use secrecy::{ExposeSecret, SecretSlice};

use super::{
    SledStore,
    commit::{committer::Load, worker::Worker},
    file::{database::Database, log_file, open, tally},
    memory::index::Index,
};
use crate::{
    clock::Timestamp,
    config::StoreConfig,
    domain::{
        KeyRing, Refresh, RefreshTokenOutcome, Session, SessionId, TokenId, TokenPolicy, User, UserId,
        Username,
    },
    event::Listeners,
    store::{
        ApiTokens as _, Kept, KeyRingUpdate, Keys as _, OpenError, Sessions as _, Store as _, StoreError,
        UserCreation, Users as _,
    },
};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const HOUR: Duration = Duration::from_hours(1);

fn open(directory: &tempfile::TempDir, now: Timestamp) -> SledStore {
    try_open(directory, now).unwrap()
}

fn try_open(directory: &tempfile::TempDir, now: Timestamp) -> Result<SledStore, OpenError> {
    SledStore::open(&config(directory), now, Listeners::default())
}

fn config(directory: &tempfile::TempDir) -> StoreConfig {
    StoreConfig {
        path: directory.path().to_owned(),
        cache: 1 << 20,
    }
}

/// A database with a session that lasts for two hours and whose token lasts for one.
async fn with_a_session(directory: &tempfile::TempDir) -> (SessionId, TokenId) {
    let store = open(directory, NOW);
    let user = User::somebody("ada", NOW);
    let (session, token) = Session::start(user.id, HOUR, 2 * HOUR, NOW);
    let id = session.id;
    assert_eq!(
        store.create_user(user, None).await.unwrap(),
        UserCreation::Created
    );
    assert!(store.open_session(session, 0, 9).await.unwrap().is_some());
    assert_eq!(store.latest(), NOW);
    (id, token.id)
}

#[tokio::test(flavor = "multi_thread")]
async fn ending_a_session_that_is_not_there_writes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (session, _) = with_a_session(&directory).await;
    let store = open(&directory, NOW);
    let commits = || tally::Tally::read(directory.path()).unwrap().commits;
    let before = commits();
    assert!(store.close_session(session).await.unwrap().is_some());
    assert_eq!(commits(), before + 1);
    for absent in [session, SessionId::generate(NOW)] {
        assert_eq!(store.close_session(absent).await.unwrap(), None);
    }
    assert_eq!(commits(), before + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_set_back_between_two_starts_revives_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (session, token) = with_a_session(&directory).await;
    let store = open(&directory, NOW);
    let late = NOW.plus(HOUR);
    assert_eq!(store.accepted(session, token, late).await.unwrap(), None);
    // Any write will do, such as the end of every session of nobody.
    let nobody = UserId::generate(NOW);
    store.close_sessions(nobody, Kept::default()).await.unwrap();
    drop(store);

    let store = open(&directory, NOW);
    assert_eq!(store.latest(), late);
    assert_eq!(store.index.session(session), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_set_back_a_little_ends_no_session_that_has_time_left() {
    let directory = tempfile::tempdir().unwrap();
    let (session, token) = with_a_session(&directory).await;
    let store = open(&directory, NOW.minus(HOUR));
    assert_eq!(store.latest(), NOW);
    assert!(store.accepted(session, token, NOW).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_was_years_ahead_is_not_followed_for_ever_and_costs_the_sessions() {
    let directory = tempfile::tempdir().unwrap();
    let (session, _) = with_a_session(&directory).await;
    let before = NOW.minus(365 * 24 * HOUR);
    for _ in 0..2 {
        let store = open(&directory, before);
        assert_eq!(store.latest(), before);
        assert_eq!(store.index.session(session), None);
        let nobody = UserId::generate(NOW);
        store.close_sessions(nobody, Kept::default()).await.unwrap();
    }
}

#[tokio::test]
async fn settings_left_half_written_are_no_damage_unless_the_database_was_in_use() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(&directory, NOW));
    let whole = fs::read(directory.path().join("conf")).unwrap();
    for length in 0..=whole.len() {
        let cut_short = tempfile::tempdir().unwrap();
        fs::write(cut_short.path().join("conf"), &whole[..length]).unwrap();
        drop(open(&cut_short, NOW));
        assert_eq!(fs::read(cut_short.path().join("conf")).unwrap(), whole);
    }
    fs::write(directory.path().join("conf"), &whole[..whole.len() - 4]).unwrap();
    let refused = try_open(&directory, NOW);
    assert!(matches!(refused, Err(OpenError::Damaged { untouched: true, .. })));
}

/// How filling the index goes on.
enum Order {
    Load,
    /// sled says damage with a panic.
    Panic,
    Fail,
}

/// Opens the database, and fills the index when it is told to.
fn open_late(directory: &tempfile::TempDir) -> (Arc<SledStore>, mpsc::Sender<Order>) {
    let config = config(directory);
    let (orders, told) = mpsc::channel();
    let load: Load = Box::new(move |trees, index, meanwhile| {
        loop {
            match told.recv_timeout(Duration::from_millis(5)) {
                Ok(Order::Load) => return trees.load(index, NOW, meanwhile),
                Ok(Order::Panic) => panic!("damage"),
                Ok(Order::Fail) => return Err(StoreError::Unreadable("a session".to_owned())),
                Err(_) if meanwhile().is_break() => return Ok(ControlFlow::Break(())),
                Err(_) => {}
            }
        }
    });
    let index = Arc::new(Index::default());
    let (opened, lock) = open::open(&config, |_, _| Ok(())).unwrap();
    let (worker, database) = (Worker::start().unwrap(), Database::of(opened));
    let store = SledStore::over(
        worker,
        database,
        index,
        lock,
        &config,
        Listeners::default(),
        Some(load),
    );
    (Arc::new(store), orders)
}

async fn is_accepted(store: &SledStore, (session, token): (SessionId, TokenId)) -> bool {
    let accepted = store.accepted(session, token, NOW).await.unwrap();
    accepted.is_some_and(|accepted| accepted.user.username.as_str() == "ada")
}

#[tokio::test(flavor = "multi_thread")]
async fn no_session_is_given_away_before_the_index_is_whole() {
    let directory = tempfile::tempdir().unwrap();
    let alive = with_a_session(&directory).await;
    let (store, orders) = open_late(&directory);
    assert!(store.live_session(alive.0).is_none());
    let session = store
        .committer
        .read(|trees| trees.session(alive.0))
        .unwrap()
        .unwrap();
    let user = store
        .committer
        .read(|trees| trees.user(session.user))
        .unwrap()
        .unwrap();
    store.index.open(session, user);
    assert!(store.live_session(alive.0).is_none());
    assert!(is_accepted(&store, alive).await);
    orders.send(Order::Load).unwrap();
    store.committer.loading.whole().await.unwrap();
    let session = store.live_session(alive.0).unwrap();
    assert!(session.accepted(alive.1, NOW).unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_kept_while_the_index_is_being_filled_whatever_waits_for_that_in_front_of_them() {
    let directory = tempfile::tempdir().unwrap();
    let alive = with_a_session(&directory).await;
    let (store, orders) = open_late(&directory);
    let commits = || tally::Tally::read(directory.path()).unwrap().commits;
    let before = commits();
    let mut waiting = Box::pin(store.close_sessions(UserId::generate(NOW), Kept::default()));
    assert!((&mut waiting).now_or_never().is_none());

    let key = store.refresh_key(SecretSlice::from(vec![7; 32])).await.unwrap();
    let kept = store.keep_key_ring(KeyRing::default(), 0).await.unwrap();
    assert_eq!(kept, KeyRingUpdate::Kept(1));
    let kept = store.keep_key_ring(KeyRing::default(), 0).await.unwrap();
    assert_eq!(kept, KeyRingUpdate::ChangedMeanwhile);
    assert!(!store.committer.loading.is_whole().unwrap());
    assert!((&mut waiting).now_or_never().is_none());

    // Noted as durable, each by itself.
    assert_eq!(commits(), before + 3);

    orders.send(Order::Load).unwrap();
    assert_eq!(waiting.await.unwrap(), 0);
    assert!(is_accepted(&store, alive).await);
    drop(store);
    let store = open(&directory, NOW);
    assert_eq!(store.key_ring().await.unwrap().revision, 1);
    let kept = store.refresh_key(SecretSlice::from(vec![8; 32])).await.unwrap();
    assert_eq!(kept.expose_secret(), key.expose_secret());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_checked_while_the_index_is_being_filled_and_all_else_waits_for_that() {
    let directory = tempfile::tempdir().unwrap();
    let alive = with_a_session(&directory).await;
    let (store, orders) = open_late(&directory);
    assert!(is_accepted(&store, alive).await);
    assert!(!is_accepted(&store, (alive.0, TokenId::generate())).await);
    assert!(!is_accepted(&store, (SessionId::generate(NOW), alive.1)).await);
    let late = NOW.plus(HOUR);
    assert_eq!(store.accepted(alive.0, alive.1, late).await.unwrap(), None);
    let count = store.count().await.unwrap();
    assert_eq!((count.users, count.sessions), (1, None));

    let policy = TokenPolicy {
        lifetime: HOUR,
        refresh_window: HOUR,
        refresh_grace: HOUR,
    };
    let user = store
        .user_by_name(&Username::parse("ada").unwrap())
        .await
        .unwrap()
        .unwrap();
    let (ada, store) = (user.id, &store);
    let in_order: [(_, BoxFuture<'_, bool>); 5] = [
        (
            "sessions",
            Box::pin(async { store.sessions(ada, NOW).await.unwrap().len() == 1 }),
        ),
        (
            "refresh",
            Box::pin(async {
                let refreshed = store.refresh(alive.0, alive.1, policy, NOW).await.unwrap();
                matches!(refreshed, Refresh::Minted(_))
            }),
        ),
        (
            "rotate",
            Box::pin(async {
                store.rotate(alive.0, 7, policy, HOUR, NOW).await.unwrap() == RefreshTokenOutcome::Refused
            }),
        ),
        (
            "API tokens",
            Box::pin(async { store.api_tokens(ada, NOW).await.unwrap().is_empty() }),
        ),
        (
            "log-out",
            Box::pin(async { store.close_session(alive.0).await.unwrap() == Some(ada) }),
        ),
    ];
    let mut waiting = Vec::new();
    for (what, mut work) in in_order {
        let early = tokio::time::timeout(Duration::from_millis(20), &mut work).await;
        assert!(early.is_err(), "{what} did not wait");
        waiting.push((what, work));
    }
    assert!(
        is_accepted(store, alive).await,
        "nothing of that has happened yet"
    );

    orders.send(Order::Load).unwrap();
    for (what, work) in waiting {
        assert!(work.await, "{what}");
    }
    assert!(!is_accepted(store, alive).await, "logged out");
    assert_eq!(store.count().await.unwrap().sessions, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_check_that_began_before_the_index_was_whole_revives_what_has_ended_since() {
    for _ in 0..20 {
        let directory = tempfile::tempdir().unwrap();
        let alive = with_a_session(&directory).await;
        let (store, orders) = open_late(&directory);
        let ended = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let checks: Vec<_> = (0..4)
            .map(|_| {
                let (store, ended) = (Arc::clone(&store), Arc::clone(&ended));
                tokio::spawn(async move {
                    for _ in 0..20_000 {
                        let was_over = ended.load(std::sync::atomic::Ordering::SeqCst);
                        let accepted = is_accepted(&store, alive).await;
                        assert!(!(was_over && accepted), "accepted after the log-out was answered");
                        if was_over {
                            return;
                        }
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        orders.send(Order::Load).unwrap();
        assert!(store.close_session(alive.0).await.unwrap().is_some());
        ended.store(true, std::sync::atomic::Ordering::SeqCst);
        for check in checks {
            check.await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_whose_sessions_cannot_be_read_serves_nobody_and_says_so_to_who_waits() {
    for order in [Order::Fail, Order::Panic] {
        let directory = tempfile::tempdir().unwrap();
        let alive = with_a_session(&directory).await;
        let (store, orders) = open_late(&directory);
        let waiting = tokio::spawn({
            let store = Arc::clone(&store);
            async move { store.close_session(alive.0).await }
        });
        orders.send(order).unwrap();
        assert!(matches!(waiting.await.unwrap(), Err(StoreError::Closed)));
        // The thread refuses right after it has said that it failed.
        while store.committer.read(|_| Ok(())).is_ok() {
            tokio::task::yield_now().await;
        }
        let nobody = UserId::generate(NOW);
        assert!(store.close_sessions(nobody, Kept::default()).await.is_err());
        let checked = store.accepted(alive.0, alive.1, NOW).await;
        assert!(
            matches!(checked, Err(StoreError::Closed)),
            "neither good nor revoked: {checked:?}"
        );
        drop(store);
        assert!(!tally::Tally::read(directory.path()).unwrap().stopped_cleanly);
        assert!(
            is_accepted(&open(&directory, NOW), alive).await,
            "nothing was lost"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_wait_until_the_index_is_filled() {
    let directory = tempfile::tempdir().unwrap();
    let alive = with_a_session(&directory).await;
    let (store, orders) = open_late(&directory);
    drop(store);
    drop(orders);
    assert!(tally::Tally::read(directory.path()).unwrap().stopped_cleanly);
    assert!(is_accepted(&open(&directory, NOW), alive).await);
}

/// The data file, locked by somebody who is not sled.
fn lock(directory: &tempfile::TempDir) -> std::fs::File {
    let file = std::fs::File::options()
        .write(true)
        .open(directory.path().join(log_file::DATA_FILE))
        .unwrap();
    file.lock().unwrap();
    file
}

/// sled's threads may have a last thing to write when its last handle is gone, and hold its lock on the file meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_locked_for_a_moment_is_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let alive = with_a_session(&directory).await;
    let file = lock(&directory);
    let letting_go = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        file.unlock().unwrap();
    });
    assert!(is_accepted(&open(&directory, NOW), alive).await);
    letting_go.join().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_another_program_has_locked_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let alive = with_a_session(&directory).await;
    let file = lock(&directory);
    let refusal = try_open(&directory, NOW).err().unwrap();
    assert!(
        refusal.to_string().contains("another program has it open"),
        "{refusal}"
    );
    drop(file);
    assert!(is_accepted(&open(&directory, NOW), alive).await);
}

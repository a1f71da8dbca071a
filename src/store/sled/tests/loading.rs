//! While the index is being filled.

use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use secrecy::{ExposeSecret, SecretSlice};

use super::{HOUR, NOW, config, is_accepted, open, with_a_session};
use crate::{
    domain::{KeyRing, Refresh, RefreshTokenOutcome, SessionId, TokenId, TokenPolicy, UserId, Username},
    event::Listeners,
    store::{
        api_tokens::ApiTokens as _,
        backend::Store as _,
        error::StoreError,
        keys::{KeyRingUpdate, Keys as _},
        sessions::{Kept, Sessions as _},
        sled::{
            SledStore,
            commit::{committer::Load, worker::Worker},
            file::{database::Database, open as file, tally::Tally},
            memory::index::Index,
        },
        users::Users as _,
    },
};

/// How filling the index continues.
enum Order {
    Load,
    /// As sled reports damage.
    Panic,
    Fail,
}

/// Opens the database. The index is filled when the sender says so.
fn open_late(directory: &tempfile::TempDir) -> (Arc<SledStore>, mpsc::Sender<Order>) {
    let config = config(directory.path());
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
    let (opened, lock) = file::open(&config, |_, _| Ok(())).unwrap();
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

#[tokio::test(flavor = "multi_thread")]
async fn no_live_session_is_handed_out_before_the_index_is_whole() {
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
async fn keys_are_kept_while_the_index_is_being_filled() {
    let directory = tempfile::tempdir().unwrap();
    let alive = with_a_session(&directory).await;
    let (store, orders) = open_late(&directory);
    let commits = || Tally::read(directory.path()).unwrap().commits;
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

    // Each was made durable by itself.
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
async fn only_token_checks_do_not_wait_for_the_index() {
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
    assert!(is_accepted(store, alive).await, "none of that has happened yet");

    orders.send(Order::Load).unwrap();
    for (what, work) in waiting {
        assert!(work.await, "{what}");
    }
    assert!(!is_accepted(store, alive).await, "logged out");
    assert_eq!(store.count().await.unwrap().sessions, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_early_check_revives_a_session_that_has_ended() {
    for _ in 0..20 {
        let directory = tempfile::tempdir().unwrap();
        let alive = with_a_session(&directory).await;
        let (store, orders) = open_late(&directory);
        let ended = Arc::new(AtomicBool::new(false));
        let checks: Vec<_> = (0..4)
            .map(|_| {
                let (store, ended) = (Arc::clone(&store), Arc::clone(&ended));
                tokio::spawn(async move {
                    for _ in 0..20_000 {
                        let was_over = ended.load(Ordering::SeqCst);
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
        ended.store(true, Ordering::SeqCst);
        for check in checks {
            check.await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_sessions_refuse_every_caller() {
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
        // The thread begins to refuse right after it has reported the failure.
        while store.committer.read(|_| Ok(())).is_ok() {
            tokio::task::yield_now().await;
        }
        let unknown = UserId::generate(NOW);
        assert!(store.close_sessions(unknown, Kept::default()).await.is_err());
        let checked = store.accepted(alive.0, alive.1, NOW).await;
        assert!(
            matches!(checked, Err(StoreError::Closed)),
            "neither good nor revoked: {checked:?}"
        );
        drop(store);
        assert!(!Tally::read(directory.path()).unwrap().stopped_cleanly);
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
    assert!(Tally::read(directory.path()).unwrap().stopped_cleanly);
    assert!(is_accepted(&open(&directory, NOW), alive).await);
}

//! A clock that was set back between two starts.

use super::{HOUR, NOW, open, with_a_session};
use crate::{
    domain::UserId,
    store::{
        backend::Store as _,
        sessions::{Kept, Sessions as _},
    },
};

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_set_back_between_two_starts_revives_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (session, token) = with_a_session(&directory).await;
    let store = open(&directory, NOW);
    let late = NOW.plus(HOUR);
    assert_eq!(store.accepted(session, token, late).await.unwrap(), None);
    // Any write will do, such as ending the sessions of an unknown user.
    let unknown = UserId::generate(NOW);
    store.close_sessions(unknown, Kept::default()).await.unwrap();
    drop(store);

    let store = open(&directory, NOW);
    assert_eq!(store.latest(), late);
    assert_eq!(
        store.accepted(session, token, store.latest()).await.unwrap(),
        None
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_set_back_a_little_ends_no_live_session() {
    let directory = tempfile::tempdir().unwrap();
    let (session, token) = with_a_session(&directory).await;
    let store = open(&directory, NOW.minus(HOUR));
    assert_eq!(store.latest(), NOW);
    assert!(store.accepted(session, token, NOW).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_by_any_clock_deletes_nothing_that_may_be_live() {
    let year = 365 * 24 * HOUR;
    for wrong in [
        NOW.minus(year),
        NOW.minus(48 * HOUR),
        NOW.plus(48 * HOUR),
        NOW.plus(year),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let (session, _) = with_a_session(&directory).await;
        // Each start writes, and the next one goes on from that.
        for now in [wrong, wrong, NOW] {
            let store = open(&directory, now);
            assert_eq!(store.latest(), NOW.max(wrong));
            let there = store.index.session(session);
            assert!(there.is_some(), "{wrong}");
            let unknown = UserId::generate(NOW);
            store.close_sessions(unknown, Kept::default()).await.unwrap();
            assert_eq!(store.settled(), NOW);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_had_expired_before_a_start_is_removed_by_it() {
    let directory = tempfile::tempdir().unwrap();
    let (session, _) = with_a_session(&directory).await;
    let store = open(&directory, NOW.plus(3 * HOUR));
    assert_eq!(store.index.session(session), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_was_years_ahead_is_left_for_good() {
    let directory = tempfile::tempdir().unwrap();
    with_a_session(&directory).await;
    let before = NOW.minus(365 * 24 * HOUR);
    let store = open(&directory, before);
    assert_eq!(store.latest(), NOW);
    store.close_every_session().await.unwrap();
    store.go_back(NOW, before).await.unwrap();
    assert_eq!((store.latest(), store.settled()), (before, before));
    store.index.saw(NOW);
    assert_eq!(store.latest(), before, "a request that began before that");
    store.index.saw(before.plus(HOUR));
    assert_eq!(store.latest(), before.plus(HOUR));
    drop(store);
    assert_eq!(open(&directory, before).latest(), before);
}

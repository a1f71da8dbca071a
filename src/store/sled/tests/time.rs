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
    assert_eq!(store.index.session(session), None);
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
async fn a_clock_that_was_years_ahead_costs_the_sessions() {
    let directory = tempfile::tempdir().unwrap();
    let (session, _) = with_a_session(&directory).await;
    let before = NOW.minus(365 * 24 * HOUR);
    for _ in 0..2 {
        let store = open(&directory, before);
        assert_eq!(store.latest(), before);
        assert_eq!(store.index.session(session), None);
        let unknown = UserId::generate(NOW);
        store.close_sessions(unknown, Kept::default()).await.unwrap();
    }
}

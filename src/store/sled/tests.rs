//! What a clock that was set back does to a database, and what costs no write.

use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const HOUR: Duration = Duration::from_hours(1);

fn open(directory: &tempfile::TempDir, now: Timestamp) -> SledStore {
    SledStore::open(directory.path(), 1 << 20, now).unwrap()
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

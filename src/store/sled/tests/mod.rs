//! What is true of a [`SledStore`] beyond the contract of every store.

mod imports;
mod loading;
mod opening;
mod time;
mod trail;
mod upgrade;

use std::{path::Path, time::Duration};

use super::SledStore;
use crate::{
    clock::Timestamp,
    config::StoreConfig,
    domain::{Session, SessionId, TokenId, User},
    event::Listeners,
    store::{
        error::OpenError,
        sessions::Sessions as _,
        users::{UserCreation, Users as _},
    },
};

pub(super) const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const HOUR: Duration = Duration::from_hours(1);

pub(super) fn open(directory: &tempfile::TempDir, now: Timestamp) -> SledStore {
    try_open(directory, now).unwrap()
}

fn try_open(directory: &tempfile::TempDir, now: Timestamp) -> Result<SledStore, OpenError> {
    SledStore::open(&config(directory.path()), now, Listeners::default())
}

fn config(path: &Path) -> StoreConfig {
    StoreConfig {
        path: path.to_owned(),
        cache: 1 << 20,
    }
}

/// Makes a database with a session that lasts for two hours and a token that lasts for one.
async fn with_a_session(directory: &tempfile::TempDir) -> (SessionId, TokenId) {
    let store = open(directory, NOW);
    let user = User::sample("ada", NOW);
    let (session, token) = Session::start(user.id, HOUR, 2 * HOUR, NOW);
    let id = session.id;
    assert_eq!(
        store.create_user(user, None).await.unwrap(),
        UserCreation::Created
    );
    assert!(store.open_session(session, 0, 9, None).await.unwrap().is_some());
    assert_eq!(store.index.latest(), NOW);
    (id, token.id)
}

async fn is_accepted(store: &SledStore, (session, token): (SessionId, TokenId)) -> bool {
    let accepted = store.accepted(session, token, NOW).await.unwrap();
    accepted.is_some_and(|accepted| accepted.user.username.as_str() == "ada")
}

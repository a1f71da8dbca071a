//! What the promises share: values to store, and steps that most of them take.

use std::{sync::Arc, time::Duration};

use crate::{
    clock::Timestamp,
    domain::{
        ApiToken, ApiTokenHash, ApiTokenId, ApiTokenName, Client, ClientAddress, DisplayName, Network,
        PasswordHash, RefreshTokenOutcome, Role, Session, TokenId, TokenPolicy, TokenRecord, User,
        UserChange, UserId, Username,
    },
    store::{
        api_tokens::ApiTokenCreation,
        backend::Store,
        users::{UserCreation, UserDeletion},
    },
};

pub(super) const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
pub(super) const DAY: Duration = Duration::from_hours(24);
pub(super) const WEEK: Duration = Duration::from_hours(7 * 24);
/// A bound of sessions that few tests reach.
pub(super) const MOST: usize = 100;
pub(super) const POLICY: TokenPolicy = TokenPolicy {
    lifetime: Duration::from_mins(5),
    refresh_window: Duration::from_secs(30),
    refresh_grace: Duration::from_secs(10),
};

pub(super) fn later(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

/// A client in [`network`] `n`.
pub(super) fn client(n: u16) -> Client {
    let [high, low] = n.to_be_bytes();
    Client {
        address: Some(ClientAddress::new([192, 0, high, low].into())),
        device: None,
    }
}

pub(super) fn network(n: u16) -> Network {
    client(n).address.unwrap().network()
}

pub(super) fn hash(of: char) -> PasswordHash {
    PasswordHash::parse(&format!("$2b$12${}", of.to_string().repeat(53))).unwrap()
}

pub(super) fn name(name: &str) -> Username {
    Username::parse(name).unwrap()
}

pub(super) fn role(name: &str) -> Role {
    Role::parse(name).unwrap()
}

pub(super) fn user(username: &str) -> User {
    let roles = [Role::CLIENT, role("EDITOR")].into_iter().collect();
    User {
        display_name: DisplayName::parse("Ada ✨").ok(),
        ..User::new(name(username), hash('a'), roles, NOW)
    }
}

pub(super) async fn created(store: &Arc<dyn Store>, username: &str) -> User {
    let user = user(username);
    assert_eq!(
        store.create_user(user.clone(), None).await.unwrap(),
        UserCreation::Created
    );
    user
}

pub(super) async fn changed(store: &Arc<dyn Store>, id: UserId, change: UserChange) -> Arc<User> {
    let update = store.change_user(id, change).await.unwrap();
    update.changed().unwrap()
}

/// Deletes `user`, whose password has this version.
pub(super) async fn deleted(store: &Arc<dyn Store>, user: &User, verified: u32) {
    let deletion = store.delete_user(user.id, Some(verified)).await.unwrap();
    assert_eq!(deletion, UserDeletion::Deleted);
}

pub(super) async fn opened(store: &Arc<dyn Store>, user: &User, now: Timestamp) -> (Session, TokenRecord) {
    opened_by(store, user, Client::default(), now).await
}

/// The same for a client in [`network`] `n`.
pub(super) async fn opened_from(
    store: &Arc<dyn Store>,
    user: &User,
    n: u16,
    now: Timestamp,
) -> (Session, TokenRecord) {
    opened_by(store, user, client(n), now).await
}

async fn opened_by(
    store: &Arc<dyn Store>,
    user: &User,
    client: Client,
    now: Timestamp,
) -> (Session, TokenRecord) {
    let (mut session, token) = Session::start(user.id, POLICY.lifetime, Duration::from_hours(1), now);
    session.client = client;
    let opened = store
        .open_session(session.clone(), user.password_version, MOST, None)
        .await;
    assert!(opened.unwrap().is_some());
    (session, token)
}

/// Checks a token by the store and, if there is one, by the live session.
pub(super) async fn is_accepted(
    store: &Arc<dyn Store>,
    session: &Session,
    token: TokenId,
    now: Timestamp,
) -> bool {
    let accepted = store.accepted(session.id, token, now).await.unwrap();
    if let Some(live) = store.live_session(session.id) {
        assert_eq!(live.accepted(token, now), Ok(accepted.clone()));
    }
    accepted.is_some()
}

pub(super) async fn rotate(
    store: &Arc<dyn Store>,
    session: &Session,
    generation: u32,
    now: Timestamp,
) -> RefreshTokenOutcome {
    store
        .rotate(session.id, generation, POLICY, WEEK, now)
        .await
        .unwrap()
}

/// An API token of `user`. Each byte of its hash is `n`.
pub(super) fn api_token(user: &User, n: u8, now: Timestamp) -> ApiToken {
    ApiToken {
        id: ApiTokenId::generate(now),
        user: user.id,
        hash: ApiTokenHash::from_bytes([n; 32]),
        name: ApiTokenName::parse("deploy ✨").unwrap(),
        roles: [Role::CLIENT].into_iter().collect(),
        may_administer: n % 2 == 1,
        created_at: now,
        expires_at: now.plus(WEEK),
        used_at: None,
    }
}

/// Creates an API token.
pub(super) async fn added(store: &Arc<dyn Store>, user: &User, session: &Session, n: u8) -> ApiToken {
    let token = api_token(user, n, NOW);
    let creation = store.create_api_token(token.clone(), session.id, MOST).await;
    assert_eq!(creation.unwrap(), ApiTokenCreation::Created);
    token
}

pub(super) async fn is_good(store: &Arc<dyn Store>, token: &ApiToken, now: Timestamp) -> bool {
    let accepted = store.api_token_accepted(token.hash, now).await.unwrap();
    accepted.is_some()
}

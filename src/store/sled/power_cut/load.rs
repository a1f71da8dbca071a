//! What is written before a cut, and what the store has acknowledged of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    super::{SledStore, trees::Trees},
    LIFETIME, NOW,
    image::Dice,
};
use crate::{
    domain::{
        ApiToken, ApiTokenHash, Refresh, Role, Session, SessionId, TokenId, TokenPolicy, TokenRecord, User,
        UserChange, UserId, UserRoles, Username,
    },
    store::{ApiTokenCreation, ApiTokens as _, Sessions as _, UserCreation, Users as _},
};

const MOST_USERS: usize = 2000;
const MOST_SESSIONS: usize = 600;
const MOST_API_TOKENS: usize = 200;

/// One write.
pub(super) enum Op {
    SignUp(User),
    SignIn(Session),
    Refresh(SessionId, TokenId),
    LogOut(SessionId),
    AddApiToken(ApiToken, SessionId),
    RevokeApiToken(ApiToken),
    ChangeUser(User),
}

impl Op {
    /// Requests the write, and returns the token that a refresh minted.
    pub(super) async fn perform(&self, store: &SledStore) -> Option<TokenRecord> {
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
                match store.refresh(*session, *token, policy, NOW).await.unwrap() {
                    Refresh::Minted(minted) => return Some(minted),
                    other => panic!("{other:?}"),
                }
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
        None
    }
}

/// What the store has acknowledged.
#[derive(Clone, Default)]
pub(super) struct Known {
    users: BTreeMap<Username, User>,
    /// Each session, or `None` once it is closed.
    sessions: BTreeMap<SessionId, Option<Session>>,
    /// Each API token, or `None` once it is revoked.
    api_tokens: BTreeMap<ApiTokenHash, Option<ApiToken>>,
}

impl Known {
    pub(super) fn live(&self) -> Vec<&Session> {
        self.sessions.values().flatten().collect()
    }

    pub(super) fn good_api_tokens(&self) -> Vec<&ApiToken> {
        self.api_tokens.values().flatten().collect()
    }

    /// The next write, to something that is not in `busy`: two concurrent writes of one thing could come in either order.
    pub(super) fn next(&self, dice: &mut Dice, busy: &mut BTreeSet<[u8; 16]>) -> Op {
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

    /// Adds what `op` has changed, of which `minted` was answered. The store's memory says what else a refresh changes in its
    /// session, such as when the earlier token ends: `tests/model.rs` judges that.
    pub(super) fn note(&mut self, op: Op, minted: Option<TokenRecord>, store: &SledStore) {
        match op {
            Op::SignUp(user) | Op::ChangeUser(user) => {
                self.users.insert(user.username.clone(), user);
            }
            Op::SignIn(session) => {
                self.sessions.insert(session.id, Some(session));
            }
            Op::Refresh(id, _) => {
                let session = store.index.session(id).unwrap();
                assert_eq!(session.tokens.last().map(|newest| newest.token), minted);
                self.sessions.insert(id, Some(session));
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
    pub(super) fn found_in(&self, store: &SledStore, asked: &Self) -> Result<Self, String> {
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

pub(super) fn user() -> User {
    let id = UserId::generate(NOW);
    let name = format!("user-{}", &id.to_string()[24..]);
    User {
        id,
        roles: [Role::CLIENT].into_iter().collect(),
        ..User::sample(&name, NOW)
    }
}

/// Roles without that of administrators, of whom one would have to stay.
fn roles(dice: &mut Dice) -> UserRoles {
    let names = ["CLIENT", "EDITOR", "AUTHOR", "GUEST"].map(|name| Role::parse(name).unwrap());
    names.into_iter().filter(|_| dice.one_in(2)).collect()
}

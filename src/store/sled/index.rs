//! The whitelist in memory: every live session with its tokens, every API token, and the users they speak for. Once it is
//! filled (see [loading](super::loading)) the token check reads only this. It changes after a write has reached the disk and before that write is answered, so it never accepts what
//! could be lost, and refuses what has been revoked from the moment the revocation is answered.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use dashmap::{DashMap, Entry};
use smallvec::SmallVec;

use super::{
    indexed_session::{IndexedSession, Latest},
    live_tokens::LiveApiTokens,
};
use crate::{
    clock::Timestamp,
    domain::{ApiToken, ApiTokenHash, Session, SessionId, TokenId, User, UserId},
    store::{Accepted, AcceptedApiToken, LiveSession as _},
};

#[derive(Default)]
pub(super) struct Index {
    /// Each is ended as soon as it is taken out: whoever still has it is told so by itself.
    sessions: DashMap<SessionId, Arc<IndexedSession>>,
    pub(super) api_tokens: LiveApiTokens,
    /// Boxed, because a table has up to twice as many places as entries.
    users: DashMap<UserId, Box<LiveUser>>,
    /// When each session expires, soonest first. Only writes take this lock, never the token check.
    expiries: Mutex<BTreeSet<(Timestamp, SessionId)>>,
    latest: Arc<Latest>,
}

/// A user with at least one live session or API token.
#[derive(Default)]
struct LiveUser {
    user: Option<Arc<User>>,
    sessions: SmallVec<[SessionId; 1]>,
    api_tokens: Vec<ApiTokenHash>,
}

/// What ends together.
#[derive(Default)]
pub(super) struct Ended {
    pub(super) sessions: Vec<SessionId>,
    pub(super) api_tokens: Vec<Arc<ApiToken>>,
}

impl From<Vec<SessionId>> for Ended {
    fn from(sessions: Vec<SessionId>) -> Self {
        Self {
            sessions,
            ..Self::default()
        }
    }
}

impl Ended {
    pub(super) fn len(&self) -> usize {
        self.sessions.len() + self.api_tokens.len()
    }
}

impl Index {
    /// The session as it is from now on, to be asked without being looked for.
    pub(super) fn live(&self, id: SessionId) -> Option<Arc<IndexedSession>> {
        self.sessions.get(&id).map(|live| Arc::clone(&live))
    }

    pub(super) fn accepted(&self, id: SessionId, token: TokenId, now: Timestamp) -> Option<Accepted> {
        self.sessions.get(&id)?.accepted(token, now)
    }

    pub(super) fn accepted_api_token(&self, hash: ApiTokenHash, now: Timestamp) -> Option<AcceptedApiToken> {
        let token = self.api_tokens.good(hash, now)?;
        let user = self.user(token.user)?;
        if !user.disabled {
            self.api_tokens.use_at(hash, now);
        }
        Some(AcceptedApiToken { user, token })
    }

    /// Takes note of the time.
    pub(super) fn saw(&self, now: Timestamp) {
        self.latest.saw(now);
    }

    pub(super) fn latest(&self) -> Timestamp {
        self.latest.get()
    }

    pub(super) fn session(&self, id: SessionId) -> Option<Session> {
        self.sessions.get(&id)?.session()
    }

    pub(super) fn session_and_user(&self, id: SessionId) -> Option<(Session, Arc<User>)> {
        self.sessions.get(&id)?.session_and_user()
    }

    /// The session with the moment of its last use, also if the disk does not know it yet.
    pub(super) fn session_as_used(&self, id: SessionId) -> Option<Session> {
        self.sessions.get(&id)?.session_as_used()
    }

    pub(super) fn count_of(&self, user: UserId) -> usize {
        self.users.get(&user).map_or(0, |live| live.sessions.len())
    }

    pub(super) fn sessions_of(&self, user: UserId) -> Vec<SessionId> {
        self.users
            .get(&user)
            .map_or_else(Vec::new, |live| live.sessions.to_vec())
    }

    pub(super) fn api_tokens_of(&self, user: UserId) -> Vec<Arc<ApiToken>> {
        // The user is let go of first: whoever adds a token holds a user and wants the tokens.
        let live = self.users.get(&user).map(|live| live.api_tokens.clone());
        let hashes = live.unwrap_or_default().into_iter();
        hashes.filter_map(|hash| self.api_tokens.get(hash)).collect()
    }

    pub(super) fn user(&self, id: UserId) -> Option<Arc<User>> {
        self.users.get(&id)?.user.clone()
    }

    /// Everybody with a live session or API token.
    pub(super) fn users(&self) -> Vec<Arc<User>> {
        self.users.iter().filter_map(|live| live.user.clone()).collect()
    }

    /// Those whose sessions have been loaded and who have not, in the order of the database.
    pub(super) fn unknown_users(&self) -> Vec<UserId> {
        let unknown = self.users.iter().filter(|live| live.user.is_none());
        let mut unknown: Vec<_> = unknown.map(|live| *live.key()).collect();
        unknown.sort_unstable();
        unknown
    }

    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Up to `at_most` sessions that have expired by `now`, soonest first.
    pub(super) fn expired(&self, now: Timestamp, at_most: usize) -> Vec<SessionId> {
        let expiries = self.expiries();
        let due = expiries.iter().take_while(|(expires_at, _)| *expires_at <= now);
        due.take(at_most).map(|(_, id)| *id).collect()
    }

    /// Up to `at_most` sessions.
    pub(super) fn any(&self, at_most: usize) -> Vec<SessionId> {
        self.expiries().iter().take(at_most).map(|(_, id)| *id).collect()
    }

    pub(super) fn open(&self, session: Session, user: Arc<User>) {
        self.insert(session, Some(user));
    }

    /// A session whose user will be told by [`change`](Self::change).
    pub(super) fn load(&self, session: Session) {
        self.insert(session, None);
    }

    fn insert(&self, session: Session, user: Option<Arc<User>>) {
        self.enter(session.user, user.clone(), |live| live.sessions.push(session.id));
        self.expiries().insert((session.expires_at(), session.id));
        let id = session.id;
        let live = IndexedSession::of(session, user, Arc::clone(&self.latest));
        if let Some(other) = self.sessions.insert(id, Arc::new(live)) {
            other.end();
        }
    }

    /// A session as it is after a refresh.
    pub(super) fn replace(&self, session: Session) {
        let Some(live) = self.sessions.get(&session.id) else {
            return;
        };
        let (id, expires_at) = (session.id, session.expires_at());
        let Some(before) = live.replace(session) else {
            return;
        };
        let mut expiries = self.expiries();
        expiries.remove(&(before.expires_at(), id));
        expiries.insert((expires_at, id));
    }

    pub(super) fn add_api_token(&self, token: Arc<ApiToken>, user: Arc<User>) {
        self.enter(user.id, Some(user), |live| live.api_tokens.push(token.hash));
        self.api_tokens.insert(token);
    }

    pub(super) fn end(&self, ended: &Ended) {
        self.close(&ended.sessions);
        for token in &ended.api_tokens {
            self.api_tokens.remove(token);
            self.leave(token.user, |live| {
                live.api_tokens.retain(|hash| *hash != token.hash);
            });
        }
    }

    pub(super) fn close(&self, ids: &[SessionId]) {
        for id in ids {
            let ended = self.sessions.remove(id).and_then(|(_, live)| live.end());
            let Some(session) = ended else {
                continue;
            };
            self.expiries().remove(&(session.expires_at(), *id));
            self.leave(session.user, |live| live.sessions.retain(|other| other != id));
        }
    }

    pub(super) fn change(&self, user: &Arc<User>) {
        let Some(sessions) = self.users.get_mut(&user.id).map(|mut live| {
            live.user = Some(Arc::clone(user));
            live.sessions.clone()
        }) else {
            return;
        };
        for id in sessions {
            if let Some(live) = self.sessions.get(&id) {
                live.change(Arc::clone(user));
            }
        }
    }

    /// Takes note of something of a user's, and of them as they are now, if that is known.
    fn enter(&self, id: UserId, user: Option<Arc<User>>, add: impl FnOnce(&mut LiveUser)) {
        // The user goes in before what is theirs and out after it, so that nothing is ever seen without its user.
        let mut live = self.users.entry(id).or_default();
        if user.is_some() {
            live.user = user;
        }
        add(&mut live);
    }

    /// Takes note that something of a user's is gone.
    fn leave(&self, user: UserId, remove: impl FnOnce(&mut LiveUser)) {
        if let Entry::Occupied(mut live) = self.users.entry(user) {
            remove(live.get_mut());
            if live.get().sessions.is_empty() && live.get().api_tokens.is_empty() {
                live.remove();
            }
        }
    }

    fn expiries(&self) -> MutexGuard<'_, BTreeSet<(Timestamp, SessionId)>> {
        // Each use leaves the set whole, so a panic while it was held has broken nothing.
        self.expiries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! The whitelist in memory: every live session with its tokens, every API token, and the users they speak for. Once it is
//! filled (see [loading](super::loading)), the token check reads nothing else. It changes after a write has reached the disk and
//! before that write is answered. So it never accepts what could be lost, and refuses what has been revoked from the moment
//! the revocation is answered.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use dashmap::{DashMap, Entry};
use smallvec::SmallVec;

use super::{
    indexed_session::{IndexedSession, Latest},
    live_tokens::LiveApiTokens,
    reserved::ReservedNames,
    waiting::WaitingEvents,
};
use crate::{
    clock::Timestamp,
    domain::{ApiToken, ApiTokenHash, Session, SessionId, SharedUser, TokenId, User, UserId},
    store::{
        api_tokens::AcceptedApiToken,
        sessions::{Accepted, LiveSession as _},
    },
};

#[derive(Default)]
pub(crate) struct Index {
    /// A session is outdated once it is removed or replaced here, and then says so to every holder of its handle.
    sessions: DashMap<SessionId, Arc<IndexedSession>>,
    pub(crate) api_tokens: LiveApiTokens,
    /// The names of the users of an import.
    pub(crate) reserved: ReservedNames,
    /// Boxed, because a table has room for up to twice its entries.
    users: DashMap<UserId, Box<LiveUser>>,
    /// When each session expires, soonest first. Only writes take this lock, never the token check.
    expiries: Mutex<BTreeSet<(Timestamp, SessionId)>>,
    latest: Arc<Latest>,
    settled: Latest,
    /// Not part of the whitelist: what is to be written with the next group of writes.
    pub(crate) waiting: WaitingEvents,
}

/// A user with at least one live session or API token.
struct LiveUser {
    /// In the same memory as one of the user's sessions, usually a live one.
    user: SharedUser,
    sessions: SmallVec<[SessionId; 1]>,
    api_tokens: Vec<ApiTokenHash>,
}

/// Sessions and API tokens that end together.
#[derive(Default)]
pub(crate) struct Ended {
    pub(crate) sessions: Vec<SessionId>,
    pub(crate) api_tokens: Vec<Arc<ApiToken>>,
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
    pub(crate) fn len(&self) -> usize {
        self.sessions.len() + self.api_tokens.len()
    }
}

impl Index {
    /// Returns a handle of the session, which checks tokens without a lookup.
    pub(crate) fn live(&self, id: SessionId) -> Option<Arc<IndexedSession>> {
        self.sessions.get(&id).map(|live| Arc::clone(&live))
    }

    pub(crate) fn accepted(&self, id: SessionId, token: TokenId, now: Timestamp) -> Option<Accepted> {
        loop {
            // An outdated session has been replaced or removed since the lookup.
            if let Ok(accepted) = self.live(id)?.accepted(token, now) {
                return accepted;
            }
        }
    }

    pub(crate) fn accepted_api_token(&self, hash: ApiTokenHash, now: Timestamp) -> Option<AcceptedApiToken> {
        let token = self.api_tokens.good(hash, now)?;
        let user = self.user(token.user)?;
        if !user.disabled {
            self.api_tokens.use_at(hash, now);
        }
        Some(AcceptedApiToken { user, token })
    }

    /// Notes the time.
    pub(crate) fn saw(&self, now: Timestamp) {
        self.latest.saw(now);
    }

    pub(crate) fn latest(&self) -> Timestamp {
        self.latest.get()
    }

    pub(crate) fn settled(&self) -> Timestamp {
        self.settled.get()
    }

    pub(crate) fn note_time(&self, now: Timestamp, settled: Timestamp) {
        self.latest.note(now);
        self.settled.note(settled);
    }

    /// From now on the time is `to`, which is earlier.
    pub(crate) fn go_back(&self, to: Timestamp) {
        self.latest.go_back(to);
        self.settled.go_back(to.min(self.settled()));
        self.api_tokens.go_back(to);
    }

    pub(crate) fn session(&self, id: SessionId) -> Option<Session> {
        self.sessions.get(&id)?.copy()
    }

    /// Returns the session with its last use, also if the disk does not have it yet.
    pub(crate) fn session_as_used(&self, id: SessionId) -> Option<Session> {
        self.sessions.get(&id)?.copy_as_used()
    }

    pub(crate) fn count_of(&self, user: UserId) -> usize {
        self.users.get(&user).map_or(0, |live| live.sessions.len())
    }

    pub(crate) fn sessions_of(&self, user: UserId) -> Vec<SessionId> {
        self.users
            .get(&user)
            .map_or_else(Vec::new, |live| live.sessions.to_vec())
    }

    pub(crate) fn api_tokens_of(&self, user: UserId) -> Vec<Arc<ApiToken>> {
        // The lock of the user is released first: a thread that adds a token holds a user and then takes the tokens.
        let live = self.users.get(&user).map(|live| live.api_tokens.clone());
        let hashes = live.unwrap_or_default().into_iter();
        hashes.filter_map(|hash| self.api_tokens.get(hash)).collect()
    }

    pub(crate) fn user(&self, id: UserId) -> Option<SharedUser> {
        Some(self.users.get(&id)?.user.clone())
    }

    /// Returns every user with a live session or API token.
    pub(crate) fn users(&self) -> Vec<SharedUser> {
        self.users.iter().map(|live| live.user.clone()).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Returns up to `at_most` sessions that have expired by `now`, soonest first.
    pub(crate) fn expired(&self, now: Timestamp, at_most: usize) -> Vec<SessionId> {
        let expiries = self.expiries();
        let due = expiries.iter().take_while(|(expires_at, _)| *expires_at <= now);
        due.take(at_most).map(|(_, id)| *id).collect()
    }

    /// Returns up to `at_most` sessions.
    pub(crate) fn any(&self, at_most: usize) -> Vec<SessionId> {
        self.expiries().iter().take(at_most).map(|(_, id)| *id).collect()
    }

    pub(crate) fn open(&self, session: Session, user: User) {
        let (id, owner, expires_at) = (session.id, user.id, session.expires_at());
        let live = Arc::new(IndexedSession::of(session, user, Arc::clone(&self.latest)));
        self.enter(owner, Arc::clone(&live).into(), |live| live.sessions.push(id));
        self.expiries().insert((expires_at, id));
        if let Some(other) = self.sessions.insert(id, live) {
            other.end();
        }
    }

    /// Replaces a session after a refresh. Does nothing if it has ended.
    pub(crate) fn replace(&self, session: Session) {
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

    pub(crate) fn add_api_token(&self, token: Arc<ApiToken>, user: SharedUser) {
        // The user who is in memory already is at least as new.
        let user = self.user(user.id).unwrap_or(user);
        self.enter(user.id, user, |live| live.api_tokens.push(token.hash));
        self.api_tokens.insert(token);
    }

    pub(crate) fn end(&self, ended: &Ended) {
        self.close(&ended.sessions);
        for token in &ended.api_tokens {
            self.api_tokens.remove(token);
            self.leave(token.user, |live| {
                live.api_tokens.retain(|hash| *hash != token.hash);
            });
        }
    }

    pub(crate) fn close(&self, ids: &[SessionId]) {
        for id in ids {
            let ended = self.sessions.remove(id).and_then(|(_, live)| live.end());
            let Some(session) = ended else {
                continue;
            };
            self.expiries().remove(&(session.expires_at(), *id));
            self.leave(session.user, |live| live.sessions.retain(|other| other != id));
        }
    }

    pub(crate) fn change(&self, user: &Arc<User>) {
        let Some(mut owner) = self.users.get_mut(&user.id) else {
            return;
        };
        owner.user = Arc::clone(user).into();
        for id in owner.sessions.clone() {
            let Some(mut live) = self.sessions.get_mut(&id) else {
                continue;
            };
            if let Some(changed) = live.pass_on(User::clone(user)) {
                *live = Arc::new(changed);
                owner.user = Arc::clone(&live).into();
            }
        }
    }

    /// Adds something of a user's, and replaces the user.
    fn enter(&self, id: UserId, user: SharedUser, add: impl FnOnce(&mut LiveUser)) {
        // The user is added before what belongs to them, and removed after it, so nothing is ever visible without its user.
        let mut live = self.users.entry(id).or_insert_with(|| {
            Box::new(LiveUser {
                user: user.clone(),
                sessions: SmallVec::new(),
                api_tokens: Vec::new(),
            })
        });
        live.user = user;
        add(&mut live);
    }

    /// Removes something of a user's, and the user with the last of it.
    fn leave(&self, user: UserId, remove: impl FnOnce(&mut LiveUser)) {
        if let Entry::Occupied(mut live) = self.users.entry(user) {
            remove(live.get_mut());
            if live.get().sessions.is_empty() && live.get().api_tokens.is_empty() {
                live.remove();
            }
        }
    }

    fn expiries(&self) -> MutexGuard<'_, BTreeSet<(Timestamp, SessionId)>> {
        // Each use leaves the set whole, so a panic of its holder has broken nothing.
        self.expiries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! The whitelist in memory: every live session with its tokens, and the users they speak for. The token check reads
//! only this. It changes after a write has reached the disk and before that write is answered, so it never accepts what
//! could be lost, and refuses what has been revoked from the moment the revocation is answered.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use dashmap::{DashMap, Entry};

use crate::{
    clock::Timestamp,
    domain::{Session, SessionId, TokenId, User, UserId},
    store::Accepted,
};

#[derive(Default)]
pub(super) struct Index {
    sessions: DashMap<SessionId, Session>,
    users: DashMap<UserId, LiveUser>,
    /// When each session expires, soonest first. Only writes take this lock, never the token check.
    expiries: Mutex<BTreeSet<(Timestamp, SessionId)>>,
    /// The latest moment that anybody has named, in seconds.
    latest: AtomicU64,
}

/// A user with at least one live session.
struct LiveUser {
    user: Arc<User>,
    sessions: usize,
}

impl Index {
    pub(super) fn accepted(&self, id: SessionId, token: TokenId, now: Timestamp) -> Option<Accepted> {
        let (token, session_ends_at, user) = {
            let session = self.sessions.get(&id)?;
            (session.accepts(token, now)?, session.ends_at, session.user)
        };
        let user = self.user(user)?;
        Some(Accepted {
            user,
            token,
            session_ends_at,
        })
    }

    /// Takes note of the time.
    pub(super) fn saw(&self, now: Timestamp) {
        // Written once a second, read at every request.
        if self.latest.load(Ordering::Relaxed) < now.as_secs() {
            self.latest.fetch_max(now.as_secs(), Ordering::Relaxed);
        }
    }

    pub(super) fn latest(&self) -> Timestamp {
        Timestamp::from_secs(self.latest.load(Ordering::Relaxed))
    }

    pub(super) fn session(&self, id: SessionId) -> Option<Session> {
        self.sessions.get(&id).map(|session| session.clone())
    }

    pub(super) fn user(&self, id: UserId) -> Option<Arc<User>> {
        self.users.get(&id).map(|live| Arc::clone(&live.user))
    }

    /// Everybody with a live session.
    pub(super) fn users(&self) -> Vec<Arc<User>> {
        self.users.iter().map(|live| Arc::clone(&live.user)).collect()
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
        // The user goes in before the session and out after it, so that no session is ever seen without its user.
        match self.users.entry(user.id) {
            Entry::Occupied(mut live) => {
                let live = live.get_mut();
                live.user = user;
                live.sessions += 1;
            }
            Entry::Vacant(place) => {
                place.insert(LiveUser { user, sessions: 1 });
            }
        }
        self.expiries().insert((session.expires_at(), session.id));
        self.sessions.insert(session.id, session);
    }

    /// A session as it is after a refresh.
    pub(super) fn replace(&self, session: Session) {
        let Some(mut known) = self.sessions.get_mut(&session.id) else {
            return;
        };
        let mut expiries = self.expiries();
        expiries.remove(&(known.expires_at(), known.id));
        expiries.insert((session.expires_at(), session.id));
        *known = session;
    }

    pub(super) fn close(&self, id: SessionId) {
        let Some((_, session)) = self.sessions.remove(&id) else {
            return;
        };
        self.expiries().remove(&(session.expires_at(), id));
        if let Entry::Occupied(mut live) = self.users.entry(session.user) {
            live.get_mut().sessions -= 1;
            if live.get().sessions == 0 {
                live.remove();
            }
        }
    }

    pub(super) fn change(&self, user: &Arc<User>) {
        if let Some(mut live) = self.users.get_mut(&user.id) {
            live.user = Arc::clone(user);
        }
    }

    fn expiries(&self) -> std::sync::MutexGuard<'_, BTreeSet<(Timestamp, SessionId)>> {
        // Each use leaves the set whole, so a panic while it was held has broken nothing.
        self.expiries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

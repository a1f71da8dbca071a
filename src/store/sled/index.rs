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
    sessions: DashMap<SessionId, LiveSession>,
    users: DashMap<UserId, LiveUser>,
    /// When each session expires, soonest first. Only writes take this lock, never the token check.
    expiries: Mutex<BTreeSet<(Timestamp, SessionId)>>,
    /// The latest moment that anybody has named, in seconds.
    latest: AtomicU64,
}

/// A session, and what is known of it in memory alone.
struct LiveSession {
    session: Session,
    /// When it was used last, in seconds: durable only with the next write of the session.
    used_at: AtomicU64,
}

/// A user with at least one live session.
struct LiveUser {
    user: Arc<User>,
    sessions: Vec<SessionId>,
}

impl Index {
    pub(super) fn accepted(&self, id: SessionId, token: TokenId, now: Timestamp) -> Option<Accepted> {
        let (token, session_ends_at, user) = {
            let live = self.sessions.get(&id)?;
            let accepted = live.session.accepts(token, now)?;
            live.use_at(now);
            (accepted, live.session.ends_at, live.session.user)
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
        self.sessions.get(&id).map(|live| live.session.clone())
    }

    pub(super) fn session_and_user(&self, id: SessionId) -> Option<(Session, Arc<User>)> {
        let session = self.session(id)?;
        let user = self.user(session.user)?;
        Some((session, user))
    }

    /// The session with the moment of its last use, also if the disk does not know it yet.
    pub(super) fn session_as_used(&self, id: SessionId) -> Option<Session> {
        self.sessions.get(&id).map(|live| live.as_used())
    }

    pub(super) fn count_of(&self, user: UserId) -> usize {
        self.users.get(&user).map_or(0, |live| live.sessions.len())
    }

    pub(super) fn sessions_of(&self, user: UserId) -> Vec<SessionId> {
        self.users
            .get(&user)
            .map_or_else(Vec::new, |live| live.sessions.clone())
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
                live.sessions.push(session.id);
            }
            Entry::Vacant(place) => {
                let sessions = vec![session.id];
                place.insert(LiveUser { user, sessions });
            }
        }
        self.expiries().insert((session.expires_at(), session.id));
        self.sessions.insert(session.id, LiveSession::of(session));
    }

    /// A session as it is after a refresh.
    pub(super) fn replace(&self, session: Session) {
        let Some(mut known) = self.sessions.get_mut(&session.id) else {
            return;
        };
        let mut expiries = self.expiries();
        expiries.remove(&(known.session.expires_at(), session.id));
        expiries.insert((session.expires_at(), session.id));
        known.use_at(session.used_at);
        known.session = session;
    }

    pub(super) fn close(&self, ids: &[SessionId]) {
        for id in ids {
            let Some((_, LiveSession { session, .. })) = self.sessions.remove(id) else {
                continue;
            };
            self.expiries().remove(&(session.expires_at(), *id));
            if let Entry::Occupied(mut live) = self.users.entry(session.user) {
                live.get_mut().sessions.retain(|other| other != id);
                if live.get().sessions.is_empty() {
                    live.remove();
                }
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

impl LiveSession {
    fn of(session: Session) -> Self {
        Self {
            used_at: AtomicU64::new(session.used_at.as_secs()),
            session,
        }
    }

    fn use_at(&self, now: Timestamp) {
        // Written once a second at the most, though it is read at every request.
        if self.used_at.load(Ordering::Relaxed) < now.as_secs() {
            self.used_at.fetch_max(now.as_secs(), Ordering::Relaxed);
        }
    }

    fn as_used(&self) -> Session {
        Session {
            used_at: Timestamp::from_secs(self.used_at.load(Ordering::Relaxed)),
            ..self.session.clone()
        }
    }
}

//! A session in memory with its user, and with its last use, which the disk learns later. The index finds it by its id; a handle of
//! it checks tokens without the index.

use std::{
    hint, mem,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{
    clock::Timestamp,
    domain::{Session, TokenId, User},
    store::sessions::{Accepted, LiveSession, Outdated},
};

/// A moment after the time went back is from before if it is later than the present one by this much.
const LONGEST_LEAP: Duration = Duration::from_hours(12);

/// The latest moment that a caller has named.
#[derive(Default)]
pub(crate) struct Latest {
    seconds: AtomicU64,
    /// Whether the time has gone back: a caller may still name a moment from before.
    went_back: AtomicBool,
}

/// A session and its user, in one allocation that has all the token check reads. When the user changes, the session moves to
/// another allocation: a caller that was given a user keeps the state it was given.
pub(crate) struct IndexedSession {
    latest: Arc<Latest>,
    /// The last use, in seconds. It becomes durable with the next write of the session.
    used_at: AtomicU64,
    /// `None`, for ever, once the session has ended or moved to another allocation.
    session: RwLock<Option<Session>>,
    user: User,
}

impl Latest {
    pub(crate) fn saw(&self, now: Timestamp) {
        // Written once a second at the most, though it is read at every request.
        if self.seconds.load(Ordering::Relaxed) < now.as_secs() {
            self.rise(now);
        }
    }

    #[cold]
    fn rise(&self, now: Timestamp) {
        let is_from_before = self.went_back.load(Ordering::SeqCst) && now.since(self.get()) > LONGEST_LEAP;
        if !is_from_before {
            self.note(now);
        }
    }

    /// As [`saw`](Self::saw), by the word of the clock itself.
    pub(crate) fn note(&self, now: Timestamp) {
        self.seconds.fetch_max(now.as_secs(), Ordering::SeqCst);
    }

    /// From now on the time is `to`, which is earlier.
    pub(crate) fn go_back(&self, to: Timestamp) {
        self.went_back.store(true, Ordering::SeqCst);
        self.seconds.store(to.as_secs(), Ordering::SeqCst);
    }

    pub(crate) fn get(&self) -> Timestamp {
        Timestamp::from_secs(self.seconds.load(Ordering::Relaxed))
    }
}

impl LiveSession for IndexedSession {
    fn accepted(self: Arc<Self>, token: TokenId, now: Timestamp) -> Result<Option<Accepted>, Outdated> {
        self.latest.saw(now);
        let accepted = {
            let session = self.session();
            let session = session.as_ref().ok_or(Outdated)?;
            let accepted = session.accepts(token, now);
            if accepted.is_some() {
                // While the lock is held, because the use would be lost if the session moved first.
                rise(&self.used_at, now);
            }
            accepted.map(|token| (token, session.ends_at))
        };
        Ok(accepted.map(|(token, session_ends_at)| Accepted {
            user: self.into(),
            token,
            session_ends_at,
        }))
    }

    fn is_outdated(&self) -> bool {
        self.session().is_none()
    }

    fn approach(&self) {
        // The value is not used: reading it makes the processor fetch the memory.
        hint::black_box(self.used_at.load(Ordering::Relaxed));
    }
}

impl AsRef<User> for IndexedSession {
    fn as_ref(&self) -> &User {
        &self.user
    }
}

impl IndexedSession {
    pub(crate) fn of(session: Session, user: User, latest: Arc<Latest>) -> Self {
        Self {
            latest,
            used_at: AtomicU64::new(session.used_at.as_secs()),
            session: RwLock::new(Some(session)),
            user,
        }
    }

    /// Returns `None` if it has ended.
    pub(crate) fn copy(&self) -> Option<Session> {
        self.session().clone()
    }

    /// The same with the last use, also if the disk does not have it yet.
    pub(crate) fn copy_as_used(&self) -> Option<Session> {
        Some(Session {
            used_at: self.used_at(),
            ..self.copy()?
        })
    }

    fn used_at(&self) -> Timestamp {
        Timestamp::from_secs(self.used_at.load(Ordering::Relaxed))
    }

    /// Replaces the session after a refresh and returns what it was. Returns `None` and changes nothing if it has ended.
    pub(crate) fn replace(&self, session: Session) -> Option<Session> {
        rise(&self.used_at, session.used_at);
        Some(mem::replace(self.change().as_mut()?, session))
    }

    /// Moves the session to another allocation, with this user. This one is outdated from now on. Returns `None` if it was already.
    pub(crate) fn pass_on(&self, user: User) -> Option<Self> {
        let passed_on = Self::of(self.end()?, user, Arc::clone(&self.latest));
        rise(&passed_on.used_at, self.used_at());
        Some(passed_on)
    }

    /// Makes this outdated. Returns the session, or `None` if it was outdated already.
    pub(crate) fn end(&self) -> Option<Session> {
        self.change().take()
    }

    fn session(&self) -> RwLockReadGuard<'_, Option<Session>> {
        // It is only ever assigned to, so a panic of its holder has broken nothing.
        self.session.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, Option<Session>> {
        self.session.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Raises `latest` to `now`. It is written at most once a second, though it is read at every request.
fn rise(latest: &AtomicU64, now: Timestamp) {
    if latest.load(Ordering::Relaxed) < now.as_secs() {
        latest.fetch_max(now.as_secs(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_with_its_user_takes_at_most_360_bytes() {
        assert!(
            size_of::<IndexedSession>() <= 360,
            "{}",
            size_of::<IndexedSession>()
        );
    }
}

//! A session in memory with its user, and what is known of it there alone. The index finds it by its id; whoever has it asks it
//! by itself.

use std::{
    hint, mem,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    clock::Timestamp,
    domain::{Session, TokenId, User},
    store::sessions::{Accepted, LiveSession, Outdated},
};

/// The latest moment that anybody has named, in seconds.
#[derive(Default)]
pub(crate) struct Latest(AtomicU64);

/// A session and its user, in one piece of memory: all that the token check reads of them lies there. Another user, or the same
/// one changed, is another piece: whoever was told of a user has them as they were.
pub(crate) struct IndexedSession {
    latest: Arc<Latest>,
    /// When it was used last, in seconds: durable only with the next write of the session.
    used_at: AtomicU64,
    /// `None` once it has ended or is in another piece of memory, for ever.
    session: RwLock<Option<Session>>,
    user: User,
}

impl Latest {
    pub(crate) fn saw(&self, now: Timestamp) {
        rise(&self.0, now);
    }

    pub(crate) fn get(&self) -> Timestamp {
        Timestamp::from_secs(self.0.load(Ordering::Relaxed))
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
                // While nobody can pass it on: the use would stay behind.
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
        // Nobody needs the value, but now the memory has been asked for it.
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

    /// `None` if it has ended.
    pub(crate) fn copy(&self) -> Option<Session> {
        self.session().clone()
    }

    /// With the moment of its last use, also if the disk does not know it yet.
    pub(crate) fn copy_as_used(&self) -> Option<Session> {
        Some(Session {
            used_at: self.used_at(),
            ..self.copy()?
        })
    }

    fn used_at(&self) -> Timestamp {
        Timestamp::from_secs(self.used_at.load(Ordering::Relaxed))
    }

    /// The session as it is after a refresh. Returns what it was; `None`, and nothing is changed, if it has ended.
    pub(crate) fn replace(&self, session: Session) -> Option<Session> {
        rise(&self.used_at, session.used_at);
        Some(mem::replace(self.change().as_mut()?, session))
    }

    /// The same session in another piece of memory, with this user. This one is outdated from now on; `None` if it was already.
    pub(crate) fn pass_on(&self, user: User) -> Option<Self> {
        let passed_on = Self::of(self.end()?, user, Arc::clone(&self.latest));
        rise(&passed_on.used_at, self.used_at());
        Some(passed_on)
    }

    /// Is outdated from now on. Returns what it was, unless it was already.
    pub(crate) fn end(&self) -> Option<Session> {
        self.change().take()
    }

    fn session(&self) -> RwLockReadGuard<'_, Option<Session>> {
        // It is only ever assigned to, so a panic while it was held has broken nothing.
        self.session.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, Option<Session>> {
        self.session.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Written once a second at the most, though it is read at every request.
fn rise(latest: &AtomicU64, now: Timestamp) {
    if latest.load(Ordering::Relaxed) < now.as_secs() {
        latest.fetch_max(now.as_secs(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_with_its_user_takes_no_more_memory_than_it_has_to() {
        assert!(
            size_of::<IndexedSession>() <= 360,
            "{}",
            size_of::<IndexedSession>()
        );
    }
}

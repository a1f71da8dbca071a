//! A session in memory, and what is known of it there alone. The index finds it by its id; whoever has it asks it by itself.

use std::{
    mem,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    clock::Timestamp,
    domain::{Session, TokenId, User},
    store::{Accepted, LiveSession},
};

/// The latest moment that anybody has named, in seconds.
#[derive(Default)]
pub(super) struct Latest(AtomicU64);

/// A session as it is now. In this order what the token check reads lies side by side.
#[repr(C)]
pub(super) struct IndexedSession {
    latest: Arc<Latest>,
    /// When it was used last, in seconds: durable only with the next write of the session.
    used_at: AtomicU64,
    /// `None` once it has ended, for ever.
    state: RwLock<Option<State>>,
}

#[repr(C)]
struct State {
    /// Whose it is, as they are now: here as well as in the index, so that the token check looks in one place. Nobody while it
    /// is being loaded: it is accepted only once that is known.
    user: Option<Arc<User>>,
    session: Session,
}

impl Latest {
    pub(super) fn saw(&self, now: Timestamp) {
        rise(&self.0, now);
    }

    pub(super) fn get(&self) -> Timestamp {
        Timestamp::from_secs(self.0.load(Ordering::Relaxed))
    }
}

impl LiveSession for IndexedSession {
    fn accepted(&self, token: TokenId, now: Timestamp) -> Option<Accepted> {
        self.latest.saw(now);
        let state = self.state();
        let state = state.as_ref()?;
        let user = state.user.as_ref()?;
        let token = state.session.accepts(token, now)?;
        rise(&self.used_at, now);
        Some(Accepted {
            user: Arc::clone(user),
            token,
            session_ends_at: state.session.ends_at,
        })
    }
}

impl IndexedSession {
    pub(super) fn of(session: Session, user: Option<Arc<User>>, latest: Arc<Latest>) -> Self {
        Self {
            latest,
            used_at: AtomicU64::new(session.used_at.as_secs()),
            state: RwLock::new(Some(State { user, session })),
        }
    }

    pub(super) fn session(&self) -> Option<Session> {
        Some(self.state().as_ref()?.session.clone())
    }

    pub(super) fn session_and_user(&self) -> Option<(Session, Arc<User>)> {
        let state = self.state();
        let state = state.as_ref()?;
        Some((state.session.clone(), state.user.clone()?))
    }

    /// With the moment of its last use, also if the disk does not know it yet.
    pub(super) fn session_as_used(&self) -> Option<Session> {
        Some(Session {
            used_at: Timestamp::from_secs(self.used_at.load(Ordering::Relaxed)),
            ..self.session()?
        })
    }

    /// The session as it is after a refresh. Returns what it was; `None`, and nothing is changed, if it has ended.
    pub(super) fn replace(&self, session: Session) -> Option<Session> {
        rise(&self.used_at, session.used_at);
        let mut state = self.change_state();
        Some(mem::replace(&mut state.as_mut()?.session, session))
    }

    /// Its user, as they are now, unless it has ended.
    pub(super) fn change(&self, user: Arc<User>) {
        if let Some(state) = self.change_state().as_mut() {
            state.user = Some(user);
        }
    }

    /// Accepts nothing any more. Returns what it was, unless it had ended already.
    pub(super) fn end(&self) -> Option<Session> {
        // Whoever still has it has little of it.
        let state = self.change_state().take();
        state.map(|state| state.session)
    }

    fn state(&self) -> RwLockReadGuard<'_, Option<State>> {
        // It is only ever assigned to, so a panic while it was held has broken nothing.
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change_state(&self) -> RwLockWriteGuard<'_, Option<State>> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Written once a second at the most, though it is read at every request.
fn rise(latest: &AtomicU64, now: Timestamp) {
    if latest.load(Ordering::Relaxed) < now.as_secs() {
        latest.fetch_max(now.as_secs(), Ordering::Relaxed);
    }
}

//! Reads and writes of the tree of sessions.

use std::sync::Arc;

use sled::{Batch, transaction::Transactional};

use super::{Trees, transaction_failed};
use crate::{
    clock::Timestamp,
    domain::{Session, SessionId, TokenId},
    store::{
        error::StoreError,
        records::{session::SessionRecord, user::UserRecord},
        sessions::Accepted,
    },
};

impl Trees {
    /// Checks a token by the same rules as the index.
    pub(crate) fn accepted(
        &self,
        session: SessionId,
        token: TokenId,
        now: Timestamp,
    ) -> Result<Option<Accepted>, StoreError> {
        let Some(session) = self.session(session)? else {
            return Ok(None);
        };
        let Some(token) = session.accepts(token, now) else {
            return Ok(None);
        };
        let user = self.user(session.user)?;
        Ok(user.map(|user| Accepted {
            user: Arc::new(user).into(),
            token,
            session_ends_at: session.ends_at,
        }))
    }

    pub(crate) fn session(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        let bytes = self.sessions.get(id.as_bytes()).map_err(StoreError::failed)?;
        bytes
            .map(|bytes| SessionRecord::read(id.as_bytes(), &bytes))
            .transpose()
    }

    /// Returns those of the sessions that exist.
    pub(crate) fn sessions(&self, ids: &[SessionId]) -> Result<Vec<Session>, StoreError> {
        let sessions = ids.iter().map(|id| self.session(*id));
        sessions.filter_map(Result::transpose).collect()
    }

    pub(crate) fn has_session(&self, id: SessionId) -> Result<bool, StoreError> {
        self.sessions
            .contains_key(id.as_bytes())
            .map_err(StoreError::failed)
    }

    /// Writes `session` with the record of its user, and removes `closed`, together.
    pub(crate) fn open_session(
        &self,
        session: &Session,
        user: &UserRecord,
        closed: &[SessionId],
    ) -> Result<(), StoreError> {
        let (user, opened) = (user.write()?, SessionRecord::write(session)?);
        let done = (&self.users, &self.sessions).transaction(|(users, sessions)| {
            users.insert(session.user.as_bytes(), user.as_slice())?;
            for id in closed {
                sessions.remove(id.as_bytes())?;
            }
            sessions.insert(session.id.as_bytes(), opened.as_slice())?;
            Ok(())
        });
        done.map_err(transaction_failed)
    }

    /// Writes `opened` and removes `closed`, together.
    pub(crate) fn change_sessions(
        &self,
        opened: Option<&Session>,
        closed: &[SessionId],
    ) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        for id in closed {
            batch.remove(id.as_bytes().as_slice());
        }
        if let Some(session) = opened {
            batch.insert(session.id.as_bytes().as_slice(), SessionRecord::write(session)?);
        }
        self.sessions.apply_batch(batch).map_err(StoreError::failed)
    }

    pub(crate) fn put_session(&self, session: &Session) -> Result<(), StoreError> {
        self.change_sessions(Some(session), &[])
    }

    pub(crate) fn remove_sessions(&self, ids: &[SessionId]) -> Result<(), StoreError> {
        self.change_sessions(None, ids)
    }

    /// Removes those of `candidates` that have expired by `now`, and returns them. A candidate may have been refreshed meanwhile:
    /// the index shows nothing of the group of writes that is being applied.
    pub(crate) fn remove_expired(
        &self,
        candidates: &[SessionId],
        now: Timestamp,
    ) -> Result<Vec<SessionId>, StoreError> {
        let mut expired = Vec::with_capacity(candidates.len());
        for id in candidates {
            if self
                .session(*id)?
                .is_none_or(|session| session.expires_at() <= now)
            {
                expired.push(*id);
            }
        }
        self.remove_sessions(&expired)?;
        Ok(expired)
    }
}

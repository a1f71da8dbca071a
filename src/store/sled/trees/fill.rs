//! Between the trees and the index: [`load`](Trees::load) fills the index from the trees, and
//! [`restore`](Trees::restore) makes the trees what the index is.

use std::{cmp::Reverse, ops::ControlFlow};

use super::Trees;
use crate::{
    clock::Timestamp,
    domain::{SessionId, User},
    store::{
        error::StoreError,
        records::{format, session::SessionRecord},
        sled::memory::index::{Ended, Index},
    },
};

/// After every so many sessions that move to the index, the memory they took in the list is released. So reading all of them
/// first takes no more memory.
const GIVEN_BACK_AT_ONCE: usize = 1 << 14;

impl Trees {
    /// Fills `index` with every session and every API token that had not expired by `settled`, and removes the others. Stops
    /// early if `meanwhile` breaks. What has expired since may be in the index: each check asks for the time.
    pub(crate) fn load(
        &self,
        index: &Index,
        settled: Timestamp,
        meanwhile: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, StoreError> {
        let (mut live, mut over) = (Vec::new(), Vec::new());
        for entry in &self.sessions {
            if meanwhile().is_break() {
                return Ok(ControlFlow::Break(()));
            }
            let (key, value) = entry.map_err(StoreError::failed)?;
            let session = SessionRecord::read(&key, &value)?;
            if session.expires_at() <= settled {
                over.push(session.id);
            } else {
                live.push(session);
            }
        }
        // In the order of their users' records: any other order would read a page many times.
        live.sort_unstable_by_key(|session| Reverse((session.user, session.id)));
        let mut known: Option<User> = None;
        while let Some(session) = live.pop() {
            if meanwhile().is_break() {
                return Ok(ControlFlow::Break(()));
            }
            if live.len().is_multiple_of(GIVEN_BACK_AT_ONCE) {
                live.shrink_to_fit();
            }
            if known.as_ref().is_none_or(|user| user.id != session.user) {
                known = self.user(session.user)?;
            }
            match &known {
                Some(user) => index.open(session, user.clone()),
                // A session that outlived its user. Deleting a user need not find everything of theirs.
                None => over.push(session.id),
            }
        }
        self.remove_sessions(&over)?;
        self.load_api_tokens(index, settled)?;
        Ok(ControlFlow::Continue(()))
    }

    /// Makes the sessions and API tokens, and the users who have one, what they are in `index`. The index has everything
    /// acknowledged of them and nothing else. The trees may also have writes that were refused.
    pub(crate) fn restore(&self, index: &Index) -> Result<(), StoreError> {
        let mut unknown = Vec::new();
        for key in self.sessions.iter().keys() {
            let key = key.map_err(StoreError::failed)?;
            let id = SessionId::from_bytes(format::fixed(&key, "session id")?);
            if index.session(id).is_none() {
                unknown.push(id);
            }
        }
        self.remove_sessions(&unknown)?;
        for known in index
            .any(usize::MAX)
            .into_iter()
            .filter_map(|id| index.session(id))
        {
            if self.session(known.id)?.as_ref() != Some(&known) {
                self.put_session(&known)?;
            }
        }
        for known in index.users() {
            match self.user(known.id)? {
                Some(found) if found == *known => {}
                Some(_) => self.put_user(&known, &Ended::default())?,
                None => self.put_back_user(&known)?,
            }
        }
        self.restore_api_tokens(index)
    }
}

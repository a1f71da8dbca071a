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

/// So many of the sessions that wait to be taken into the index are there before memory is given back of those that have been:
/// it then takes no more memory to have them all read first.
const GIVEN_BACK_AT_ONCE: usize = 1 << 14;

impl Trees {
    /// Fills `index` with every session and every API token that is live at `now`, and removes the others; stops in the midst
    /// of it once `is_unwanted`.
    pub(crate) fn load(
        &self,
        index: &Index,
        now: Timestamp,
        meanwhile: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, StoreError> {
        let (mut live, mut over) = (Vec::new(), Vec::new());
        for entry in &self.sessions {
            if meanwhile().is_break() {
                return Ok(ControlFlow::Break(()));
            }
            let (key, value) = entry.map_err(StoreError::failed)?;
            let session = SessionRecord::read(&key, &value)?;
            if session.expires_at() <= now {
                over.push(session.id);
            } else {
                live.push(session);
            }
        }
        // In the order in which their users lie there: one by one would read a page again and again.
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
                // Deleting a user does not have to find all that is theirs.
                None => over.push(session.id),
            }
        }
        self.remove_sessions(&over)?;
        self.load_api_tokens(index, now)?;
        Ok(ControlFlow::Continue(()))
    }

    /// Makes the sessions and API tokens, and the users who have one, what they are in `index`. It knows all that was
    /// acknowledged of them and nothing else; this may have some of what was asked for after that and refused.
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

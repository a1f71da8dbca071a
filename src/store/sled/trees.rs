//! Reads and writes of the trees. Each function is atomic; none is durable before the committer has synced.

mod api_tokens;
mod names;
mod upgrade;
mod users;

use std::{cmp::Reverse, sync::Arc};

use secrecy::{ExposeSecret, SecretSlice};
use sled::{Batch, Db, Tree, transaction::TransactionError};

use self::names::Names;
use super::{
    index::{Ended, Index},
    key_record::KeyRingRecord,
    loading::Outcome,
    records::{self, AttemptsRecord, SessionRecord},
};
use crate::{
    clock::Timestamp,
    domain::{Attempts, Session, SessionId, TokenId, User},
    store::{Accepted, KeptAttempts, StoreError, StoredRing},
};

/// So many of the sessions that wait to be taken into the index are there before memory is given back of those that have been:
/// it then takes no more memory to have them all read first.
const GIVEN_BACK_AT_ONCE: usize = 1 << 14;

const SCHEMA: &[u8] = b"schema";
const COMMITS: &[u8] = b"commits";
const LATEST: &[u8] = b"latest";
const USERS: &[u8] = b"users";
const SIGNING_KEY: &[u8] = b"signing_key";
const ATTEMPTS_KEY: &[u8] = b"attempts_key";
const REFRESH_KEY: &[u8] = b"refresh_key";

#[derive(Clone)]
pub(super) struct Trees {
    db: Db,
    meta: Tree,
    users: Tree,
    names: Names,
    sessions: Tree,
    api_tokens: Tree,
    attempts: Tree,
}

impl Trees {
    pub(super) fn of(db: Db) -> Result<Self, StoreError> {
        let tree = |name| db.open_tree(name).map_err(StoreError::failed);
        Ok(Self {
            meta: tree("meta")?,
            users: tree("users")?,
            names: Names::of(&db)?,
            sessions: tree("sessions")?,
            api_tokens: tree("api_tokens")?,
            attempts: tree("attempts")?,
            db,
        })
    }

    /// Hands everything written so far to the operating system. That is all that sled's flush does on Linux.
    pub(super) fn flush(&self) -> Result<(), StoreError> {
        self.db.flush().map(|_| ()).map_err(StoreError::failed)
    }

    pub(super) fn schema(&self) -> Result<Option<u32>, StoreError> {
        let bytes = self.meta.get(SCHEMA).map_err(StoreError::failed)?;
        bytes
            .map(|bytes| records::fixed(&bytes, "schema version").map(u32::from_be_bytes))
            .transpose()
    }

    pub(super) fn put_schema(&self, version: u32) -> Result<(), StoreError> {
        put(&self.meta, SCHEMA, &version.to_be_bytes())
    }

    /// How many groups of writes have been made durable.
    pub(super) fn commits(&self) -> Result<u64, StoreError> {
        let bytes = self.meta.get(COMMITS).map_err(StoreError::failed)?;
        records::counter(bytes.as_deref())
    }

    /// Counts a group of writes, the last of which were asked for at `latest`.
    pub(super) fn put_commits(&self, commits: u64, latest: Timestamp) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        batch.insert(COMMITS, commits.to_be_bytes().as_slice());
        batch.insert(LATEST, latest.as_secs().to_be_bytes().as_slice());
        self.meta.apply_batch(batch).map_err(StoreError::failed)
    }

    /// The latest moment that any group of writes knew of.
    pub(super) fn latest(&self) -> Result<Timestamp, StoreError> {
        let bytes = self.meta.get(LATEST).map_err(StoreError::failed)?;
        records::counter(bytes.as_deref()).map(Timestamp::from_secs)
    }

    /// Fills `index` with every session and every API token that is live at `now`, and removes the others; stops in the midst
    /// of it once `is_unwanted`.
    pub(super) fn load(
        &self,
        index: &Index,
        now: Timestamp,
        is_unwanted: &mut dyn FnMut() -> bool,
    ) -> Result<Outcome, StoreError> {
        let (mut live, mut over) = (Vec::new(), Vec::new());
        for entry in &self.sessions {
            if is_unwanted() {
                return Ok(Outcome::Unwanted);
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
            if is_unwanted() {
                return Ok(Outcome::Unwanted);
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
        Ok(Outcome::Whole)
    }

    /// Who the token named `token` of `session` speaks for, by the same rules as the index's.
    pub(super) fn accepted(
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

    /// Makes the sessions and API tokens, and the users who have one, what they are in `index`. It knows all that was
    /// acknowledged of them and nothing else; this may have some of what was asked for after that and refused.
    pub(super) fn restore(&self, index: &Index) -> Result<(), StoreError> {
        let mut unknown = Vec::new();
        for key in self.sessions.iter().keys() {
            let key = key.map_err(StoreError::failed)?;
            let id = SessionId::from_bytes(records::fixed(&key, "session id")?);
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

    pub(super) fn session(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        let bytes = self.sessions.get(id.as_bytes()).map_err(StoreError::failed)?;
        bytes
            .map(|bytes| SessionRecord::read(id.as_bytes(), &bytes))
            .transpose()
    }

    /// Those of the sessions that are there.
    pub(super) fn sessions(&self, ids: &[SessionId]) -> Result<Vec<Session>, StoreError> {
        let sessions = ids.iter().map(|id| self.session(*id));
        sessions.filter_map(Result::transpose).collect()
    }

    /// Keeps `opened` and removes the others, together.
    pub(super) fn change_sessions(
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

    pub(super) fn put_session(&self, session: &Session) -> Result<(), StoreError> {
        self.change_sessions(Some(session), &[])
    }

    pub(super) fn remove_sessions(&self, ids: &[SessionId]) -> Result<(), StoreError> {
        self.change_sessions(None, ids)
    }

    /// Removes those of `candidates` that have expired by `now`, and returns them. One may have been refreshed since it was
    /// made a candidate: the index shows nothing of the group of writes that is being applied.
    pub(super) fn remove_expired(
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

    pub(super) fn refresh_key(&self) -> Result<Option<SecretSlice<u8>>, StoreError> {
        let bytes = self.meta.get(REFRESH_KEY).map_err(StoreError::failed)?;
        Ok(bytes.map(|bytes| bytes.to_vec().into()))
    }

    /// The key that is kept, else `fresh`, which is from now on.
    pub(super) fn keep_refresh_key(&self, fresh: SecretSlice<u8>) -> Result<SecretSlice<u8>, StoreError> {
        if let Some(kept) = self.refresh_key()? {
            return Ok(kept);
        }
        put(&self.meta, REFRESH_KEY, fresh.expose_secret())?;
        Ok(fresh)
    }

    pub(super) fn forget_refresh_key(&self) -> Result<(), StoreError> {
        let removed = self.meta.remove(REFRESH_KEY);
        removed.map(|_| ()).map_err(StoreError::failed)
    }

    pub(super) fn key_ring(&self) -> Result<StoredRing, StoreError> {
        let bytes = self.meta.get(SIGNING_KEY).map_err(StoreError::failed)?;
        bytes.map_or_else(|| Ok(StoredRing::default()), |bytes| KeyRingRecord::read(&bytes))
    }

    pub(super) fn put_key_ring(&self, ring: &StoredRing) -> Result<(), StoreError> {
        put(&self.meta, SIGNING_KEY, &KeyRingRecord::write(ring)?)
    }

    pub(super) fn attempts(&self) -> Result<Option<KeptAttempts>, StoreError> {
        let Some(hash_key) = self.meta.get(ATTEMPTS_KEY).map_err(StoreError::failed)? else {
            return Ok(None);
        };
        let mut places = Vec::new();
        for entry in &self.attempts {
            let (place, bytes) = entry.map_err(StoreError::failed)?;
            let place = u32::from_be_bytes(records::fixed(&place, "place of attempts")?);
            places.push((place, AttemptsRecord::read(&bytes)?));
        }
        let hash_key = records::fixed(&hash_key, "key of attempts")?;
        Ok(Some(KeptAttempts { hash_key, places }))
    }

    pub(super) fn keep_attempts(&self, changed: &KeptAttempts) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        for (place, attempts) in &changed.places {
            let place = place.to_be_bytes();
            if *attempts == Attempts::default() {
                batch.remove(place.as_slice());
            } else {
                batch.insert(place.as_slice(), AttemptsRecord::write(*attempts).as_slice());
            }
        }
        // Without its key nothing that is kept means anything, so the key goes first.
        put(&self.meta, ATTEMPTS_KEY, &changed.hash_key)?;
        self.attempts.apply_batch(batch).map_err(StoreError::failed)
    }
}

fn transaction_failed(error: TransactionError<StoreError>) -> StoreError {
    match error {
        TransactionError::Abort(unreadable) => unreadable,
        TransactionError::Storage(error) => StoreError::failed(error),
    }
}

fn put(tree: &Tree, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
    tree.insert(key, value).map(|_| ()).map_err(StoreError::failed)
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, time::Duration};

    use super::*;
    use crate::domain::{Refresh, TokenPolicy, UserId};

    #[test]
    fn loading_takes_in_each_session_with_its_user_and_removes_those_that_have_none_unless_it_is_stopped() {
        let trees = Trees::of(sled::Config::new().temporary(true).open().unwrap()).unwrap();
        let (now, minute) = (Timestamp::from_secs(1_800_000_000), Duration::from_mins(1));
        let users = ["ada", "eve"].map(|name| User::somebody(name, now));
        for user in &users {
            let _ = trees.create_user(user, None).unwrap();
        }
        let start = |user, at| Session::start(user, minute, minute, at).0;
        let mut live = Vec::new();
        let mut over = Vec::new();
        for _ in 0..3 {
            live.extend(users.iter().map(|user| start(user.id, now)));
            over.push(start(UserId::generate(now), now));
            over.push(start(users[0].id, now.minus(minute)));
        }
        for session in live.iter().chain(&over) {
            trees.put_session(session).unwrap();
        }

        // Asked once for each that is read, and once more for each that is taken in.
        for asked_at_the_most in 0..live.len() + over.len() + live.len() {
            let asked = Cell::new(0);
            let mut is_unwanted = || asked.replace(asked.get() + 1) == asked_at_the_most;
            let stopped = trees.load(&Index::default(), now, &mut is_unwanted).unwrap();
            assert_eq!(stopped, Outcome::Unwanted);
            assert!(trees.session(over[0].id).unwrap().is_some());
        }
        let index = Index::default();
        assert_eq!(trees.load(&index, now, &mut || false).unwrap(), Outcome::Whole);
        assert_eq!(index.len(), live.len());
        for session in &live {
            assert_eq!(index.session(session.id).as_ref(), Some(session));
            let token = session.tokens[0].token.id;
            let accepted = index.accepted(session.id, token, now).unwrap();
            assert_eq!(accepted.user.id, session.user);
        }
        for session in &over {
            assert_eq!(index.session(session.id), None);
            assert_eq!(trees.session(session.id).unwrap(), None);
        }
    }

    #[test]
    fn what_was_refreshed_since_it_became_a_candidate_is_not_removed() {
        let trees = Trees::of(sled::Config::new().temporary(true).open().unwrap()).unwrap();
        let (now, minute) = (Timestamp::from_secs(1_800_000_000), Duration::from_mins(1));
        let policy = TokenPolicy {
            lifetime: minute,
            refresh_window: minute,
            refresh_grace: minute,
        };
        let started = || Session::start(UserId::generate(now), minute, Duration::from_hours(1), now);
        let ((mut refreshed, token), (expired, _), (gone, _)) = (started(), started(), started());
        let outcome = refreshed.refresh(token.id, &policy, now.plus(minute / 2));
        assert!(matches!(outcome, Refresh::Minted(_)));
        for session in [&refreshed, &expired] {
            trees.put_session(session).unwrap();
        }
        let candidates = [refreshed.id, expired.id, gone.id];
        let removed = trees.remove_expired(&candidates, now.plus(minute)).unwrap();
        assert_eq!(removed, [expired.id, gone.id]);
        assert_eq!(trees.session(refreshed.id).unwrap(), Some(refreshed));
        assert_eq!(trees.session(expired.id).unwrap(), None);
    }
}

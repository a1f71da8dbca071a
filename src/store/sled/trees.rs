//! Reads and writes of the trees. Each function is atomic; none is durable before the committer has synced.

mod api_tokens;

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretSlice};
use sled::{
    Batch, Db, Tree,
    transaction::{ConflictableTransactionError, TransactionError, Transactional},
};

use super::{
    index::{Ended, Index},
    key_record::KeyRingRecord,
    records::{self, AttemptsRecord, SessionRecord, UserRecord},
};
use crate::{
    clock::Timestamp,
    domain::{Attempts, Network, Session, SessionId, User, UserId, Username},
    store::{KeptAttempts, MAX_NETWORKS, StoreError, StoredRing, UserCreation},
};

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
    usernames: Tree,
    sessions: Tree,
    api_tokens: Tree,
    networks: Tree,
    attempts: Tree,
}

impl Trees {
    pub(super) fn of(db: Db) -> sled::Result<Self> {
        Ok(Self {
            meta: db.open_tree("meta")?,
            users: db.open_tree("users")?,
            usernames: db.open_tree("usernames")?,
            sessions: db.open_tree("sessions")?,
            api_tokens: db.open_tree("api_tokens")?,
            networks: db.open_tree("networks")?,
            attempts: db.open_tree("attempts")?,
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

    /// Whether there are as many users, and names of users, as are counted. It reads all of them.
    pub(super) fn users_are_whole(&self) -> Result<bool, StoreError> {
        let count = self.users()?;
        Ok(self.users.len() as u64 == count && self.usernames.len() as u64 == count)
    }

    /// Fills `index` with every session and every API token that is live at `now`, and removes the others.
    pub(super) fn load(&self, index: &Index, now: Timestamp) -> Result<(), StoreError> {
        let mut over = Vec::new();
        for entry in &self.sessions {
            let (key, value) = entry.map_err(StoreError::failed)?;
            let session = SessionRecord::read(&key, &value)?;
            if session.expires_at() <= now {
                over.push(session.id);
                continue;
            }
            match self.user_for(index, session.user)? {
                Some(user) => index.open(session, user),
                None => over.push(session.id),
            }
        }
        self.remove_sessions(&over)?;
        self.load_api_tokens(index, now)
    }

    /// Whose something is that is being loaded. That they are gone is not an error: deleting a user does not have to find all
    /// that is theirs.
    fn user_for(&self, index: &Index, id: UserId) -> Result<Option<Arc<User>>, StoreError> {
        match index.user(id) {
            Some(known) => Ok(Some(known)),
            None => Ok(self.user(id)?.map(Arc::new)),
        }
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

    /// Adds a user again who was removed, and removes who has taken the name since.
    fn put_back_user(&self, user: &User) -> Result<(), StoreError> {
        if let Some(other) = self.user_by_name(&user.username)? {
            self.remove_user(&other, &Ended::default())?;
        }
        match self.create_user(user, None)? {
            UserCreation::Created => Ok(()),
            UserCreation::UsernameTaken => Err(StoreError::Unreadable(format!("user {}", user.id))),
        }
    }

    pub(super) fn create_user(
        &self,
        user: &User,
        network: Option<Network>,
    ) -> Result<UserCreation, StoreError> {
        let record = UserRecord::write(user)?;
        let trees = (&self.meta, &self.users, &self.usernames, &self.networks);
        let done = trees.transaction(|(meta, users, usernames, networks)| {
            let name = user.username.as_str().as_bytes();
            if usernames.get(name)?.is_some() {
                return Ok(UserCreation::UsernameTaken);
            }
            let count = records::counter(meta.get(USERS)?.as_deref());
            let count = count.map_err(ConflictableTransactionError::Abort)? + 1;
            meta.insert(USERS, &count.to_be_bytes())?;
            usernames.insert(name, user.id.as_bytes())?;
            users.insert(user.id.as_bytes(), record.as_slice())?;
            if let Some(network) = network {
                let now = user.created_at.as_secs().to_be_bytes();
                networks.insert(network_key(user.id, network), now.as_slice())?;
            }
            Ok(UserCreation::Created)
        });
        done.map_err(transaction_failed)
    }

    pub(super) fn users(&self) -> Result<u64, StoreError> {
        let bytes = self.meta.get(USERS).map_err(StoreError::failed)?;
        records::counter(bytes.as_deref())
    }

    pub(super) fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        let bytes = self.users.get(id.as_bytes()).map_err(StoreError::failed)?;
        bytes.map(|bytes| UserRecord::read(id, &bytes)).transpose()
    }

    pub(super) fn user_by_name(&self, name: &Username) -> Result<Option<User>, StoreError> {
        match self.usernames.get(name.as_str()).map_err(StoreError::failed)? {
            Some(id) => self.user(UserId::from_bytes(records::fixed(&id, "user id")?)),
            None => Ok(None),
        }
    }

    /// Keeps a user as they are now, without what ends by that.
    pub(super) fn put_user(&self, user: &User, ended: &Ended) -> Result<(), StoreError> {
        let record = UserRecord::write(user)?;
        let trees = (&self.users, &self.sessions, &self.api_tokens);
        let done = trees.transaction(|(users, sessions, api_tokens)| {
            users.insert(user.id.as_bytes(), record.as_slice())?;
            for id in &ended.sessions {
                sessions.remove(id.as_bytes())?;
            }
            for token in &ended.api_tokens {
                api_tokens.remove(token.id.as_bytes())?;
            }
            Ok(())
        });
        done.map_err(transaction_failed)
    }

    /// Removes a user with their name, their networks, and what else ends by that.
    pub(super) fn remove_user(&self, user: &User, ended: &Ended) -> Result<(), StoreError> {
        let networks = self.networks.scan_prefix(user.id.as_bytes()).keys();
        let networks: Vec<_> = networks.collect::<Result<_, _>>().map_err(StoreError::failed)?;
        let trees = (
            &self.meta,
            &self.users,
            &self.usernames,
            &self.sessions,
            &self.api_tokens,
            &self.networks,
        );
        let done = trees.transaction(|(meta, users, usernames, sessions, api_tokens, noted)| {
            let count = records::counter(meta.get(USERS)?.as_deref());
            let count = count.map_err(ConflictableTransactionError::Abort)?;
            meta.insert(USERS, &count.saturating_sub(1).to_be_bytes())?;
            usernames.remove(user.username.as_str().as_bytes())?;
            users.remove(user.id.as_bytes())?;
            for id in &ended.sessions {
                sessions.remove(id.as_bytes())?;
            }
            for token in &ended.api_tokens {
                api_tokens.remove(token.id.as_bytes())?;
            }
            for network in &networks {
                noted.remove(network)?;
            }
            Ok(())
        });
        done.map_err(transaction_failed)
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

    pub(super) fn last_sign_in(
        &self,
        user: UserId,
        network: Network,
    ) -> Result<Option<Timestamp>, StoreError> {
        let key = network_key(user, network);
        let bytes = self.networks.get(key).map_err(StoreError::failed)?;
        bytes.map(|bytes| moment(&bytes)).transpose()
    }

    pub(super) fn note_sign_in(
        &self,
        user: UserId,
        network: Network,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let key = network_key(user, network);
        let mut batch = Batch::default();
        let mut others = Vec::new();
        for entry in self.networks.scan_prefix(user.as_bytes()) {
            let (other, seen) = entry.map_err(StoreError::failed)?;
            if other != key {
                others.push((moment(&seen)?, other));
            }
        }
        if others.len() >= MAX_NETWORKS
            && let Some((_, oldest)) = others.into_iter().min()
        {
            batch.remove(oldest);
        }
        batch.insert(key, now.as_secs().to_be_bytes().as_slice());
        self.networks.apply_batch(batch).map_err(StoreError::failed)
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

fn network_key(user: UserId, network: Network) -> Vec<u8> {
    [user.as_bytes().as_slice(), &network.to_bytes()].concat()
}

fn moment(bytes: &[u8]) -> Result<Timestamp, StoreError> {
    records::fixed(bytes, "moment").map(|bytes| Timestamp::from_secs(u64::from_be_bytes(bytes)))
}

fn put(tree: &Tree, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
    tree.insert(key, value).map(|_| ()).map_err(StoreError::failed)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::{Refresh, TokenPolicy};

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

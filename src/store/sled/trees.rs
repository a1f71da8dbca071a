//! Reads and writes of the trees. Each function is atomic; none is durable before the committer has synced.

use std::sync::Arc;

use sled::{
    Batch, Db, Tree,
    transaction::{ConflictableTransactionError, TransactionError, Transactional},
};

use super::{
    index::Index,
    key_record::KeyRingRecord,
    records::{self, SessionRecord, UserRecord},
};
use crate::{
    clock::Timestamp,
    domain::{Session, SessionId, User, UserId, Username},
    store::{StoreError, StoredRing, UserCreation},
};

const SCHEMA: &[u8] = b"schema";
const COMMITS: &[u8] = b"commits";
const LATEST: &[u8] = b"latest";
const USERS: &[u8] = b"users";
const SIGNING_KEY: &[u8] = b"signing_key";

#[derive(Clone)]
pub(super) struct Trees {
    db: Db,
    meta: Tree,
    users: Tree,
    usernames: Tree,
    sessions: Tree,
}

impl Trees {
    pub(super) fn of(db: Db) -> sled::Result<Self> {
        Ok(Self {
            meta: db.open_tree("meta")?,
            users: db.open_tree("users")?,
            usernames: db.open_tree("usernames")?,
            sessions: db.open_tree("sessions")?,
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

    /// Fills `index` with every session that is live at `now`, and removes the others.
    pub(super) fn load(&self, index: &Index, now: Timestamp) -> Result<(), StoreError> {
        let mut over = Vec::new();
        for entry in &self.sessions {
            let (key, value) = entry.map_err(StoreError::failed)?;
            let session = SessionRecord::read(&key, &value)?;
            if session.expires_at() <= now {
                over.push(session.id);
                continue;
            }
            // A session whose user is gone is not an error: deleting a user does not have to find their sessions.
            let user = match index.user(session.user) {
                Some(known) => Some(known),
                None => self.user(session.user)?.map(Arc::new),
            };
            match user {
                Some(user) => index.open(session, user),
                None => over.push(session.id),
            }
        }
        self.remove_sessions(&over)
    }

    pub(super) fn create_user(&self, user: &User) -> Result<UserCreation, StoreError> {
        let record = UserRecord::write(user)?;
        let trees = (&self.meta, &self.users, &self.usernames);
        let done = trees.transaction(|(meta, users, usernames)| {
            let name = user.username.as_str().as_bytes();
            if usernames.get(name)?.is_some() {
                return Ok(UserCreation::UsernameTaken);
            }
            let count = records::counter(meta.get(USERS)?.as_deref());
            let count = count.map_err(ConflictableTransactionError::Abort)? + 1;
            meta.insert(USERS, &count.to_be_bytes())?;
            usernames.insert(name, user.id.as_bytes())?;
            users.insert(user.id.as_bytes(), record.as_slice())?;
            Ok(UserCreation::Created)
        });
        done.map_err(|error| match error {
            TransactionError::Abort(unreadable) => unreadable,
            TransactionError::Storage(error) => StoreError::failed(error),
        })
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

    pub(super) fn put_user(&self, user: &User) -> Result<(), StoreError> {
        put(&self.users, user.id.as_bytes(), &UserRecord::write(user)?)
    }

    pub(super) fn session(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        let bytes = self.sessions.get(id.as_bytes()).map_err(StoreError::failed)?;
        bytes
            .map(|bytes| SessionRecord::read(id.as_bytes(), &bytes))
            .transpose()
    }

    pub(super) fn put_session(&self, session: &Session) -> Result<(), StoreError> {
        put(
            &self.sessions,
            session.id.as_bytes(),
            &SessionRecord::write(session)?,
        )
    }

    pub(super) fn remove_sessions(&self, ids: &[SessionId]) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        for id in ids {
            batch.remove(id.as_bytes().as_slice());
        }
        self.sessions.apply_batch(batch).map_err(StoreError::failed)
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

    pub(super) fn key_ring(&self) -> Result<StoredRing, StoreError> {
        let bytes = self.meta.get(SIGNING_KEY).map_err(StoreError::failed)?;
        bytes.map_or_else(|| Ok(StoredRing::default()), |bytes| KeyRingRecord::read(&bytes))
    }

    pub(super) fn put_key_ring(&self, ring: &StoredRing) -> Result<(), StoreError> {
        put(&self.meta, SIGNING_KEY, &KeyRingRecord::write(ring)?)
    }
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

//! The store in an embedded sled database. The only place that names sled.
//!
//! | tree | key | value |
//! |---|---|---|
//! | `meta` | `schema` | the schema's version, a `u32`, big endian |
//! | `meta` | `commits` | how many groups of writes were made durable, a `u64`, big endian |
//! | `meta` | `latest` | the latest moment that a group of writes knew of, in seconds, a `u64`, big endian |
//! | `meta` | `users` | how many users there are, a `u64`, big endian |
//! | `meta` | `signing_key` | `KeyRingRecord`, JSON: all of them |
//! | `users` | user id, 16 bytes | `UserRecord`, JSON |
//! | `usernames` | username | user id, 16 bytes |
//! | `sessions` | session id, 16 bytes | `SessionRecord` with its whitelist, JSON |
//!
//! A session is one record: log-out is one removal and takes every token of the session with it. Writes go through the
//! [committer](committer), which answers only after the disk has them; the token check reads the [index](index), which
//! holds every live session and its user in memory and is changed only by what has reached the disk.

mod committer;
mod directory;
mod error;
mod index;
mod key_record;
mod open;
#[cfg(test)]
mod power_cut;
mod records;
mod rescue;
mod tally;
mod trees;

pub use error::OpenError;
pub use open::is_opening;

use std::{path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;

use self::{
    committer::{Committer, DataFile, Effect},
    directory::DirectoryLock,
    index::Index,
    trees::Trees,
};
use super::{Accepted, Count, KeyMaterial, KeyRingUpdate, Store, StoreError, StoredRing, UserCreation};
use crate::{
    clock::Timestamp,
    domain::{
        KeyRing, Refresh, Session, SessionId, TokenId, TokenPolicy, User, UserChange, UserId, Username,
    },
};

/// How many sessions one write removes when all of them go: few enough that no other write waits long.
const CLEAR_BATCH: usize = 1000;

/// A clock that is so far behind the last write, or less, has been set back, and the time is taken from the last write. One
/// that is further behind is right, and was wrong before.
const LONGEST_STEP_BACK: Duration = Duration::from_hours(24);

/// A database directory, opened and locked until this is dropped.
pub struct SledStore {
    trees: Trees,
    index: Arc<Index>,
    committer: Committer,
    // Dropped last, so that nobody else gets in before the database is closed.
    _lock: DirectoryLock,
}

impl SledStore {
    /// Opens the database in the directory `path`, which is made (mode 0700) if it is not there, and forgets the sessions
    /// that have run out by `now`, or by the last write if that was later: see [`latest`](Self::latest). `cache` is how many
    /// bytes of memory sled may use for pages.
    ///
    /// It blocks, for up to a second or two with a million sessions.
    ///
    /// # Errors
    /// [`OpenError`], each variant with what to do. What can't be opened is left as it was, unless the error says otherwise.
    pub fn open(path: &Path, cache: u64, now: Timestamp) -> Result<Self, OpenError> {
        let index = Arc::new(Index::default());
        let opened = open::open(path, cache, |trees| load(trees, &index, now))?;
        let disk = DataFile {
            data: opened.file,
            tally: opened.tally,
        };
        let committer = Committer::start(opened.trees.clone(), Arc::clone(&index), Box::new(disk))
            .map_err(|source| OpenError::io(path, source))?;
        Ok(Self {
            trees: opened.trees,
            index,
            committer,
            _lock: opened.lock,
        })
    }

    /// The latest moment that this store has been told of, now or by an earlier process. A clock that shows an earlier one has
    /// been set back, and would give tokens that have run out another life: it must go on from here.
    #[must_use]
    pub fn latest(&self) -> Timestamp {
        self.index.latest()
    }
}

/// Fills `index` with what is live at `now`. If the clock has been set back since the last write, that one's moment counts.
fn load(trees: &Trees, index: &Index, now: Timestamp) -> Result<(), StoreError> {
    let latest = trees.latest()?;
    let behind = latest.since(now);
    if behind > LONGEST_STEP_BACK {
        // Going on from there would leave the server in that future for good. Nobody can tell any more which sessions have
        // run out, so all have.
        tracing::warn!(
            "the clock is {} before the last write to the database, and is believed: every session has ended",
            humantime::format_duration(behind)
        );
        index.saw(now);
        return trees.load(index, Timestamp::from_secs(u64::MAX));
    }
    if !behind.is_zero() {
        tracing::warn!(
            "the clock is {} before the last write to the database: the time goes on from that write",
            humantime::format_duration(behind)
        );
    }
    index.saw(now.max(latest));
    trees.load(index, now.max(latest))
}

#[async_trait]
impl Store for SledStore {
    async fn create_user(&self, user: User) -> Result<UserCreation, StoreError> {
        self.index.saw(user.created_at);
        self.committer
            .commit(move |trees, _| Ok((trees.create_user(&user)?, Effect::None)))
            .await
    }

    async fn user_by_name(&self, name: &Username) -> Result<Option<Arc<User>>, StoreError> {
        Ok(self.trees.user_by_name(name)?.map(Arc::new))
    }

    async fn change_user(&self, id: UserId, change: UserChange) -> Result<Option<Arc<User>>, StoreError> {
        self.committer
            .commit(move |trees, _| {
                let Some(user) = trees.user(id)? else {
                    return Ok((None, Effect::None));
                };
                let user = Arc::new(user.with(change));
                trees.put_user(&user)?;
                Ok((Some(Arc::clone(&user)), Effect::Change(user)))
            })
            .await
    }

    async fn open_session(&self, session: Session, verified: u32) -> Result<Option<Arc<User>>, StoreError> {
        self.index.saw(session.created_at);
        self.committer
            .commit(move |trees, _| {
                let user = trees.user(session.user)?;
                let Some(user) = user.filter(|user| !user.disabled && user.password_version == verified)
                else {
                    return Ok((None, Effect::None));
                };
                trees.put_session(&session)?;
                let user = Arc::new(user);
                Ok((Some(Arc::clone(&user)), Effect::Open(session, user)))
            })
            .await
    }

    async fn accepted(
        &self,
        session: SessionId,
        token: TokenId,
        now: Timestamp,
    ) -> Result<Option<Accepted>, StoreError> {
        self.index.saw(now);
        Ok(self.index.accepted(session, token, now))
    }

    async fn refresh(
        &self,
        session: SessionId,
        token: TokenId,
        policy: TokenPolicy,
        now: Timestamp,
    ) -> Result<Refresh, StoreError> {
        self.index.saw(now);
        // The rules are a pure function, so memory tells whether there is anything to write at all.
        let Some(mut known) = self.index.session(session) else {
            return Ok(Refresh::Refused);
        };
        match known.refresh(token, &policy, now) {
            settled @ (Refresh::Stands(_) | Refresh::Refused) => return Ok(settled),
            Refresh::Minted(_) => {}
        }
        self.committer
            .commit(move |trees, _| {
                let Some(mut session) = trees.session(session)? else {
                    return Ok((Refresh::Refused, Effect::Close(vec![session])));
                };
                let outcome = session.refresh(token, &policy, now);
                if let Refresh::Minted(_) = outcome {
                    trees.put_session(&session)?;
                }
                Ok((outcome, Effect::Replace(session)))
            })
            .await
    }

    async fn close_session(&self, session: SessionId) -> Result<(), StoreError> {
        self.committer
            .commit(move |trees, _| {
                trees.remove_sessions(&[session])?;
                Ok(((), Effect::Close(vec![session])))
            })
            .await
    }

    async fn prune(&self, now: Timestamp, at_most: usize) -> Result<usize, StoreError> {
        self.index.saw(now);
        self.committer
            .commit(move |trees, index| {
                let expired = trees.remove_expired(&index.expired(now, at_most), now)?;
                Ok((expired.len(), Effect::Close(expired)))
            })
            .await
    }

    async fn key_ring(&self) -> Result<StoredRing, StoreError> {
        self.trees.key_ring()
    }

    async fn keep_key_ring(
        &self,
        keys: KeyRing<KeyMaterial>,
        instead_of: u64,
    ) -> Result<KeyRingUpdate, StoreError> {
        self.committer
            .commit(move |trees, _| {
                // Writes are applied one after the other, so nobody gets in between.
                if trees.key_ring()?.revision != instead_of {
                    return Ok((KeyRingUpdate::ChangedMeanwhile, Effect::None));
                }
                let revision = instead_of + 1;
                trees.put_key_ring(&StoredRing { revision, keys })?;
                Ok((KeyRingUpdate::Kept(revision), Effect::None))
            })
            .await
    }

    async fn close_every_session(&self) -> Result<usize, StoreError> {
        let mut ended = 0;
        loop {
            let removed = self
                .committer
                .commit(|trees, index| {
                    let some = index.any(CLEAR_BATCH);
                    trees.remove_sessions(&some)?;
                    Ok((some.len(), Effect::Close(some)))
                })
                .await?;
            if removed == 0 {
                return Ok(ended);
            }
            ended += removed;
        }
    }

    async fn count(&self) -> Result<Count, StoreError> {
        Ok(Count {
            users: self.trees.users()?,
            sessions: self.index.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
    const HOUR: Duration = Duration::from_hours(1);

    fn open(directory: &tempfile::TempDir, now: Timestamp) -> SledStore {
        SledStore::open(directory.path(), 1 << 20, now).unwrap()
    }

    /// A database with a session that lasts for two hours and whose token lasts for one.
    async fn with_a_session(directory: &tempfile::TempDir) -> (SessionId, TokenId) {
        let store = open(directory, NOW);
        let user = User::somebody("ada", NOW);
        let (session, token) = Session::start(user.id, HOUR, 2 * HOUR, NOW);
        let id = session.id;
        assert_eq!(store.create_user(user).await.unwrap(), UserCreation::Created);
        assert!(store.open_session(session, 0).await.unwrap().is_some());
        assert_eq!(store.latest(), NOW);
        (id, token.id)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_clock_set_back_between_two_starts_revives_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let (session, token) = with_a_session(&directory).await;
        let store = open(&directory, NOW);
        let late = NOW.plus(HOUR);
        assert_eq!(store.accepted(session, token, late).await.unwrap(), None);
        // Any write will do, such as the end of a session that is not there.
        store.close_session(SessionId::generate(NOW)).await.unwrap();
        drop(store);

        let store = open(&directory, NOW);
        assert_eq!(store.latest(), late);
        assert_eq!(store.index.session(session), None);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_clock_set_back_a_little_ends_no_session_that_has_time_left() {
        let directory = tempfile::tempdir().unwrap();
        let (session, token) = with_a_session(&directory).await;
        let store = open(&directory, NOW.minus(HOUR));
        assert_eq!(store.latest(), NOW);
        assert!(store.accepted(session, token, NOW).await.unwrap().is_some());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_clock_that_was_years_ahead_is_not_followed_for_ever_and_costs_the_sessions() {
        let directory = tempfile::tempdir().unwrap();
        let (session, _) = with_a_session(&directory).await;
        let before = NOW.minus(365 * 24 * HOUR);
        for _ in 0..2 {
            let store = open(&directory, before);
            assert_eq!(store.latest(), before);
            assert_eq!(store.index.session(session), None);
            store.close_session(session).await.unwrap();
        }
    }
}

//! The store in an embedded sled database. The only place that names sled.
//!
//! | tree | key | value |
//! |---|---|---|
//! | `meta` | `schema` | the schema's version, a `u32`, big endian |
//! | `meta` | `commits` | how many groups of writes were made durable, a `u64`, big endian |
//! | `meta` | `latest` | the latest moment that a group of writes knew of, in seconds, a `u64`, big endian |
//! | `meta` | `users` | how many users there are, a `u64`, big endian |
//! | `meta` | `signing_key` | `KeyRingRecord`, JSON: all of them |
//! | `meta` | `refresh_key` | the key that refresh tokens are made with, 32 bytes |
//! | `meta` | `names_key` | the key of the hash that picks the places in `names`, 16 bytes |
//! | `meta` | `attempts_key` | the key of the hash that picks the places in `attempts`, 16 bytes |
//! | `users` | user id, 16 bytes | `UserRecord` with the networks they sign in from, JSON |
//! | `names` | a place, 2 bytes | rows of a hash of a username, 8 bytes, and a user id, 16 bytes: see [names](trees::names) |
//! | `sessions` | session id, 16 bytes | `SessionRecord` with its whitelist, JSON |
//! | `api_tokens` | API token id, 16 bytes | `ApiTokenRecord`, JSON |
//! | `attempts` | a place, a `u32`, big endian | failures in a row, a `u32`, and a moment in seconds, a `u64`, both big endian |
//!
//! A session is one record: log-out is one removal and takes every token of the session with it. Writes go through the
//! [committer](committer), which answers only after the disk has them; the token check reads the [index](index), which
//! holds every live session, every API token and their users in memory and is changed only by what has reached the disk. After an
//! [outage](outage) of the disk the database is opened anew, by the same process.

mod api_token_record;
mod committer;
mod database;
mod directory;
mod error;
mod index;
mod indexed_session;
mod key_record;
mod live_tokens;
mod loading;
mod log_file;
mod open;
mod outage;
#[cfg(test)]
mod power_cut;
mod queue;
mod records;
mod rescue;
mod tally;
mod trees;
mod worker;

pub use error::OpenError;
pub use open::is_opening;

use std::{path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use secrecy::SecretSlice;

use self::{
    committer::{Committer, Effect},
    database::Database,
    directory::DirectoryLock,
    index::{Ended, Index},
    loading::Load,
    open::Reading,
    outage::Place,
    trees::Trees,
    worker::Worker,
};
use super::{
    Accepted, AcceptedApiToken, ApiTokenCreation, Count, Kept, KeptAttempts, KeyMaterial, KeyRingUpdate,
    LiveSession, Store, StoreError, StoredRing, UserCreation,
};
use crate::{
    clock::Timestamp,
    domain::{
        ApiToken, ApiTokenHash, ApiTokenId, KeyRing, Network, PasswordHash, Refresh, RefreshTokenOutcome,
        Session, SessionId, TokenId, TokenPolicy, User, UserChange, UserId, Username,
    },
};

/// How many records one write changes when there are many to change: few enough that no other write waits long, and that a
/// group of writes with it is not too long for a cut of the power, of which [`committer`] tells.
const RECORDS: usize = 200;

/// How many records that have run out one write removes: nobody waits for those, and whoever writes meanwhile waits for that
/// write.
const PRUNED_AT_ONCE: usize = 25;

/// A clock that is so far behind the last write, or less, has been set back, and the time is taken from the last write. One
/// that is further behind is right, and was wrong before.
const LONGEST_STEP_BACK: Duration = Duration::from_hours(24);

/// A database directory, opened and locked until this is dropped, which waits until it is closed. Its methods are to be called
/// on a tokio runtime.
pub struct SledStore {
    index: Arc<Index>,
    committer: Committer,
    // Dropped last, so that nobody else gets in before the database is closed.
    _lock: Arc<DirectoryLock>,
}

/// What `work` returns, which takes long or waits for the disk: on a thread that answers nobody else.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| StoreError::Closed)
}

impl SledStore {
    /// Opens the database in the directory `path`, which is made (mode 0700) if it is not there, and forgets the sessions
    /// that have run out by `now`, or by the last write if that was later: see [`latest`](Self::latest). `cache` is how many
    /// bytes of memory sled may use for pages.
    ///
    /// It blocks, for half a second with a million users. The sessions of a large database that was closed in good order are
    /// read afterwards, for some seconds with a million of them: tokens are accepted all the same, and what needs to know all
    /// sessions waits for that.
    ///
    /// # Errors
    /// [`OpenError`], each variant with what to do. What can't be opened is left as it was, unless the error says otherwise.
    pub fn open(path: &Path, cache: u64, now: Timestamp) -> Result<Self, OpenError> {
        let io_error = |source| OpenError::io(path, source);
        let worker = Worker::start().map_err(io_error)?;
        let owned = path.to_owned();
        let opened = worker.run(move || open_now(&owned, cache, now));
        let (index, opened, lock, later) = opened.map_err(io_error)??;
        let database = Database::of(opened);
        Ok(Self::over(worker, database, index, lock, path, cache, later))
    }

    fn over(
        worker: Worker,
        database: Database,
        index: Arc<Index>,
        lock: DirectoryLock,
        path: &Path,
        cache: u64,
        load: Option<Load>,
    ) -> Self {
        let lock = Arc::new(lock);
        let place = Place {
            path: path.to_owned(),
            cache,
            lock: Arc::clone(&lock),
        };
        let committer = Committer::start(worker, database, Arc::clone(&index), Box::new(place), load);
        Self {
            index,
            committer,
            _lock: lock,
        }
    }

    /// Who the token named `token` of `session` speaks for, while the index is being filled.
    fn accepted_meanwhile(
        &self,
        session: SessionId,
        token: TokenId,
        now: Timestamp,
    ) -> Result<Option<Accepted>, StoreError> {
        let found = self.committer.read(|trees| trees.accepted(session, token, now));
        if self.committer.loading.is_whole()? {
            return Ok(self.index.accepted(session, token, now));
        }
        found
    }

    /// The latest moment that this store has been told of, now or by an earlier process. A clock that shows an earlier one has
    /// been set back, and would give tokens that have run out another life: it must go on from here.
    #[must_use]
    pub fn latest(&self) -> Timestamp {
        self.index.latest()
    }
}

/// The open database with an index that is filled, or what is to fill it.
type OpenedNow = (Arc<Index>, open::Opened, DirectoryLock, Option<Load>);

fn open_now(path: &Path, cache: u64, now: Timestamp) -> Result<OpenedNow, OpenError> {
    let index = Arc::new(Index::default());
    let mut later: Option<Load> = None;
    let (opened, lock) = open::open(path, cache, |trees, reading| {
        let live_at = settle_time(trees, &index, now)?;
        // After a step back of the clock all sessions must be gone before anybody is served.
        if reading == Reading::Later && live_at == index.latest() {
            later = Some(Box::new(move |trees, index, is_unwanted| {
                trees.load(index, live_at, is_unwanted)
            }));
            return Ok(());
        }
        trees.load(&index, live_at, &mut || false).map(|_| ())
    })?;
    Ok((index, opened, lock, later))
}

/// Tells `index` the time, and returns the moment at which a session must be live to be kept. If the clock, which shows `now`,
/// has been set back since the last write, that one's moment counts.
fn settle_time(trees: &Trees, index: &Index, now: Timestamp) -> Result<Timestamp, StoreError> {
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
        return Ok(Timestamp::from_secs(u64::MAX));
    }
    if !behind.is_zero() {
        tracing::warn!(
            "the clock is {} before the last write to the database: the time goes on from that write",
            humantime::format_duration(behind)
        );
    }
    index.saw(now.max(latest));
    Ok(now.max(latest))
}

/// Those of `sessions` that have to go so that `at_most` live ones stay: the ones that have run out, and the oldest.
fn surplus(sessions: Vec<Session>, at_most: usize, now: Timestamp) -> Vec<SessionId> {
    let (mut live, over): (Vec<_>, Vec<_>) = sessions
        .into_iter()
        .partition(|session| now < session.expires_at());
    live.sort_by_key(|session| (session.created_at, session.id));
    let too_many = live.len().saturating_sub(at_most);
    let closed = over.iter().chain(&live[..too_many]);
    closed.map(|session| session.id).collect()
}

#[async_trait]
impl Store for SledStore {
    async fn create_user(&self, user: User, network: Option<Network>) -> Result<UserCreation, StoreError> {
        self.index.saw(user.created_at);
        self.committer
            .commit(move |trees, _| Ok((trees.create_user(&user, network)?, Effect::None)))
            .await
    }

    async fn user_by_name(&self, name: &Username) -> Result<Option<Arc<User>>, StoreError> {
        let user = self.committer.read(|trees| trees.user_by_name(name))?;
        Ok(user.map(Arc::new))
    }

    async fn change_user(&self, id: UserId, change: UserChange) -> Result<Option<Arc<User>>, StoreError> {
        self.committer
            .commit(move |trees, group| {
                let Some(user) = trees.user(id)? else {
                    return Ok((None, Effect::None));
                };
                let ended = match change {
                    UserChange::Password(_) => group.all_but(id, Kept::default()),
                    _ => Ended::default(),
                };
                let user = Arc::new(user.with(change));
                trees.put_user(&user, &ended)?;
                Ok((Some(Arc::clone(&user)), Effect::Change(user, ended)))
            })
            .await
    }

    async fn change_password(
        &self,
        id: UserId,
        verified: u32,
        to: PasswordHash,
        kept: Kept,
    ) -> Result<Option<Arc<User>>, StoreError> {
        self.committer
            .commit(move |trees, group| {
                let user = trees.user(id)?;
                let Some(user) = user.filter(|user| user.password_version == verified) else {
                    return Ok((None, Effect::None));
                };
                let ended = group.all_but(id, kept);
                let user = Arc::new(user.with(UserChange::Password(to)));
                trees.put_user(&user, &ended)?;
                Ok((Some(Arc::clone(&user)), Effect::Change(user, ended)))
            })
            .await
    }

    async fn delete_user(&self, id: UserId, verified: u32) -> Result<bool, StoreError> {
        self.committer
            .commit(move |trees, group| {
                let user = trees.user(id)?;
                let Some(user) = user.filter(|user| user.password_version == verified) else {
                    return Ok((false, Effect::None));
                };
                let ended = group.all_but(id, Kept::default());
                trees.remove_user(&user, &ended)?;
                Ok((true, Effect::End(ended)))
            })
            .await
    }

    async fn open_session(
        &self,
        session: Session,
        verified: u32,
        at_most: usize,
    ) -> Result<Option<Arc<User>>, StoreError> {
        let now = session.created_at;
        self.index.saw(now);
        self.committer
            .commit(move |trees, group| {
                let user = trees.user(session.user)?;
                let Some(user) = user.filter(|user| !user.disabled && user.password_version == verified)
                else {
                    return Ok((None, Effect::None));
                };
                let closed = if group.count_of(user.id) < at_most {
                    Vec::new()
                } else {
                    let others = trees.sessions(&group.sessions_of(user.id))?;
                    surplus(others, at_most.saturating_sub(1), now)
                };
                trees.change_sessions(Some(&session), &closed)?;
                let user = Arc::new(user);
                let effect = Effect::Open {
                    session,
                    user: Arc::clone(&user),
                    closed,
                };
                Ok((Some(user), effect))
            })
            .await
    }

    async fn sessions(&self, user: UserId, now: Timestamp) -> Result<Vec<Session>, StoreError> {
        self.index.saw(now);
        self.committer.loading.whole().await?;
        let ids = self.index.sessions_of(user).into_iter();
        let sessions = ids.filter_map(|id| self.index.session_as_used(id));
        let mut sessions: Vec<_> = sessions.filter(|session| now < session.expires_at()).collect();
        sessions.sort_by_key(|session| (session.created_at, session.id));
        Ok(sessions)
    }

    async fn accepted(
        &self,
        session: SessionId,
        token: TokenId,
        now: Timestamp,
    ) -> Result<Option<Accepted>, StoreError> {
        self.index.saw(now);
        let was_whole = self.committer.loading.is_whole()?;
        match self.index.accepted(session, token, now) {
            None if !was_whole => self.accepted_meanwhile(session, token, now),
            known => Ok(known),
        }
    }

    fn live_session(&self, session: SessionId) -> Option<Arc<dyn LiveSession>> {
        // Until the index is whole, what it lacks may be on the disk.
        let whole = self.committer.loading.is_whole().unwrap_or(false);
        let live = whole.then(|| self.index.live(session)).flatten()?;
        Some(live)
    }

    async fn refresh(
        &self,
        session: SessionId,
        token: TokenId,
        policy: TokenPolicy,
        now: Timestamp,
    ) -> Result<Refresh, StoreError> {
        self.index.saw(now);
        self.committer.loading.whole().await?;
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
                    return Ok((Refresh::Refused, Effect::End(vec![session].into())));
                };
                let outcome = session.refresh(token, &policy, now);
                if let Refresh::Minted(_) = outcome {
                    trees.put_session(&session)?;
                }
                Ok((outcome, Effect::Replace(session)))
            })
            .await
    }

    async fn rotate(
        &self,
        session: SessionId,
        generation: u32,
        policy: TokenPolicy,
        lifetime: Duration,
        now: Timestamp,
    ) -> Result<RefreshTokenOutcome, StoreError> {
        self.index.saw(now);
        self.committer.loading.whole().await?;
        let Some(mut known) = self.index.session(session) else {
            return Ok(RefreshTokenOutcome::Refused);
        };
        if self.index.user(known.user).is_none_or(|user| user.disabled) {
            return Ok(RefreshTokenOutcome::Refused);
        }
        match known.rotate(generation, &policy, lifetime, now) {
            settled @ (RefreshTokenOutcome::Stands(..) | RefreshTokenOutcome::Refused) => return Ok(settled),
            RefreshTokenOutcome::Minted(..) | RefreshTokenOutcome::Reused => {}
        }
        self.committer
            .commit(move |trees, _| {
                let Some(mut session) = trees.session(session)? else {
                    return Ok((RefreshTokenOutcome::Refused, Effect::End(vec![session].into())));
                };
                let outcome = session.rotate(generation, &policy, lifetime, now);
                match outcome {
                    RefreshTokenOutcome::Minted(..) => trees.put_session(&session)?,
                    RefreshTokenOutcome::Reused => {
                        trees.remove_sessions(&[session.id])?;
                        return Ok((outcome, Effect::End(vec![session.id].into())));
                    }
                    RefreshTokenOutcome::Stands(..) | RefreshTokenOutcome::Refused => {}
                }
                Ok((outcome, Effect::Replace(session)))
            })
            .await
    }

    async fn close_sessions(&self, user: UserId, kept: Kept) -> Result<usize, StoreError> {
        self.committer
            .commit(move |trees, group| {
                let ended = group.all_but(user, kept);
                trees.remove(&ended)?;
                Ok((ended.len(), Effect::End(ended)))
            })
            .await
    }

    async fn close_session(&self, session: SessionId) -> Result<Option<UserId>, StoreError> {
        self.committer.loading.whole().await?;
        // It goes from memory when its end is on the disk, and nobody was told of one that memory does not have yet.
        let Some(known) = self.index.session(session) else {
            return Ok(None);
        };
        self.committer
            .commit(move |trees, _| {
                trees.remove_sessions(&[session])?;
                Ok((Some(known.user), Effect::End(vec![session].into())))
            })
            .await
    }

    async fn prune(&self, now: Timestamp, at_most: usize) -> Result<usize, StoreError> {
        self.index.saw(now);
        // Here, because this is called again and again by a timer: so nobody waits for ever.
        blocking(self.committer.nudge()).await?;
        let mut pruned = 0;
        loop {
            let part = PRUNED_AT_ONCE.min(at_most - pruned);
            let removed = self
                .committer
                .commit(move |trees, group| {
                    let sessions = trees.remove_expired(&group.index.expired(now, part), now)?;
                    let api_tokens = group.index.api_tokens.expired(now, part - sessions.len());
                    trees.remove_api_tokens(api_tokens.iter().map(|token| token.id))?;
                    let ended = Ended { sessions, api_tokens };
                    Ok((ended.len(), Effect::End(ended)))
                })
                .await?;
            pruned += removed;
            if removed < part || pruned == at_most {
                return Ok(pruned);
            }
        }
    }

    async fn create_api_token(
        &self,
        token: ApiToken,
        session: SessionId,
        at_most: usize,
    ) -> Result<ApiTokenCreation, StoreError> {
        let now = token.created_at;
        self.index.saw(now);
        self.committer
            .commit(move |trees, group| {
                let session = trees.session(session)?;
                let session =
                    session.filter(|session| session.user == token.user && now < session.expires_at());
                let user = trees.user(token.user)?.filter(|user| !user.disabled);
                let (Some(_), Some(user)) = (session, user) else {
                    return Ok((ApiTokenCreation::SessionOver, Effect::None));
                };
                let others = group.api_tokens_of(user.id).into_iter();
                if others.filter(|other| now < other.expires_at).count() >= at_most {
                    return Ok((ApiTokenCreation::TooMany, Effect::None));
                }
                trees.put_api_token(&token)?;
                let effect = Effect::Add(Arc::new(token), Arc::new(user));
                Ok((ApiTokenCreation::Created, effect))
            })
            .await
    }

    async fn api_token_accepted(
        &self,
        hash: ApiTokenHash,
        now: Timestamp,
    ) -> Result<Option<AcceptedApiToken>, StoreError> {
        self.index.saw(now);
        self.committer.loading.whole().await?;
        Ok(self.index.accepted_api_token(hash, now))
    }

    async fn api_tokens(&self, user: UserId, now: Timestamp) -> Result<Vec<ApiToken>, StoreError> {
        self.index.saw(now);
        self.committer.loading.whole().await?;
        let tokens = self.index.api_tokens_of(user).into_iter();
        let tokens = tokens.filter(|token| now < token.expires_at);
        let mut tokens: Vec<_> = tokens
            .filter_map(|token| self.index.api_tokens.as_used(token.hash))
            .collect();
        tokens.sort_by_key(|token| (token.created_at, token.id));
        Ok(tokens)
    }

    async fn remove_api_token(&self, user: UserId, id: ApiTokenId) -> Result<bool, StoreError> {
        self.committer
            .commit(move |trees, group| {
                let mut tokens = group.api_tokens_of(user);
                tokens.retain(|token| token.id == id);
                let there = trees.has_api_token(id)? && !tokens.is_empty();
                let ended = Ended {
                    api_tokens: tokens,
                    ..Ended::default()
                };
                trees.remove(&ended)?;
                Ok((there, Effect::End(ended)))
            })
            .await
    }

    async fn keep_api_token_uses(&self, at_most: usize) -> Result<usize, StoreError> {
        let index = Arc::clone(&self.index);
        let used = blocking(move || index.api_tokens.uses_to_keep(at_most)).await?;
        if used.is_empty() {
            return Ok(0);
        }
        for some in used.chunks(RECORDS) {
            let some = some.to_vec();
            let kept = self
                .committer
                .commit(move |trees, _| {
                    trees.update_api_tokens(&some)?;
                    Ok((some, Effect::None))
                })
                .await?;
            self.index.api_tokens.kept(&kept);
        }
        Ok(used.len())
    }

    async fn refresh_key(&self, fresh: SecretSlice<u8>) -> Result<SecretSlice<u8>, StoreError> {
        if let Some(kept) = self.committer.read(Trees::refresh_key)? {
            return Ok(kept);
        }
        self.committer
            .commit_aside(|trees| trees.keep_refresh_key(fresh))
            .await
    }

    async fn key_ring(&self) -> Result<StoredRing, StoreError> {
        self.committer.read(Trees::key_ring)
    }

    async fn keep_key_ring(
        &self,
        keys: KeyRing<KeyMaterial>,
        instead_of: u64,
    ) -> Result<KeyRingUpdate, StoreError> {
        self.committer
            .commit_aside(move |trees| {
                // Writes are applied one after the other, so nobody gets in between.
                if trees.key_ring()?.revision != instead_of {
                    return Ok(KeyRingUpdate::ChangedMeanwhile);
                }
                let revision = instead_of + 1;
                trees.put_key_ring(&StoredRing { revision, keys })?;
                Ok(KeyRingUpdate::Kept(revision))
            })
            .await
    }

    async fn close_every_session(&self) -> Result<usize, StoreError> {
        let mut ended = 0;
        loop {
            let removed = self
                .committer
                .commit(|trees, group| {
                    let some = group.index.any(RECORDS);
                    trees.remove_sessions(&some)?;
                    if some.is_empty() {
                        trees.forget_refresh_key()?;
                    }
                    Ok((some.len(), Effect::End(some.into())))
                })
                .await?;
            if removed == 0 {
                return Ok(ended);
            }
            ended += removed;
        }
    }

    async fn last_sign_in(&self, user: UserId, network: Network) -> Result<Option<Timestamp>, StoreError> {
        self.committer.read(|trees| trees.last_sign_in(user, network))
    }

    async fn note_sign_in(&self, user: UserId, network: Network, now: Timestamp) -> Result<(), StoreError> {
        self.index.saw(now);
        self.committer
            .commit(move |trees, _| {
                trees.note_sign_in(user, network, now)?;
                Ok(((), Effect::None))
            })
            .await
    }

    async fn attempts(&self) -> Result<Option<KeptAttempts>, StoreError> {
        self.committer.read(Trees::attempts)
    }

    async fn keep_attempts(&self, changed: KeptAttempts) -> Result<(), StoreError> {
        let KeptAttempts { hash_key, mut places } = changed;
        loop {
            let rest = places.split_off(places.len().min(RECORDS));
            let some = KeptAttempts { hash_key, places };
            self.committer
                .commit(move |trees, _| Ok((trees.keep_attempts(&some)?, Effect::None)))
                .await?;
            if rest.is_empty() {
                return Ok(());
            }
            places = rest;
        }
    }

    async fn count(&self) -> Result<Count, StoreError> {
        Ok(Count {
            users: self.committer.read(Trees::users)?,
            sessions: self.committer.loading.is_whole()?.then(|| self.index.len()),
        })
    }
}

#[cfg(test)]
mod tests;

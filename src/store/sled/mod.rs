//! The store in an embedded sled database: the room that names sled.
//!
//! | tree | key | value |
//! |---|---|---|
//! | `meta` | `schema` | the version of the schema, a `u32`, big endian |
//! | `meta` | `commits` | how many groups of writes were made durable, a `u64`, big endian |
//! | `meta` | `latest` | the latest moment that a group of writes knew of, in seconds, a `u64`, big endian |
//! | `meta` | `settled` | the moment up to which what has expired may be deleted, in seconds, a `u64`, big endian |
//! | `meta` | `users` | how many users there are, a `u64`, big endian |
//! | `meta` | `signing_key` | `KeyRingRecord`, JSON: all signing keys |
//! | `meta` | `refresh_key` | the key that refresh tokens are made with, 32 bytes |
//! | `meta` | `names_key` | the key of the hash that picks the places in `names`, 16 bytes |
//! | `meta` | `attempts_key` | the key of the hash that picks the places in `attempts`, 16 bytes |
//! | `meta` | `import` | the import that is decided and not finished, 32 bytes: see [imports](trees::imports) |
//! | `users` | user id, 16 bytes | `UserRecord` with the networks and devices they sign in from and their reset code, JSON |
//! | `names` | a place, 2 bytes | rows of a hash of a username, 8 bytes, and a user id, 16 bytes: see [names](trees::names) |
//! | `roster` | a list and a name, or the start of one | up to 512 bytes of usernames and user ids: see [roster](trees::roster) |
//! | `sessions` | session id, 16 bytes | `SessionRecord` with its whitelist, JSON |
//! | `api_tokens` | API token id, 16 bytes | `ApiTokenRecord`, JSON |
//! | `invitations` | invitation id, 16 bytes | `InvitationRecord`, JSON |
//! | `codes` | the kind and the SHA-256 of a one-time code, 33 bytes | where the code is, 24 bytes: see [codes](trees::one_time_codes) |
//! | `confirmations` | session id, 16 bytes | when its user gave their password again, in seconds, a `u64`, big endian |
//! | `attempts` | a place, a `u32`, big endian | `AttemptsRecord`, 12 bytes |
//! | `trail` | a class and a number | `EventRecord`, JSON: see [trail](trees::trail) |
//!
//! A session is one record: log-out is one removal and takes every token of the session with it. Four rooms, each of which
//! imports only those before it:
//! - [`memory`] is the index, which answers the token check. It holds every live session, every API token and their users, and
//!   is changed only by what has reached the disk.
//! - [`trees`] reads and writes the trees.
//! - [`file`] opens the database directory, refuses a damaged one, and syncs it.
//! - [`commit`] is the one thread that writes. It answers a write only after the disk has it, and opens the database again
//!   after an outage of the disk.

mod api_tokens;
mod attempts;
mod commit;
mod devices;
mod error;
mod file;
mod go_back;
mod imports;
mod keys;
mod memory;
mod one_time_codes;
#[cfg(test)]
mod power_cut;
mod sessions;
mod start;
#[cfg(test)]
mod tests;
mod trail;
mod trees;
mod unfinished;
mod users;

use std::{path::PathBuf, sync::Arc};

use async_trait::async_trait;

use self::{
    commit::{
        committer::{Committer, Load},
        outage::DatabaseLocation,
        worker::Worker,
    },
    file::{
        database::Database,
        directory::{self, DirectoryLock},
    },
    memory::index::Index,
    trees::Trees,
    unfinished::Finished,
};
use super::{
    backend::{Store, StoreCounts},
    error::{OpenError, StoreError},
};
use crate::{
    clock::Timestamp,
    config::StoreConfig,
    domain::RequestContext,
    event::{Actor, Event, EventKind, Listeners},
};

/// How many records one write changes when there are many to change. So few that no other write waits long, and that a group
/// of writes with it is short enough to survive a power cut: see [`commit::group`].
const RECORDS: usize = 200;

/// A database directory, opened and locked. Dropping this waits until the database is closed. Its methods must be called on a
/// tokio runtime.
pub(crate) struct SledStore {
    index: Arc<Index>,
    committer: Committer,
    /// The database directory.
    directory: PathBuf,
    // Dropped last: the database is closed before another process can open it.
    _lock: Arc<DirectoryLock>,
}

/// Runs `work`, which takes long or waits for the disk, on a thread that answers no request.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| StoreError::Closed)
}

impl SledStore {
    /// Opens the database directory that `config` names, and makes it (mode 0700) if it does not exist. Removes what had
    /// expired by `now`, unless that moment is in doubt: see [`settled`](Store::settled).
    ///
    /// It blocks, for half a second with a million users. The sessions of a large database that was closed in good order are
    /// loaded afterwards, for some seconds with a million of them. Meanwhile tokens are accepted, and each method that needs to
    /// know every session waits.
    ///
    /// # Errors
    /// [`OpenError`], each variant with what to do. A database that can't be opened is left as it was, unless the error says
    /// otherwise.
    pub(crate) fn open(
        config: &StoreConfig,
        now: Timestamp,
        listeners: Listeners,
    ) -> Result<Self, OpenError> {
        let io_error = |source| OpenError::inaccessible(&config.path, source);
        let worker = Worker::start().map_err(io_error)?;
        let owned = config.clone();
        let started = worker.run(move || start::start(&owned, now));
        let started = started.map_err(io_error)??;
        let database = Database::of(started.opened);
        let (index, lock, load) = (started.index, started.lock, started.load);
        tell_of(started.finished, &index, &listeners);
        Ok(Self::over(worker, database, index, lock, config, listeners, load))
    }

    /// Whether a database has been made in the directory that `config` names.
    ///
    /// # Errors
    /// [`OpenError::Inaccessible`].
    pub(crate) fn exists(config: &StoreConfig) -> Result<bool, OpenError> {
        let path = &config.path;
        directory::is_marked(path).map_err(|source| OpenError::inaccessible(path, source))
    }

    fn over(
        worker: Worker,
        database: Database,
        index: Arc<Index>,
        lock: DirectoryLock,
        config: &StoreConfig,
        listeners: Listeners,
        load: Option<Load>,
    ) -> Self {
        let lock = Arc::new(lock);
        let location = DatabaseLocation {
            config: config.clone(),
            lock: Arc::clone(&lock),
        };
        let committer = Committer::start(
            worker,
            database,
            Arc::clone(&index),
            Box::new(location),
            listeners,
            load,
        );
        Self {
            index,
            committer,
            directory: config.path.clone(),
            _lock: lock,
        }
    }
}

/// Tells the audit trail and the listeners of the import that the start has finished, if there was one.
fn tell_of(Finished { added, updated }: Finished, index: &Index, listeners: &Listeners) {
    if added + updated == 0 {
        return;
    }
    let event = Event {
        kind: EventKind::UsersImported { added, updated },
        subject: None,
        actor: Actor::Server,
        context: RequestContext::default(),
        at: index.latest(),
    };
    index.waiting.add(&event);
    listeners.emit(&event);
}

#[async_trait]
impl Store for SledStore {
    fn latest(&self) -> Timestamp {
        self.index.latest()
    }

    fn settled(&self) -> Timestamp {
        self.index.settled()
    }

    fn note_time(&self, now: Timestamp, settled: Timestamp) {
        self.index.note_time(now, settled);
    }

    async fn go_back(&self, from: Timestamp, to: Timestamp) -> Result<(), StoreError> {
        self.go_back_to(from, to).await
    }

    async fn count(&self) -> Result<StoreCounts, StoreError> {
        Ok(StoreCounts {
            users: self.committer.read(Trees::users)?,
            sessions: self.committer.loading.is_whole()?.then(|| self.index.len()),
        })
    }
}

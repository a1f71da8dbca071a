//! The handle of the committing thread: what callers use to read and write. Only the thread answers a write, after the disk has
//! it.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread::JoinHandle,
};

use super::{
    access::{Access, SharedAccess},
    group::{Effect, Group, Write},
    outage::Reopen,
    thread::CommitThread,
    worker::Worker,
};
use crate::{
    event::Listeners,
    store::{
        error::StoreError,
        sled::{
            file::database::Database,
            memory::{index::Index, loading::Loading},
            trees::Trees,
        },
    },
};

pub(crate) use super::thread::Load;

/// Dropping this waits until what is queued is committed and the database is closed.
pub(crate) struct Committer {
    /// Whether the index is filled.
    pub(crate) loading: Arc<Loading>,
    access: Arc<SharedAccess>,
    /// Dropped to tell the thread that the store is no longer wanted.
    wanted: Option<mpsc::Sender<Infallible>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Committer {
    /// Commits to `database`, and after an outage to what `location` has then. If there is a `load`, it fills the index first;
    /// until then only [independent](Self::commit_independent) writes are applied.
    pub(crate) fn start(
        worker: Worker,
        database: Database,
        index: Arc<Index>,
        location: Box<dyn Reopen>,
        listeners: Listeners,
        load: Option<Load>,
    ) -> Self {
        let (access, writes) = Access::to(&database);
        let access = Arc::new(SharedAccess::new(access));
        let (wanted, unwanted) = mpsc::channel();
        let loading = Arc::new(Loading::default());
        let thread = CommitThread {
            access: Arc::clone(&access),
            index,
            loading: Arc::clone(&loading),
            location,
            listeners,
            unwanted,
        };
        if load.is_none() {
            loading.end(Ok(()));
        }
        let thread = worker.end_with(move || thread.run(database, writes, load));
        Self {
            loading,
            access,
            wanted: Some(wanted),
            thread: Mutex::new(Some(thread)),
        }
    }

    /// Runs `write` on the committing thread. Returns what that returned, once it is durable and its [`Effect`] is visible in
    /// memory. If the caller stops waiting, the write happens all the same.
    pub(crate) async fn commit<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Trees, &Group<'_>) -> Result<(T, Effect), StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.queue(write, false).await
    }

    /// The same for a write of which nothing is in memory and which depends on nothing there. It does not wait until the
    /// index is filled, and may be done before writes that do.
    pub(crate) async fn commit_independent<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Trees) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.queue(|trees, _| Ok((write(trees)?, Effect::None)), true)
            .await
    }

    async fn queue<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Trees, &Group<'_>) -> Result<(T, Effect), StoreError> + Send + 'static,
        independent: bool,
    ) -> Result<T, StoreError> {
        let (write, answered) = Write::new(write, independent);
        let queue = self.access.get().queue.clone()?;
        queue.send(write).await.map_err(|_| self.refusal())?;
        answered.await.map_err(|_| self.refusal())?
    }

    /// Runs `read` on the trees as they are now, which may show a write that is not durable yet.
    pub(crate) fn read<T>(
        &self,
        read: impl FnOnce(&Trees) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.access.read(read)
    }

    /// Returns a function that runs `read` as [`read`](Self::read) does, for a caller that lets another thread wait for the disk.
    pub(crate) fn deferred_read<T, R: FnOnce(&Trees) -> Result<T, StoreError> + Send>(
        &self,
        read: R,
    ) -> impl FnOnce() -> Result<T, StoreError> + Send + use<T, R> {
        let access = Arc::clone(&self.access);
        move || access.read(read)
    }

    /// Returns a function that wakes the committing thread if it waits for a write that has failed already. Where that write
    /// was the end of a batch, sled keeps the error and wakes no thread (`exit_reservation` in its `logger.rs`), until another
    /// thread flushes. That is what the function does: it waits for the disk.
    pub(crate) fn nudge(&self) -> impl FnOnce() + Send + use<> {
        let access = Arc::clone(&self.access);
        move || {
            // An error reaches the committing thread too.
            let _ = access.read(Trees::flush);
        }
    }

    /// Why a write that was in the queue was not tried.
    fn refusal(&self) -> StoreError {
        let refusal = self.access.get().queue.as_ref().err().cloned();
        refusal.unwrap_or(StoreError::Closed)
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.nudge()();
        self.wanted = None;
        // With the last sender gone the thread finishes what is queued and ends.
        self.access.refuse(StoreError::Closed);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the database's writing thread had ended in a panic");
        }
    }
}

#[cfg(test)]
impl Committer {
    pub(crate) fn access(&self) -> std::sync::RwLockReadGuard<'_, Access> {
        self.access.get()
    }
}

//! Group commit: one thread takes writes from a queue, applies all that are waiting, makes them durable together, and
//! only then answers. Nobody outside this file can answer a write before the disk has it, because nobody outside has
//! the answer to give.
//!
//! sled's own `flush` is not enough: on Linux it ends in `sync_file_range`, which leaves the file's metadata and the
//! disk's write cache out. So the thread calls `sync_data` (`fdatasync`) itself, on the same file.

use std::{
    fs::File,
    io, iter,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use tokio::sync::{mpsc, oneshot};

use super::{index::Index, trees::Trees};
use crate::{
    domain::{Session, SessionId, User},
    store::StoreError,
};

/// How many writes one sync may carry. More wait for the next, which bounds how long a single answer can take.
const BATCH: usize = 256;
/// How many writes may wait. A caller beyond that waits for a place.
const QUEUE: usize = 1024;

/// What a write changes in memory once the disk has it.
pub(super) enum Effect {
    None,
    Open(Session, Arc<User>),
    Replace(Session),
    Close(Vec<SessionId>),
    Change(Arc<User>),
}

impl Effect {
    fn show(self, index: &Index) {
        match self {
            Self::None => {}
            Self::Open(session, user) => index.open(session, user),
            Self::Replace(session) => index.replace(session),
            Self::Close(ids) => ids.into_iter().for_each(|id| index.close(id)),
            Self::Change(user) => index.change(&user),
        }
    }
}

/// Makes what the operating system has been given outlive a power cut.
pub(super) trait Disk: Send + 'static {
    fn sync(&self) -> io::Result<()>;
}

impl Disk for File {
    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// A write that has been applied and waits for the sync: told how that went, it changes the memory and answers.
type Finish = Box<dyn FnOnce(Result<(), StoreError>, &Index) + Send>;
/// A write that waits to be applied.
type Write = Box<dyn FnOnce(&Trees, &Index) -> Finish + Send>;

pub(super) struct Committer {
    /// `None` only while it is being dropped.
    queue: Option<mpsc::Sender<Write>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Committer {
    pub(super) fn start(trees: Trees, index: Arc<Index>, disk: Box<dyn Disk>) -> io::Result<Self> {
        let (queue, writes) = mpsc::channel(QUEUE);
        let thread = thread::Builder::new()
            .name("committer".into())
            .spawn(move || run(&trees, &index, disk.as_ref(), writes))?;
        Ok(Self {
            queue: Some(queue),
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Runs `write` on the committing thread and returns what it gave once that is durable and, through its [`Effect`], to
    /// be seen in memory. If the caller stops waiting, the write happens all the same.
    pub(super) async fn commit<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Trees, &Index) -> Result<(T, Effect), StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let job: Write = Box::new(move |trees, index| {
            let applied = write(trees, index);
            Box::new(move |synced, index| {
                let result = synced.and(applied).map(|(value, effect)| {
                    effect.show(index);
                    value
                });
                // Nobody waits any more if the client has gone: the write holds all the same.
                let _ = answer.send(result);
            })
        });
        let queue = self.queue.as_ref().ok_or(StoreError::Closed)?;
        queue.send(job).await.map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Closed)?
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        // With the last sender gone the thread finishes what is queued and ends.
        self.queue = None;
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the database's writing thread had ended in a panic");
        }
    }
}

fn run(trees: &Trees, index: &Index, disk: &dyn Disk, mut writes: mpsc::Receiver<Write>) {
    while let Some(first) = writes.blocking_recv() {
        let waiting = iter::from_fn(|| writes.try_recv().ok());
        let applied: Vec<Finish> = iter::once(first)
            .chain(waiting)
            .take(BATCH)
            .map(|write| write(trees, index))
            .collect();
        let synced = trees
            .flush()
            .and_then(|()| disk.sync().map_err(StoreError::failed));
        if let Err(error) = &synced {
            tracing::error!(%error, writes = applied.len(), "writes did not reach the disk");
        }
        for finish in applied {
            finish(synced.clone(), index);
        }
    }
}

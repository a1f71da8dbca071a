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

use super::{
    index::Index,
    tally::{Count, Tally},
    trees::Trees,
};
use crate::{
    domain::{Session, SessionId, User},
    store::StoreError,
};

/// How many writes one sync may carry. More wait for the next, which bounds how long a single answer can take.
const BATCH: usize = 128;
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

/// Where the log lies.
pub(super) trait Disk: Send + 'static {
    /// Makes what the operating system has been given outlive a power cut, `commits` groups of writes by now.
    fn sync(&self, commits: u64) -> io::Result<()>;

    /// Notes that nothing more will be written.
    fn close(&self, commits: u64);
}

/// sled's data file, and the tally beside it.
pub(super) struct DataFile {
    pub(super) data: File,
    pub(super) tally: Tally,
}

impl Disk for DataFile {
    fn sync(&self, commits: u64) -> io::Result<()> {
        self.data.sync_data()?;
        self.tally.write(Count {
            stopped_cleanly: false,
            commits,
        })
    }

    fn close(&self, commits: u64) {
        if let Err(error) = self.tally.write(Count {
            stopped_cleanly: true,
            commits,
        }) {
            tracing::warn!(%error, "the database was closed, but that could not be noted");
        }
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
            .spawn(move || run(trees, &index, disk.as_ref(), writes))?;
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

fn run(trees: Trees, index: &Index, disk: &dyn Disk, mut writes: mpsc::Receiver<Write>) {
    let mut commits = match trees.commits() {
        Ok(commits) => commits,
        Err(error) => return give_up(&error),
    };
    while let Some(first) = writes.blocking_recv() {
        let waiting = iter::from_fn(|| writes.try_recv().ok());
        let applied: Vec<Finish> = iter::once(first)
            .chain(waiting)
            .take(BATCH)
            .map(|write| write(&trees, index))
            .collect();
        commits += 1;
        let synced = trees
            .put_commits(commits, index.latest())
            .and_then(|()| trees.flush())
            .and_then(|()| disk.sync(commits).map_err(StoreError::failed));
        for finish in applied {
            finish(synced.clone(), index);
        }
        if let Err(error) = synced {
            return give_up(&error);
        }
    }
    // sled closes with its last handle, and has a few last things to write then.
    drop(trees);
    match disk.sync(commits) {
        Ok(()) => disk.close(commits),
        Err(error) => give_up(&StoreError::failed(error)),
    }
}

/// After a failed sync nobody knows what the disk has: Linux reports the failure once, forgets the pages, and the next
/// sync succeeds without them. Only reading the log anew, at a start, can tell; so this thread ends, and every write
/// from now on is refused.
fn give_up(error: &StoreError) {
    tracing::error!(%error, "the disk failed: nothing is written any more until the server is restarted");
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            atomic::{AtomicUsize, Ordering},
            mpsc,
        },
        time::Duration,
    };

    use super::*;
    use crate::clock::Timestamp;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    /// A disk that syncs when it is told to, as it is told to.
    struct ToldDisk {
        orders: mpsc::Receiver<io::Result<()>>,
        syncs: Arc<AtomicUsize>,
    }

    impl Disk for ToldDisk {
        fn sync(&self, _: u64) -> io::Result<()> {
            let order = self.orders.recv_timeout(Duration::from_secs(10));
            self.syncs.fetch_add(1, Ordering::SeqCst);
            order.unwrap_or_else(|_| Err(io::Error::other("nobody told the disk to sync")))
        }

        fn close(&self, _: u64) {}
    }

    struct Bench {
        // Dropped first, so that the disk is not waited for when the thread ends.
        order: mpsc::Sender<io::Result<()>>,
        committer: Arc<Committer>,
        trees: Trees,
        index: Arc<Index>,
        syncs: Arc<AtomicUsize>,
        user: Arc<User>,
    }

    fn bench() -> Bench {
        let trees = Trees::of(sled::Config::new().temporary(true).open().unwrap()).unwrap();
        let (order, orders) = mpsc::channel();
        let (index, syncs) = (Arc::new(Index::default()), Arc::new(AtomicUsize::new(0)));
        let disk = ToldDisk {
            orders,
            syncs: Arc::clone(&syncs),
        };
        let user = Arc::new(User::somebody("ada", NOW));
        let committer = Committer::start(trees.clone(), Arc::clone(&index), Box::new(disk)).unwrap();
        Bench {
            committer: Arc::new(committer),
            trees,
            index,
            order,
            syncs,
            user,
        }
    }

    impl Bench {
        /// Opens a session in a task of its own.
        fn open(&self) -> (Session, tokio::task::JoinHandle<Result<(), StoreError>>) {
            let minute = Duration::from_mins(1);
            let (session, _) = Session::start(self.user.id, minute, minute, NOW);
            let (committer, user, opened) = (
                Arc::clone(&self.committer),
                Arc::clone(&self.user),
                session.clone(),
            );
            let task = tokio::spawn(async move {
                committer
                    .commit(move |trees, _| {
                        trees.put_session(&opened)?;
                        Ok(((), Effect::Open(opened, user)))
                    })
                    .await
            });
            (session, task)
        }

        /// Until the committing thread has applied the write of `session`, and so waits for the disk.
        async fn applied(&self, session: &Session) {
            while self.trees.session(session.id).unwrap().is_none() {
                tokio::task::yield_now().await;
            }
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_write_is_answered_and_seen_only_after_the_sync() {
        let bench = bench();
        let (session, mut task) = bench.open();
        bench.applied(&session).await;
        // It is in the database's memory, and would be answered now if anything but the sync were waited for.
        assert!(
            tokio::time::timeout(Duration::from_millis(50), &mut task)
                .await
                .is_err()
        );
        assert_eq!(bench.index.session(session.id), None);

        bench.order.send(Ok(())).unwrap();
        task.await.unwrap().unwrap();
        assert_eq!(bench.syncs.load(Ordering::SeqCst), 1);
        assert_eq!(bench.index.session(session.id), Some(session));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_waits_meanwhile_shares_one_sync() {
        let bench = bench();
        let (first, task) = bench.open();
        bench.applied(&first).await;
        let waiting: Vec<_> = (0..20).map(|_| bench.open().1).collect();
        let queue = bench.committer.queue.as_ref().unwrap();
        while queue.capacity() > QUEUE - waiting.len() {
            tokio::task::yield_now().await;
        }
        bench.order.send(Ok(())).unwrap();
        bench.order.send(Ok(())).unwrap();
        for task in waiting.into_iter().chain([task]) {
            task.await.unwrap().unwrap();
        }
        assert_eq!(bench.syncs.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn after_a_failed_sync_nothing_is_acknowledged_or_seen_any_more() {
        let bench = bench();
        let (lost, task) = bench.open();
        bench.order.send(Err(io::Error::other("no space left"))).unwrap();
        assert!(matches!(task.await.unwrap(), Err(StoreError::Failed(_))));
        assert_eq!(bench.index.session(lost.id), None);

        // The next sync would succeed, without what the failed one left out; so there is none.
        let (next, task) = bench.open();
        let _ = bench.order.send(Ok(()));
        assert!(matches!(task.await.unwrap(), Err(StoreError::Closed)));
        assert_eq!(bench.index.session(next.id), None);
        assert_eq!(bench.syncs.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_write_whose_caller_has_gone_still_happens() {
        let bench = bench();
        let (session, task) = bench.open();
        bench.applied(&session).await;
        task.abort();
        let _ = task.await;
        bench.order.send(Ok(())).unwrap();
        drop(bench.order);
        drop(bench.committer);
        assert_eq!(bench.index.session(session.id), Some(session));
    }
}

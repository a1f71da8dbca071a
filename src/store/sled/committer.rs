//! Group commit: one thread takes writes from a queue, applies all that are waiting, makes them durable together, and
//! only then answers. Nobody outside this file can answer a write before the disk has it, because nobody outside has
//! the answer to give.
//!
//! When there is no room for a write, the thread closes the database, has whatever is asked of it refused, and goes on
//! when it could be opened again: see [`outage`].

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, mpsc as std_mpsc},
    thread::JoinHandle,
};

use tokio::sync::{mpsc::Sender, oneshot};

use super::{
    database::{Database, Failure},
    index::{Ended, Index},
    loading::{Load, Loading, Outcome},
    open,
    outage::{self, Reopen},
    queue::{Queue, Waiting},
    trees::Trees,
    worker::Worker,
};
use crate::{
    domain::{ApiToken, Session, SessionId, User, UserId},
    store::{Kept, StoreError},
};

/// How many writes one sync may carry. More wait for the next, which bounds how long a single answer can take.
///
/// It also keeps a group of writes, and what sled moves meanwhile, shorter than two segments of sled's log (1 MiB): in a longer
/// one sled may write over a segment whose pages have been moved, but not yet durably, and a cut of the power would leave
/// neither. 128 writes are some 130 KiB, and half a segment is moved at a time.
const BATCH: usize = 128;

/// What a write changes in memory once the disk has it.
pub(super) enum Effect {
    None,
    /// A new session, and those of the same user that have to go for it.
    Open {
        session: Session,
        user: Arc<User>,
        closed: Vec<SessionId>,
    },
    Replace(Session),
    /// A new API token, and whose it is.
    Add(Arc<ApiToken>, Arc<User>),
    End(Ended),
    /// A user who has changed, and what of theirs ends by that.
    Change(Arc<User>, Ended),
}

impl Effect {
    fn show(self, index: &Index) {
        match self {
            Self::None => {}
            Self::Open {
                session,
                user,
                closed,
            } => {
                index.close(&closed);
                index.open(session, User::clone(&user));
            }
            Self::Replace(session) => index.replace(session),
            Self::Add(token, user) => index.add_api_token(token, user.into()),
            Self::End(ended) => index.end(&ended),
            Self::Change(user, ended) => {
                index.end(&ended);
                index.change(&user);
            }
        }
    }
}

/// A write that has been applied and waits for the sync: told how that went, it changes the memory and answers.
type Finish = Box<dyn FnOnce(Result<(), StoreError>, &Index) + Send>;
/// Applies a write.
type Apply = Box<dyn FnOnce(&Trees, &mut Group) -> Finish + Send>;

/// A write that waits to be applied.
struct Write {
    apply: Apply,
    aside: bool,
}

impl Waiting for Write {
    fn is_aside(&self) -> bool {
        self.aside
    }
}

/// What a write knows besides the trees: the memory, which shows nothing of the group of writes that is being applied, and
/// what that memory lacks.
pub(super) struct Group<'a> {
    pub(super) index: &'a Index,
    opened: Vec<(UserId, SessionId)>,
    added: Vec<Arc<ApiToken>>,
}

impl Group<'_> {
    /// Every session of `user`, those included that were opened in this group.
    pub(super) fn sessions_of(&self, user: UserId) -> Vec<SessionId> {
        let opened = self.opened.iter().filter(|(owner, _)| *owner == user);
        let known = self.index.sessions_of(user);
        known.into_iter().chain(opened.map(|(_, id)| *id)).collect()
    }

    /// How many sessions `user` has at the most: one may have been closed in this group.
    pub(super) fn count_of(&self, user: UserId) -> usize {
        let opened = self.opened.iter().filter(|(owner, _)| *owner == user);
        self.index.count_of(user) + opened.count()
    }

    /// Every API token of `user`, likewise.
    pub(super) fn api_tokens_of(&self, user: UserId) -> Vec<Arc<ApiToken>> {
        let added = self.added.iter().filter(|token| token.user == user);
        let known = self.index.api_tokens_of(user);
        known.into_iter().chain(added.cloned()).collect()
    }

    /// Everything of `user` but what is `kept`.
    pub(super) fn all_but(&self, user: UserId, kept: Kept) -> Ended {
        let mut sessions = self.sessions_of(user);
        sessions.retain(|id| Some(*id) != kept.session);
        let api_tokens = if kept.api_tokens {
            Vec::new()
        } else {
            self.api_tokens_of(user)
        };
        Ended { sessions, api_tokens }
    }

    fn note(&mut self, effect: &Effect) {
        match effect {
            Effect::Open { session, .. } => self.opened.push((session.user, session.id)),
            Effect::Add(token, _) => self.added.push(Arc::clone(token)),
            Effect::None | Effect::Replace(_) | Effect::End(_) | Effect::Change(..) => {}
        }
    }
}

pub(super) struct Committer {
    /// How far it is with filling the index.
    pub(super) loading: Arc<Loading>,
    access: Arc<RwLock<Access>>,
    /// Dropped to tell the thread that nobody wants it any more.
    wanted: Option<std_mpsc::Sender<Infallible>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// The ways to the database, or why there is none.
struct Access {
    trees: Result<Trees, StoreError>,
    queue: Result<Sender<Write>, StoreError>,
}

impl Access {
    fn to(database: &Database) -> (Self, Queue<Write>) {
        let (queue, writes) = Queue::new();
        let access = Self {
            trees: Ok(database.trees.clone()),
            queue: Ok(queue),
        };
        (access, writes)
    }

    fn refused(error: StoreError) -> Self {
        Self {
            trees: Err(error.clone()),
            queue: Err(error),
        }
    }
}

impl Committer {
    /// Commits to `database`, and after an outage to what `place` has then. If the index is not filled yet, `load` fills it:
    /// before that, nothing is applied but writes that are [aside](Self::commit_aside).
    pub(super) fn start(
        worker: Worker,
        database: Database,
        index: Arc<Index>,
        place: Box<dyn Reopen>,
        load: Option<Load>,
    ) -> Self {
        let (access, writes) = Access::to(&database);
        let access = Arc::new(RwLock::new(access));
        let (wanted, unwanted) = std_mpsc::channel();
        let loading = Arc::new(Loading::default());
        let thread = Thread {
            access: Arc::clone(&access),
            index,
            loading: Arc::clone(&loading),
            place,
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

    /// Runs `write` on the committing thread and returns what it gave once that is durable and, through its [`Effect`], to
    /// be seen in memory. If the caller stops waiting, the write happens all the same.
    pub(super) async fn commit<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Trees, &Group<'_>) -> Result<(T, Effect), StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.queue(write, false).await
    }

    /// The same for what neither is in memory nor depends on what is: it does not have to wait until that has been read, and
    /// may be done before writes that do.
    pub(super) async fn commit_aside<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Trees) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.queue(|trees, _| Ok((write(trees)?, Effect::None)), true)
            .await
    }

    async fn queue<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Trees, &Group<'_>) -> Result<(T, Effect), StoreError> + Send + 'static,
        aside: bool,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let apply = Box::new(move |trees: &Trees, group: &mut Group<'_>| -> Finish {
            let applied = write(trees, group);
            if let Ok((_, effect)) = &applied {
                group.note(effect);
            }
            Box::new(move |synced, index| {
                let result = synced.and(applied).map(|(value, effect)| {
                    effect.show(index);
                    value
                });
                // Nobody waits any more if the client has gone: the write holds all the same.
                let _ = answer.send(result);
            })
        });
        let queue = self.access().queue.clone()?;
        let job = Write { apply, aside };
        queue.send(job).await.map_err(|_| self.refusal())?;
        answered.await.map_err(|_| self.refusal())?
    }

    /// Runs `read` on the trees as they are now, which may show a write that is not durable yet.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&Trees) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        read(self.access().trees.as_ref().map_err(Clone::clone)?)
    }

    /// Wakes the committing thread if it waits for a write that has failed already: where that write was the end of a batch,
    /// sled keeps the error and wakes nobody (`exit_reservation` in its `logger.rs`). Whoever flushes next does, and what is
    /// returned flushes: it waits for the disk.
    pub(super) fn nudge(&self) -> impl FnOnce() + Send + use<> {
        let access = Arc::clone(&self.access);
        move || {
            let access = access.read().unwrap_or_else(PoisonError::into_inner);
            // What it says is said to the committing thread too.
            let _ = access.trees.as_ref().map(Trees::flush);
        }
    }

    /// Why a write that was in the queue was not even tried.
    fn refusal(&self) -> StoreError {
        let refusal = self.access().queue.as_ref().err().cloned();
        refusal.unwrap_or(StoreError::Closed)
    }

    fn access(&self) -> RwLockReadGuard<'_, Access> {
        self.access.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.nudge()();
        self.wanted = None;
        // With the last sender gone the thread finishes what is queued and ends.
        *change(&self.access) = Access::refused(StoreError::Closed);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the database's writing thread had ended in a panic");
        }
    }
}

/// What the committing thread has besides the database.
struct Thread {
    access: Arc<RwLock<Access>>,
    index: Arc<Index>,
    loading: Arc<Loading>,
    place: Box<dyn Reopen>,
    /// Disconnected when nobody wants the database any more.
    unwanted: std_mpsc::Receiver<Infallible>,
}

impl Thread {
    fn run(self, mut database: Database, mut writes: Queue<Write>, load: Option<Load>) {
        let mut committed = Ok(());
        if let Some(load) = load {
            match self.load(&mut database, &mut writes, load) {
                Ok(meanwhile) => committed = meanwhile,
                Err(failed) => {
                    // Whatever is in the queue is refused with this, at once.
                    *change(&self.access) = Access::refused(StoreError::Closed);
                    return match failed {
                        None => database.close(),
                        // Not closed in good order: the next start looks at all of it before it serves anybody.
                        Some(error) => tracing::error!(
                            %error,
                            "the sessions can't be read from the database: nothing is read or written any more. Restart the server, which then says what can be done"
                        ),
                    };
                }
            }
        }
        loop {
            match committed.and_then(|()| self.commit_all(&mut database, &mut writes)) {
                Ok(()) => return database.close(),
                Err(Failure::Disk(error)) => {
                    change(&self.access).queue = Err(StoreError::Closed);
                    return give_up(&error);
                }
                Err(Failure::NoRoom(error)) => tracing::error!(
                    %error,
                    "there is no room on the disk, or it can't be written: tokens go on being checked, and all else is refused. Make room; the server goes on by itself then"
                ),
            }
            *change(&self.access) = Access::refused(StoreError::NoRoom);
            // Whatever is in the queue is refused with this, at once.
            drop(writes);
            let reopened = outage::reopened(database, self.place.as_ref(), &self.index, &self.unwanted);
            database = match reopened {
                Ok(Some(reopened)) => reopened,
                Ok(None) => return,
                Err(error) => {
                    *change(&self.access) = Access::refused(StoreError::Closed);
                    tracing::error!(%error, "the database can't be opened again: nothing is read or written any more until the server is restarted");
                    return;
                }
            };
            let access;
            (access, writes) = Access::to(&database);
            if !self.give(access) {
                return database.close();
            }
            tracing::warn!("there is room on the disk again: writes are taken");
            committed = Ok(());
        }
    }

    /// Fills the index, and commits meanwhile what is aside. Returns how that went if it failed or the index is whole; else why it
    /// is not, and `None` if nobody wants it any more.
    fn load(
        &self,
        database: &mut Database,
        writes: &mut Queue<Write>,
        load: Load,
    ) -> Result<Result<(), Failure>, Option<StoreError>> {
        let trees = database.trees.clone();
        let mut committed = Ok(());
        let mut meanwhile = || {
            // After a failure nothing is written before it was seen to.
            if committed.is_ok() {
                committed = match writes.aside(BATCH) {
                    none if none.is_empty() => Ok(()),
                    some => self.commit(database, some),
                };
            }
            self.is_unwanted()
        };
        let loaded = open::caught(|| load(&trees, &self.index, &mut meanwhile))
            .unwrap_or_else(|_| Err(StoreError::Unreadable("the log".to_owned())));
        let outcome = match loaded {
            Ok(Outcome::Whole) => Ok(()),
            Ok(Outcome::Unwanted) => Err(None),
            Err(error) => Err(Some(error)),
        };
        self.loading
            .end(outcome.as_ref().map_err(|_| StoreError::Closed).copied());
        match (outcome, committed) {
            // Nobody wants it any more, but it must not be closed as if all were well.
            (Err(None), failed @ Err(_)) => Ok(failed),
            (outcome, committed) => outcome.map(|()| committed),
        }
    }

    /// Whether nobody wants the database any more.
    fn is_unwanted(&self) -> bool {
        self.unwanted.try_recv() == Err(std_mpsc::TryRecvError::Disconnected)
    }

    /// Commits what comes, until nothing can come any more.
    fn commit_all(&self, database: &mut Database, writes: &mut Queue<Write>) -> Result<(), Failure> {
        loop {
            let group = writes.next(BATCH);
            if group.is_empty() {
                return Ok(());
            }
            self.commit(database, group)?;
        }
    }

    /// Applies `writes`, makes them durable together and answers each.
    fn commit(&self, database: &mut Database, writes: Vec<Write>) -> Result<(), Failure> {
        let mut group = Group {
            index: &self.index,
            opened: Vec::new(),
            added: Vec::new(),
        };
        let writes = writes.into_iter();
        let applied: Vec<Finish> = writes
            .map(|write| (write.apply)(&database.trees, &mut group))
            .collect();
        let committed = database.commit(self.index.latest());
        let told = match &committed {
            Ok(()) => Ok(()),
            Err(Failure::NoRoom(_)) => Err(StoreError::NoRoom),
            Err(Failure::Disk(error)) => Err(error.clone()),
        };
        for finish in applied {
            finish(told.clone(), &self.index);
        }
        committed
    }

    /// Gives callers this access, unless there will be no callers any more: then there is none, and this is `false`.
    fn give(&self, access: Access) -> bool {
        let mut given = change(&self.access);
        // Whoever drops the committer has said so before they take this lock.
        if self.is_unwanted() {
            return false;
        }
        *given = access;
        true
    }
}

fn change(access: &RwLock<Access>) -> RwLockWriteGuard<'_, Access> {
    // It is only ever replaced, so a panic while it was held has broken nothing.
    access.write().unwrap_or_else(PoisonError::into_inner)
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
        io,
        path::Path,
        sync::{
            atomic::{AtomicBool, AtomicUsize, Ordering},
            mpsc,
        },
        time::Duration,
    };

    use super::{
        super::{database::Disk, error::OpenError, queue::PLACES, tally::Count},
        *,
    };
    use crate::clock::Timestamp;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    /// A disk that syncs when it is told to, as it is told to.
    struct ToldDisk {
        orders: mpsc::Receiver<io::Result<()>>,
        syncs: Arc<AtomicUsize>,
        waits: Arc<AtomicBool>,
        full: Arc<AtomicBool>,
        closed: Arc<AtomicBool>,
    }

    impl Disk for ToldDisk {
        fn write(&self, _: &Trees) -> Result<(), StoreError> {
            if self.full.load(Ordering::SeqCst) {
                let full = io::Error::from(io::ErrorKind::StorageFull);
                return Err(StoreError::failed(sled::Error::Io(full)));
            }
            Ok(())
        }

        fn sync(&self) -> io::Result<()> {
            self.waits.store(true, Ordering::SeqCst);
            let order = self.orders.recv_timeout(Duration::from_secs(10));
            self.waits.store(false, Ordering::SeqCst);
            self.syncs.fetch_add(1, Ordering::SeqCst);
            order.unwrap_or_else(|_| Err(io::Error::other("nobody told the disk to sync")))
        }

        fn note(&self, count: Count) -> io::Result<()> {
            self.closed.store(count.stopped_cleanly, Ordering::SeqCst);
            Ok(())
        }
    }

    fn in_memory() -> Trees {
        Trees::of(sled::Config::new().temporary(true).open().unwrap()).unwrap()
    }

    /// What is found when the database is opened again, and on a disk that is never full.
    struct Found {
        trees: Trees,
        full: Arc<AtomicBool>,
        damaged: bool,
    }

    impl Disk for Found {
        fn sync(&self) -> io::Result<()> {
            Ok(())
        }

        fn note(&self, _: Count) -> io::Result<()> {
            Ok(())
        }
    }

    impl Reopen for Found {
        fn try_room(&self) -> io::Result<()> {
            if self.full.load(Ordering::SeqCst) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            Ok(())
        }

        fn reopen(&self, acknowledged: u64, index: &Index) -> Result<Database, OpenError> {
            if self.damaged {
                return Err(OpenError::damaged(
                    Path::new("data"),
                    &"its last writes are missing",
                ));
            }
            self.trees.restore(index).unwrap();
            let disk = Self {
                trees: self.trees.clone(),
                full: Arc::clone(&self.full),
                damaged: false,
            };
            Ok(Database {
                trees: self.trees.clone(),
                disk: Box::new(disk),
                commits: acknowledged,
            })
        }
    }

    struct Bench {
        // Dropped first, so that the disk is not waited for when the thread ends.
        order: mpsc::Sender<io::Result<()>>,
        committer: Arc<Committer>,
        trees: Trees,
        index: Arc<Index>,
        syncs: Arc<AtomicUsize>,
        /// Whether the committing thread waits for the disk.
        waits: Arc<AtomicBool>,
        /// Whether there is no room.
        full: Arc<AtomicBool>,
        /// Whether it was noted that the database was closed in good order.
        closed: Arc<AtomicBool>,
        /// What is found when there is room again.
        found: Trees,
        user: Arc<User>,
    }

    fn bench() -> Bench {
        bench_that(false, None)
    }

    /// One whose database can be opened again after an outage, unless that finds it `damaged`, and whose index `load` fills.
    fn bench_that(damaged: bool, load: Option<Load>) -> Bench {
        let (trees, found) = (in_memory(), in_memory());
        let (order, orders) = mpsc::channel();
        let (index, syncs) = (Arc::new(Index::default()), Arc::new(AtomicUsize::new(0)));
        let new = || Arc::new(AtomicBool::new(false));
        let (waits, full, closed) = (new(), new(), new());
        let disk = ToldDisk {
            orders,
            syncs: Arc::clone(&syncs),
            waits: Arc::clone(&waits),
            full: Arc::clone(&full),
            closed: Arc::clone(&closed),
        };
        let place = Found {
            trees: found.clone(),
            full: Arc::clone(&full),
            damaged,
        };
        let database = Database {
            trees: trees.clone(),
            disk: Box::new(disk),
            commits: 0,
        };
        let user = Arc::new(User::somebody("ada", NOW));
        let committer = Committer::start(
            Worker::start().unwrap(),
            database,
            Arc::clone(&index),
            Box::new(place),
            load,
        );
        Bench {
            order,
            committer: Arc::new(committer),
            trees,
            index,
            syncs,
            waits,
            full,
            closed,
            found,
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
                        let effect = Effect::Open {
                            session: opened,
                            user,
                            closed: Vec::new(),
                        };
                        Ok(((), effect))
                    })
                    .await
            });
            (session, task)
        }

        /// Until the committing thread has applied the write of `session` and waits for the disk: whatever is queued from now on
        /// belongs to the next group.
        async fn applied(&self, session: &Session) {
            let is_applied = || self.trees.session(session.id).unwrap().is_some();
            while !(is_applied() && self.waits.load(Ordering::SeqCst)) {
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
        let queue = bench.committer.access().queue.clone().unwrap();
        let all_queued = async {
            while queue.capacity() > PLACES - waiting.len() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), all_queued)
            .await
            .unwrap();
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
        bench
            .order
            .send(Err(io::Error::from(io::ErrorKind::StorageFull)))
            .unwrap();
        assert!(matches!(task.await.unwrap(), Err(StoreError::Failed(_))));
        assert_eq!(bench.index.session(lost.id), None);

        // The next sync would succeed, without what the failed one left out; so there is none.
        let (next, task) = bench.open();
        let _ = bench.order.send(Ok(()));
        assert!(matches!(task.await.unwrap(), Err(StoreError::Closed)));
        assert_eq!(bench.index.session(next.id), None);
        assert_eq!(bench.syncs.load(Ordering::SeqCst), 1);
    }

    /// Fills nothing until it is told, or nobody wants it any more.
    fn told_to_load() -> (mpsc::Sender<()>, Load) {
        let (go_on, told) = mpsc::channel();
        let load: Load = Box::new(move |_, _, is_unwanted| {
            while told.recv_timeout(Duration::from_millis(1)).is_err() {
                if is_unwanted() {
                    return Ok(Outcome::Unwanted);
                }
            }
            Ok(Outcome::Whole)
        });
        (go_on, load)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_sync_that_fails_while_the_index_is_being_filled_is_the_last_too() {
        let (go_on, load) = told_to_load();
        let bench = bench_that(false, Some(load));
        bench.order.send(Err(io::Error::other("broken"))).unwrap();
        let lost = bench.committer.commit_aside(|_| Ok(())).await;
        assert!(matches!(lost, Err(StoreError::Failed(_))), "{lost:?}");
        assert!(!bench.committer.loading.is_whole().unwrap());

        go_on.send(()).unwrap();
        bench.committer.loading.whole().await.unwrap();
        let _ = bench.order.send(Ok(()));
        let next = bench.committer.commit_aside(|_| Ok(())).await;
        assert!(matches!(next, Err(StoreError::Closed)), "{next:?}");
        assert_eq!(bench.syncs.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_let_go_of_while_the_index_is_being_filled_is_closed_in_good_order_unless_a_sync_failed()
    {
        for fails in [false, true] {
            let (_go_on, load) = told_to_load();
            let Bench {
                order,
                committer,
                closed,
                ..
            } = bench_that(false, Some(load));
            let synced = if fails {
                Err(io::Error::other("broken"))
            } else {
                Ok(())
            };
            order.send(synced).unwrap();
            assert_eq!(committer.commit_aside(|_| Ok(())).await.is_err(), fails);
            // Of closing.
            let _ = order.send(Ok(()));
            drop(committer);
            assert_eq!(closed.load(Ordering::SeqCst), !fails);
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn with_no_room_writes_are_refused_at_once_until_there_is_some_and_memory_stays_as_it_is() {
        let bench = bench();
        let (before, task) = bench.open();
        bench.order.send(Ok(())).unwrap();
        task.await.unwrap().unwrap();
        bench.full.store(true, Ordering::SeqCst);
        let (refused, task) = bench.open();
        // Nothing that had been written before has got lost.
        bench.order.send(Ok(())).unwrap();
        assert!(matches!(task.await.unwrap(), Err(StoreError::NoRoom)));
        for _ in 0..3 {
            let task = bench.open().1;
            assert!(matches!(task.await.unwrap(), Err(StoreError::NoRoom)));
        }
        let read = bench.committer.read(|trees| trees.session(before.id));
        assert!(matches!(read, Err(StoreError::NoRoom)));
        assert_eq!(bench.index.session(before.id).as_ref(), Some(&before));

        // The refused write is found, and the other session is not: as if it had been logged out in the last moment.
        bench.found.put_session(&refused).unwrap();
        bench.order.send(Ok(())).unwrap();
        bench.full.store(false, Ordering::SeqCst);
        let after = loop {
            let (session, task) = bench.open();
            match task.await.unwrap() {
                Ok(()) => break session,
                Err(StoreError::NoRoom) => tokio::time::sleep(Duration::from_millis(20)).await,
                Err(error) => panic!("{error}"),
            }
        };
        let read = |session: &Session| bench.committer.read(|trees| trees.session(session.id)).unwrap();
        for session in [before, after] {
            assert_eq!(read(&session), Some(session.clone()));
            assert_eq!(bench.index.session(session.id), Some(session));
        }
        assert_eq!(read(&refused), None);
        assert_eq!(bench.index.session(refused.id), None);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_outage_is_final_if_the_disk_has_lost_anything() {
        let bench = bench();
        bench.full.store(true, Ordering::SeqCst);
        let (_, task) = bench.open();
        bench.order.send(Err(io::Error::other("lost"))).unwrap();
        assert!(matches!(task.await.unwrap(), Err(StoreError::Failed(_))));
        bench.full.store(false, Ordering::SeqCst);
        assert!(matches!(bench.open().1.await.unwrap(), Err(StoreError::Closed)));
        bench.committer.access().queue.as_ref().unwrap_err();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_found_damaged_after_an_outage_is_not_written_any_more() {
        let bench = bench_that(true, None);
        bench.full.store(true, Ordering::SeqCst);
        let (_, task) = bench.open();
        bench.order.send(Ok(())).unwrap();
        bench.order.send(Ok(())).unwrap();
        assert!(matches!(task.await.unwrap(), Err(StoreError::NoRoom)));
        bench.full.store(false, Ordering::SeqCst);
        loop {
            match bench.open().1.await.unwrap() {
                Err(StoreError::Closed) => return,
                Err(StoreError::NoRoom) => tokio::time::sleep(Duration::from_millis(20)).await,
                other => panic!("{other:?}"),
            }
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn nobody_waits_for_room_who_is_not_wanted_any_more() {
        let bench = bench();
        bench.full.store(true, Ordering::SeqCst);
        let (_, task) = bench.open();
        bench.order.send(Ok(())).unwrap();
        assert!(matches!(task.await.unwrap(), Err(StoreError::NoRoom)));
        let closed = tokio::task::spawn_blocking(move || drop(bench.committer));
        let in_time = tokio::time::timeout(Duration::from_secs(5), closed).await;
        in_time.unwrap().unwrap();
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

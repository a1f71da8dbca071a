//! The committing thread over a disk that does what a test tells it.

use std::{
    io,
    ops::ControlFlow,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use super::{
    committer::{Committer, Load},
    group::Effect,
    outage::Reopen,
    queue::PLACES,
    worker::Worker,
};
use crate::{
    clock::Timestamp,
    domain::{RequestContext, Session, User},
    event::{Actor, Event, EventKind, EventListener, TrailOrder, TrailQuery},
    store::{
        error::{OpenError, StoreError},
        sled::{
            file::{
                database::{Database, Disk},
                tally::CommitTally,
            },
            memory::index::Index,
            trees::Trees,
        },
    },
};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

/// A disk that syncs when a test says so, with the outcome that the test says.
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
        order.unwrap_or_else(|_| Err(io::Error::other("no test told the disk to sync")))
    }

    fn note(&self, count: CommitTally) -> io::Result<()> {
        self.closed.store(count.stopped_cleanly, Ordering::SeqCst);
        Ok(())
    }
}

fn in_memory() -> Trees {
    Trees::of(sled::Config::new().temporary(true).open().unwrap()).unwrap()
}

/// Where the database is opened again after an outage, on a disk that is never full.
struct Found {
    trees: Trees,
    full: Arc<AtomicBool>,
    damaged: bool,
}

impl Disk for Found {
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn note(&self, _: CommitTally) -> io::Result<()> {
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
    // Dropped first, so that the thread does not wait for the disk when it ends.
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
    /// The trees that are found when there is room again.
    found: Trees,
    user: Arc<User>,
    /// What the listeners were told.
    heard: Arc<Heard>,
}

fn bench() -> Bench {
    bench_that(false, None)
}

/// Keeps the names of events.
#[derive(Default)]
struct Heard(Mutex<Vec<&'static str>>);

impl EventListener for Heard {
    fn notice(&self, event: &Event) {
        assert_eq!((event.actor, event.subject), (Actor::Server, None));
        self.0.lock().unwrap().push(event.kind.name());
    }
}

/// A bench whose database opens again after an outage, unless it is `damaged` then. `load` fills its index.
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
    let location = Found {
        trees: found.clone(),
        full: Arc::clone(&full),
        damaged,
    };
    let database = Database {
        trees: trees.clone(),
        disk: Box::new(disk),
        commits: 0,
    };
    let (user, heard) = (Arc::new(User::sample("ada", NOW)), Arc::new(Heard::default()));
    let committer = Committer::start(
        Worker::start().unwrap(),
        database,
        Arc::clone(&index),
        Box::new(location),
        [Arc::clone(&heard) as _].into_iter().collect(),
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
        heard,
    }
}

impl Bench {
    fn heard(&self) -> Vec<&'static str> {
        self.heard.0.lock().unwrap().clone()
    }

    fn append(&self, kind: EventKind) {
        self.index.waiting.add(&Event {
            kind,
            subject: None,
            actor: Actor::Server,
            context: RequestContext::default(),
            at: NOW,
        });
    }

    /// The kinds of the audit trail's entries, as a reader sees them in `trees`.
    fn trail_in(&self, trees: &Trees) -> Vec<String> {
        let oldest_first = TrailQuery {
            order: TrailOrder::OldestFirst,
            ..TrailQuery::default()
        };
        let page = trees.events(&oldest_first, self.index.waiting.durable()).unwrap();
        page.entries.into_iter().map(|entry| entry.kind).collect()
    }

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

    /// Waits until the committing thread has applied the write of `session` and waits for the disk. What is queued from now on
    /// belongs to the next group.
    async fn applied(&self, session: &Session) {
        let is_applied = || self.trees.session(session.id).unwrap().is_some();
        while !(is_applied() && self.waits.load(Ordering::SeqCst)) {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_is_answered_and_visible_only_after_the_sync() {
    let bench = bench();
    let (session, mut task) = bench.open();
    bench.applied(&session).await;
    // The write is in sled's memory: it would be answered now if the thread waited for anything but the sync.
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
async fn writes_that_wait_share_one_sync() {
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
async fn after_a_failed_sync_nothing_is_acknowledged_or_visible() {
    let bench = bench();
    let (lost, task) = bench.open();
    bench
        .order
        .send(Err(io::Error::from(io::ErrorKind::StorageFull)))
        .unwrap();
    assert!(matches!(task.await.unwrap(), Err(StoreError::Failed(_))));
    assert_eq!(bench.index.session(lost.id), None);

    // The next sync would succeed without what the failed one left out, so there is none.
    let (next, task) = bench.open();
    let _ = bench.order.send(Ok(()));
    assert!(matches!(task.await.unwrap(), Err(StoreError::Closed)));
    assert_eq!(bench.index.session(next.id), None);
    assert_eq!(bench.syncs.load(Ordering::SeqCst), 1);
}

/// Fills nothing. Ends when the test says so, or when the store is no longer wanted.
fn told_to_load() -> (mpsc::Sender<()>, Load) {
    let (go_on, told) = mpsc::channel();
    let load: Load = Box::new(move |_, _, meanwhile| {
        while told.recv_timeout(Duration::from_millis(1)).is_err() {
            if meanwhile().is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    });
    (go_on, load)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_is_the_last_also_while_the_index_is_filled() {
    let (go_on, load) = told_to_load();
    let bench = bench_that(false, Some(load));
    bench.order.send(Err(io::Error::other("broken"))).unwrap();
    let lost = bench.committer.commit_independent(|_| Ok(())).await;
    assert!(matches!(lost, Err(StoreError::Failed(_))), "{lost:?}");
    assert!(!bench.committer.loading.is_whole().unwrap());

    go_on.send(()).unwrap();
    bench.committer.loading.whole().await.unwrap();
    let _ = bench.order.send(Ok(()));
    let next = bench.committer.commit_independent(|_| Ok(())).await;
    assert!(matches!(next, Err(StoreError::Closed)), "{next:?}");
    assert_eq!(bench.syncs.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_early_stop_is_clean_unless_a_sync_failed() {
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
        assert_eq!(committer.commit_independent(|_| Ok(())).await.is_err(), fails);
        // The sync of closing.
        let _ = order.send(Ok(()));
        drop(committer);
        assert_eq!(closed.load(Ordering::SeqCst), !fails);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_room_writes_are_refused_and_memory_stays() {
    let bench = bench();
    let (before, task) = bench.open();
    bench.order.send(Ok(())).unwrap();
    task.await.unwrap().unwrap();
    bench.full.store(true, Ordering::SeqCst);
    let (refused, task) = bench.open();
    // Nothing written earlier is lost.
    bench.order.send(Ok(())).unwrap();
    assert!(matches!(task.await.unwrap(), Err(StoreError::NoRoom)));
    for _ in 0..3 {
        let task = bench.open().1;
        assert!(matches!(task.await.unwrap(), Err(StoreError::NoRoom)));
    }
    let read = bench.committer.read(|trees| trees.session(before.id));
    assert!(matches!(read, Err(StoreError::NoRoom)));
    assert_eq!(bench.index.session(before.id).as_ref(), Some(&before));

    // The database has the refused write and lacks the acknowledged session.
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
    assert_eq!(bench.heard(), ["store_outage_began", "store_outage_ended"]);
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
    assert!(bench.heard().is_empty(), "no recovery is tried");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_damaged_in_an_outage_is_not_written() {
    let bench = bench_that(true, None);
    bench.full.store(true, Ordering::SeqCst);
    let (_, task) = bench.open();
    bench.order.send(Ok(())).unwrap();
    bench.order.send(Ok(())).unwrap();
    assert!(matches!(task.await.unwrap(), Err(StoreError::NoRoom)));
    bench.full.store(false, Ordering::SeqCst);
    loop {
        match bench.open().1.await.unwrap() {
            Err(StoreError::Closed) => break,
            Err(StoreError::NoRoom) => tokio::time::sleep(Duration::from_millis(20)).await,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(bench.heard(), ["store_outage_began"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unwanted_store_does_not_wait_for_room() {
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

#[tokio::test(flavor = "multi_thread")]
async fn an_event_shares_the_sync_of_the_next_write_and_shows_after_it() {
    let bench = bench();
    bench.append(EventKind::UserEnabled);
    bench.append(EventKind::UserDeleted);
    let (session, task) = bench.open();
    bench.applied(&session).await;
    assert!(bench.trail_in(&bench.trees).is_empty(), "not durable yet");
    bench.order.send(Ok(())).unwrap();
    task.await.unwrap().unwrap();
    assert_eq!(bench.trail_in(&bench.trees), ["user_enabled", "user_deleted"]);
    assert_eq!(bench.syncs.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_loses_no_event_and_keeps_none_twice() {
    for survives in [false, true] {
        let bench = bench();
        bench.full.store(true, Ordering::SeqCst);
        bench.append(EventKind::UserEnabled);
        let (_, task) = bench.open();
        bench.order.send(Ok(())).unwrap();
        assert!(matches!(task.await.unwrap(), Err(StoreError::NoRoom)));
        assert!(bench.trail_in(&bench.trees).is_empty());
        bench.append(EventKind::UserDeleted);
        if survives {
            // What could not be made durable has got to the disk all the same.
            let mut events = bench.index.waiting.take(1);
            bench
                .found
                .append_events(&mut events, &bench.index.waiting)
                .unwrap();
            bench.index.waiting.put_back(events);
        }
        bench.order.send(Ok(())).unwrap();
        bench.full.store(false, Ordering::SeqCst);
        while let Err(error) = bench.open().1.await.unwrap() {
            assert!(matches!(error, StoreError::NoRoom), "{error}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // The last event may come after that write.
        bench.committer.commit_independent(|_| Ok(())).await.unwrap();
        let mut kept = bench.committer.read(|trees| Ok(bench.trail_in(trees))).unwrap();
        assert_eq!(kept.pop().unwrap(), "store_outage_ended");
        kept.sort_unstable();
        assert_eq!(kept, ["store_outage_began", "user_deleted", "user_enabled"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_written_when_the_store_is_closed() {
    let Bench {
        order,
        committer,
        trees,
        index,
        syncs,
        closed,
        ..
    } = bench();
    let event = |kind| Event {
        kind,
        subject: None,
        actor: Actor::Server,
        context: RequestContext::default(),
        at: NOW,
    };
    index.waiting.add(&event(EventKind::UserEnabled));
    index.waiting.add(&event(EventKind::CurrentPasswordWrong));
    // One for both events, and one to close.
    order.send(Ok(())).unwrap();
    order.send(Ok(())).unwrap();
    drop(committer);
    let page = trees
        .events(&TrailQuery::default(), index.waiting.durable())
        .unwrap();
    assert_eq!(page.entries.len(), 2);
    assert_eq!(
        (syncs.load(Ordering::SeqCst), closed.load(Ordering::SeqCst)),
        (2, true)
    );
}

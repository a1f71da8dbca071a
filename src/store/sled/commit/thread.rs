//! The committing thread: fills the index if need be, commits one group of writes after the other, and waits out an
//! [outage](super::outage).

use std::{
    convert::Infallible,
    ops::ControlFlow,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, TryRecvError},
    },
};

use super::{
    access::{Access, SharedAccess},
    group::{BATCH, Finish, Group, Write},
    outage::{self, Recovery, Reopen},
    queue::WriteQueue,
};
use crate::{
    domain::RequestContext,
    event::{Actor, Event, EventKind, Listeners},
    store::{
        error::StoreError,
        sled::{
            file::{
                database::{CommitFailure, Database},
                quiet::quietly,
            },
            memory::{index::Index, loading::Loading, waiting::WaitingEvent},
            trees::{Trees, meta::Moments},
        },
    },
};

/// Fills the index from the trees, and now and then calls the function it is given. Stops and breaks if that breaks.
pub(crate) type Load =
    Box<dyn FnOnce(&Trees, &Index, Meanwhile<'_>) -> Result<ControlFlow<()>, StoreError> + Send>;
/// What is done while the index is being filled. Breaks if the store is no longer wanted.
type Meanwhile<'a> = &'a mut dyn FnMut() -> ControlFlow<()>;

/// What the committing thread has besides the database.
pub(crate) struct CommitThread {
    pub(crate) access: Arc<SharedAccess>,
    pub(crate) index: Arc<Index>,
    pub(crate) loading: Arc<Loading>,
    pub(crate) location: Box<dyn Reopen>,
    pub(crate) listeners: Listeners,
    /// Disconnected when the store is no longer wanted.
    pub(crate) unwanted: Receiver<Infallible>,
}

/// How filling the index ended.
enum Filled {
    /// The index is whole, and every write meanwhile is durable.
    Whole,
    /// A write meanwhile failed. The index may be whole or not.
    CommitFailed(CommitFailure),
    /// The store is no longer wanted.
    Unwanted,
    /// The trees can't be read.
    Unreadable(StoreError),
}

impl CommitThread {
    pub(crate) fn run(self, mut database: Database, mut writes: WriteQueue<Write>, load: Option<Load>) {
        let filled = load.map_or(Filled::Whole, |load| self.fill(&mut database, &mut writes, load));
        let mut committed = match filled {
            Filled::Whole => Ok(()),
            Filled::CommitFailed(failure) => Err(failure),
            Filled::Unwanted => {
                self.access.refuse(StoreError::Closed);
                return self.close(database);
            }
            Filled::Unreadable(error) => {
                self.access.refuse(StoreError::Closed);
                // Not closed in good order: the next start reads all of it before it answers a request.
                tracing::error!(
                    %error,
                    "the sessions can't be read from the database: nothing is read or written any more. Restart the server, which then says what can be done"
                );
                return;
            }
        };
        loop {
            match committed.and_then(|()| self.commit_all(&mut database, &mut writes)) {
                Ok(()) => return self.close(database),
                Err(CommitFailure::Disk(error)) => {
                    self.access.change().queue = Err(StoreError::Closed);
                    return give_up(&error);
                }
                Err(CommitFailure::NoRoom(error)) => tracing::error!(
                    %error,
                    "there is no room on the disk, or it can't be written: tokens go on being checked, and all else is refused. Make room; the server goes on by itself then"
                ),
            }
            self.access.refuse(StoreError::NoRoom);
            // What is in the queue is refused with this, at once.
            drop(writes);
            self.emit(EventKind::StoreOutageBegan);
            let wait = |pause| match self.unwanted.recv_timeout(pause) {
                Err(RecvTimeoutError::Timeout) => ControlFlow::Continue(()),
                Err(RecvTimeoutError::Disconnected) => ControlFlow::Break(()),
                Ok(never) => match never {},
            };
            database = match outage::recover(database, self.location.as_ref(), &self.index, wait) {
                Recovery::Reopened(reopened) => *reopened,
                Recovery::Unwanted => return,
                Recovery::Impossible(error) => {
                    self.access.refuse(StoreError::Closed);
                    tracing::error!(%error, "the database can't be opened again: nothing is read or written any more until the server is restarted");
                    return;
                }
            };
            let access;
            (access, writes) = Access::to(&database);
            if self.grant(access).is_break() {
                return self.close(database);
            }
            tracing::warn!("there is room on the disk again: writes are taken");
            self.emit(EventKind::StoreOutageEnded);
            committed = Ok(());
        }
    }

    /// Fills the index, committing independent writes meanwhile.
    fn fill(&self, database: &mut Database, writes: &mut WriteQueue<Write>, load: Load) -> Filled {
        let trees = database.trees.clone();
        let mut committed = Ok(());
        let mut meanwhile = || {
            // After a failure nothing is written until the failure has been handled.
            if committed.is_ok() {
                committed = match writes.take_independent(BATCH) {
                    none if none.is_empty() => Ok(()),
                    some => self.commit(database, some),
                };
            }
            self.is_wanted()
        };
        let loaded = quietly(|| load(&trees, &self.index, &mut meanwhile))
            .unwrap_or_else(|_| Err(StoreError::Unreadable("the log".to_owned())));
        let is_whole = matches!(loaded, Ok(ControlFlow::Continue(())));
        self.loading
            .end(if is_whole { Ok(()) } else { Err(StoreError::Closed) });
        match (loaded, committed) {
            (Err(error), _) => Filled::Unreadable(error),
            // Also if the store is no longer wanted: it must not be closed as if in good order.
            (Ok(_), Err(failure)) => Filled::CommitFailed(failure),
            (Ok(ControlFlow::Break(())), Ok(())) => Filled::Unwanted,
            (Ok(ControlFlow::Continue(())), Ok(())) => Filled::Whole,
        }
    }

    /// Breaks if the store is no longer wanted.
    fn is_wanted(&self) -> ControlFlow<()> {
        match self.unwanted.try_recv() {
            Err(TryRecvError::Disconnected) => ControlFlow::Break(()),
            Err(TryRecvError::Empty) => ControlFlow::Continue(()),
            Ok(never) => match never {},
        }
    }

    /// Commits each write that comes, until none can come any more.
    fn commit_all(
        &self,
        database: &mut Database,
        writes: &mut WriteQueue<Write>,
    ) -> Result<(), CommitFailure> {
        loop {
            let group = writes.take(BATCH);
            if group.is_empty() {
                return Ok(());
            }
            self.commit(database, group)?;
        }
    }

    /// Applies `writes`, makes them durable together and answers each.
    fn commit(&self, database: &mut Database, writes: Vec<Write>) -> Result<(), CommitFailure> {
        let mut events = self.index.waiting.take(BATCH);
        let appended = database.trees.append_events(&mut events, &self.index.waiting);
        let mut group = Group::over(&self.index);
        let writes = writes.into_iter();
        let applied: Vec<Finish> = writes
            .map(|write| write.apply(&database.trees, &mut group))
            .collect();
        let committed = database.commit(Moments {
            latest: self.index.latest(),
            settled: self.index.settled(),
        });
        let told = match &committed {
            Ok(()) => Ok(()),
            Err(CommitFailure::NoRoom(_)) => Err(StoreError::NoRoom),
            Err(CommitFailure::Disk(error)) => Err(error.clone()),
        };
        self.settle_events(events, appended, committed.is_ok());
        for finish in applied {
            finish(told.clone(), &self.index);
        }
        committed
    }

    /// Shows `events` to readers if they are durable. What may not be is tried again with the next group.
    fn settle_events(&self, events: Vec<WaitingEvent>, appended: Result<u64, StoreError>, is_durable: bool) {
        match appended {
            Ok(next) if is_durable => self.index.waiting.set_durable(next),
            Err(error) if is_durable => tracing::error!(
                %error,
                events = events.len(),
                "events could not be written to the audit trail, which lacks them now"
            ),
            _ => self.index.waiting.put_back(events),
        }
    }

    /// Writes the events that wait, and closes `database`.
    fn close(&self, mut database: Database) {
        // Refusals are released when earlier ones have been taken.
        while self.index.waiting.release_refusals() > 0 {
            if let Err(CommitFailure::Disk(error) | CommitFailure::NoRoom(error)) =
                self.commit(&mut database, Vec::new())
            {
                tracing::error!(%error, "the last events could not be written to the audit trail, which lacks them now");
                // Not closed in good order.
                return;
            }
        }
        database.close();
    }

    /// Grants callers this access. Breaks, and grants nothing, if the store is no longer wanted.
    fn grant(&self, access: Access) -> ControlFlow<()> {
        let mut granted = self.access.change();
        // The thread that drops the committer disconnects `unwanted` before it takes this lock.
        self.is_wanted()?;
        *granted = access;
        ControlFlow::Continue(())
    }

    fn emit(&self, kind: EventKind) {
        let event = Event {
            kind,
            subject: None,
            actor: Actor::Server,
            context: RequestContext::default(),
            at: self.index.latest(),
        };
        self.index.waiting.add(&event);
        self.listeners.emit(&event);
    }
}

/// After a failed sync it is unknown what the disk has. Linux reports the failure once and forgets the pages, and the next sync
/// succeeds without them. Only reading the log again, at a start, can tell. So this thread ends, and every later write is
/// refused.
fn give_up(error: &StoreError) {
    tracing::error!(%error, "the disk failed: nothing is written any more until the server is restarted");
}

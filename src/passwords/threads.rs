//! Threads of the server's own for work that keeps a processor busy, behind bounded [lines](super::line): a flood fills its line
//! and is turned away. Sign-ins and sign-ups have a line each, and the threads serve the two by turns. So a flood of sign-ups
//! takes no place of a sign-in, and at most half of the threads' time. The system schedules these threads like all others, so
//! a busy neighbour slows a sign-in and cannot starve it. What is hashed, this file does not know.

use std::{
    io,
    panic::{self, AssertUnwindSafe},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use tokio::sync::oneshot;

use super::line::{Line, Wanted};
use crate::domain::Network;

/// What a password is hashed for, and for a client in which network, if that is known.
#[derive(Clone, Copy, Debug)]
pub(crate) enum HashFor {
    /// A user who is claimed to exist: a sign-in, or another verb that takes their password.
    SignIn(Option<Network>),
    /// A user who does not exist yet.
    SignUp(Option<Network>),
}

/// The threads. They end when this is dropped and the lines are empty.
pub(super) struct HashThreads {
    queue: Arc<JobQueue>,
}

/// The jobs that wait, which the threads share.
struct JobQueue {
    waiting: Mutex<Waiting>,
    /// Notified when there is one more job, or when no more will come.
    changed: Condvar,
}

struct Waiting {
    sign_ins: Line<Box<dyn Job>>,
    sign_ups: Line<Box<dyn Job>>,
    /// Whether the next job is a sign-up, if there are both.
    sign_up_is_next: bool,
    is_closed: bool,
}

/// Work that waits for a thread.
trait Job: Send {
    /// Whether its caller still waits for it.
    fn has_caller(&self) -> bool;
    /// Does the work and answers the caller.
    fn run(self: Box<Self>);
}

struct Work<T, F> {
    work: F,
    answer: oneshot::Sender<Result<T, NotDone>>,
}

/// Why a job was not done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotDone {
    /// The line is full, and the client has its part of it.
    QueueFull,
    /// The job panicked.
    Broken,
}

impl HashThreads {
    /// Starts threads for `at_once` jobs at the same time. While all of them work, up to `waiting` sign-ins wait, and half as
    /// many sign-ups.
    pub(super) fn start(at_once: usize, waiting: usize) -> io::Result<Self> {
        let waiting = Waiting {
            sign_ins: Line::new(waiting),
            sign_ups: Line::new(waiting.div_ceil(2)),
            sign_up_is_next: false,
            is_closed: false,
        };
        let queue = Arc::new(JobQueue {
            waiting: Mutex::new(waiting),
            changed: Condvar::new(),
        });
        // If one thread can't be started, this is dropped, and so the others end.
        let threads = Self { queue };
        for number in 0..at_once {
            let queue = Arc::clone(&threads.queue);
            thread::Builder::new()
                .name(format!("hash-{number}"))
                .spawn(move || while queue.next().map(Job::run).is_some() {})?;
        }
        Ok(threads)
    }

    /// Runs `work` on one of the threads and returns its result. If the caller has stopped waiting before a thread takes
    /// the work, the work is not done.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        purpose: HashFor,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NotDone> {
        let (answer, answered) = oneshot::channel();
        self.queue.put(purpose, Box::new(Work { work, answer }));
        // A job that has no place, or loses it, is dropped without an answer.
        answered.await.unwrap_or(Err(NotDone::QueueFull))
    }
}

impl Drop for HashThreads {
    fn drop(&mut self) {
        self.queue.lock().is_closed = true;
        self.queue.changed.notify_all();
    }
}

impl JobQueue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // No code under the lock panics half way through a change.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, purpose: HashFor, job: Box<dyn Job>) {
        let mut waiting = self.lock();
        let lost = match purpose {
            HashFor::SignIn(from) => waiting.sign_ins.put(from, job),
            HashFor::SignUp(from) => waiting.sign_ups.put(from, job),
        };
        drop(waiting);
        self.changed.notify_one();
        drop(lost);
    }

    /// Waits for the next job. Returns `None` if there is none and no more will come.
    fn next(&self) -> Option<Box<dyn Job>> {
        let mut waiting = self.lock();
        loop {
            if let Some(job) = waiting.take() {
                return Some(job);
            }
            if waiting.is_closed {
                return None;
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Waiting {
    /// Takes a job from the line whose turn it is, or from the other one if that is empty.
    fn take(&mut self) -> Option<Box<dyn Job>> {
        let (first, second) = if self.sign_up_is_next {
            (&mut self.sign_ups, &mut self.sign_ins)
        } else {
            (&mut self.sign_ins, &mut self.sign_ups)
        };
        if let Some(job) = first.take() {
            self.sign_up_is_next = !self.sign_up_is_next;
            return Some(job);
        }
        second.take()
    }
}

impl Wanted for Box<dyn Job> {
    fn is_wanted(&self) -> bool {
        self.has_caller()
    }
}

impl<T: Send, F: FnOnce() -> T + Send> Job for Work<T, F> {
    fn has_caller(&self) -> bool {
        !self.answer.is_closed()
    }

    fn run(self: Box<Self>) {
        if !self.has_caller() {
            return;
        }
        let Self { work, answer } = *self;
        // Work that panics does not end the thread.
        let done = panic::catch_unwind(AssertUnwindSafe(work));
        // The caller may have gone meanwhile, and then the result is not needed.
        let _ = answer.send(done.map_err(|_| NotDone::Broken));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures_util::FutureExt;

    use super::*;

    const SIGN_IN: HashFor = HashFor::SignIn(None);
    const SIGN_UP: HashFor = HashFor::SignUp(None);

    /// Occupies the only thread until the sender is dropped.
    fn block(threads: &Arc<HashThreads>) -> (mpsc::Sender<()>, tokio::task::JoinHandle<Result<(), NotDone>>) {
        let (release, released) = mpsc::channel::<()>();
        let (started, has_started) = mpsc::channel();
        let threads = Arc::clone(threads);
        let job = tokio::spawn(async move {
            let work = move || {
                let _ = started.send(());
                let _ = released.recv();
            };
            threads.run(SIGN_IN, work).await
        });
        tokio::task::block_in_place(|| has_started.recv().unwrap());
        (release, job)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_job_is_refused_while_the_queue_is_full() {
        let threads = Arc::new(HashThreads::start(1, 1).unwrap());
        let (release, running) = block(&threads);
        let mut waiting = Box::pin(threads.run(SIGN_IN, || 7));
        assert!((&mut waiting).now_or_never().is_none());
        assert_eq!(threads.run(SIGN_IN, || 8).await, Err(NotDone::QueueFull));

        drop(release);
        assert_eq!(waiting.await, Ok(7));
        assert_eq!(running.await.unwrap(), Ok(()));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn sign_ups_take_no_place_of_a_sign_in() {
        let threads = Arc::new(HashThreads::start(1, 4).unwrap());
        let (release, _running) = block(&threads);
        let mut jobs = Vec::new();
        for (purpose, places) in [(SIGN_UP, 2), (SIGN_IN, 4)] {
            for place in 0..=places {
                let mut job = Box::pin(threads.run(purpose, || ()));
                if place < places {
                    assert!((&mut job).now_or_never().is_none(), "{purpose:?} {place}");
                    jobs.push(job);
                } else {
                    assert_eq!(job.await, Err(NotDone::QueueFull), "{purpose:?}");
                }
            }
        }
        drop(release);
        for job in jobs {
            assert_eq!(job.await, Ok(()));
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn sign_ins_and_sign_ups_are_served_by_turns() {
        let threads = Arc::new(HashThreads::start(1, 8).unwrap());
        let (release, _running) = block(&threads);
        let (done, order) = mpsc::channel();
        let mut jobs = Vec::new();
        for (purpose, count) in [(SIGN_UP, 4), (SIGN_IN, 2)] {
            for _ in 0..count {
                let done = done.clone();
                let is_sign_up = matches!(purpose, HashFor::SignUp(_));
                let mut job = Box::pin(threads.run(purpose, move || done.send(is_sign_up).unwrap()));
                assert!((&mut job).now_or_never().is_none());
                jobs.push(job);
            }
        }
        drop(release);
        for job in jobs {
            assert_eq!(job.await, Ok(()));
        }
        // The job that blocked the thread was a sign-in.
        let order: Vec<bool> = order.try_iter().collect();
        assert_eq!(order, [true, false, true, false, true, true]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_job_that_loses_its_place_is_refused() {
        let threads = Arc::new(HashThreads::start(1, 2).unwrap());
        let (release, _running) = block(&threads);
        let from = |address: [u8; 4]| HashFor::SignIn(Some(Network::of(address.into())));
        let mut flood: Vec<_> = (0..2)
            .map(|_| Box::pin(threads.run(from([203, 0, 113, 9]), || 1)))
            .collect();
        for waiting in &mut flood {
            assert!(waiting.now_or_never().is_none());
        }
        let mut other = Box::pin(threads.run(from([192, 0, 2, 1]), || 2));
        assert!((&mut other).now_or_never().is_none());
        let lost = flood.pop().unwrap();
        assert_eq!(lost.now_or_never(), Some(Err(NotDone::QueueFull)));
        drop(release);
        assert_eq!(other.await, Ok(2));
        assert_eq!(flood.remove(0).await, Ok(1));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_job_whose_caller_has_gone_is_not_done() {
        let threads = Arc::new(HashThreads::start(1, 2).unwrap());
        let (release, _running) = block(&threads);
        let (ran, was_run) = mpsc::channel::<()>();
        let mut abandoned = Box::pin(threads.run(SIGN_IN, move || ran.send(())));
        assert!((&mut abandoned).now_or_never().is_none());
        drop(abandoned);
        drop(release);
        assert_eq!(threads.run(SIGN_IN, || 1).await, Ok(1));
        assert!(was_run.try_recv().is_err());
    }

    /// The loop and the job have one core between them. How long either waits for it does not matter, only who gets it.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_job_gets_its_share_of_a_core_beside_a_busy_loop() {
        use std::{
            sync::atomic::{AtomicBool, Ordering},
            time::Duration,
        };

        /// What the calling thread has had of a processor.
        fn processor_time() -> Duration {
            let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
            Duration::from_nanos(text.split_whitespace().next().unwrap().parse().unwrap())
        }

        const LOOPS: Duration = Duration::from_millis(400);
        let on_one_core = || {
            let mut core = rustix::thread::CpuSet::new();
            core.set(rustix::thread::sched_getcpu());
            rustix::thread::sched_setaffinity(None, &core).unwrap();
            let (begun, over) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
            let (has_begun, is_over) = (Arc::clone(&begun), Arc::clone(&over));
            let busy = thread::spawn(move || {
                while !has_begun.load(Ordering::Relaxed) {}
                let end = processor_time() + LOOPS;
                while processor_time() < end {}
                is_over.store(true, Ordering::Relaxed);
            });

            let threads = HashThreads::start(1, 1).unwrap();
            let job = threads.run(SIGN_IN, move || {
                let start = processor_time();
                begun.store(true, Ordering::Relaxed);
                while !over.load(Ordering::Relaxed) {}
                processor_time().saturating_sub(start)
            });
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let had = runtime.block_on(job).unwrap();
            busy.join().unwrap();
            assert!(had > LOOPS / 3, "{had:?} beside a loop that had {LOOPS:?}");
        };
        // A thread of its own, because the threads that it starts inherit its core.
        thread::spawn(on_one_core).join().unwrap();
    }

    #[tokio::test]
    async fn a_job_that_panics_does_not_end_the_thread() {
        let threads = HashThreads::start(1, 2).unwrap();
        let panicking = || -> u8 { panic!("on purpose") };
        assert_eq!(threads.run(SIGN_IN, panicking).await, Err(NotDone::Broken));
        assert_eq!(threads.run(SIGN_IN, || 1).await, Ok(1));
    }
}

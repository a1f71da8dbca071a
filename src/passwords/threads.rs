//! Threads of the server's own for work that keeps a processor busy, behind a bounded queue: a flood of sign-ins fills the
//! queue and is turned away. The system schedules these threads like all others, so a busy neighbour slows a sign-in and
//! cannot starve it. What is hashed, this file does not know.

use std::{
    io,
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
};

use tokio::sync::oneshot;

/// Does the work and answers the caller that waits for it.
type Job = Box<dyn FnOnce() + Send>;

/// The receiving end of the queue, which the threads share.
type JobQueue = Mutex<Receiver<Job>>;

/// The threads. They end when this is dropped and the queue is empty.
pub(super) struct HashThreads {
    queue: SyncSender<Job>,
}

/// Why a job was not done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotDone {
    /// The queue is full.
    QueueFull,
    /// The job panicked, or there are no threads any more.
    Broken,
}

impl HashThreads {
    /// Starts threads for `at_once` jobs at the same time; up to `waiting` more wait while all of them work.
    pub(super) fn start(at_once: usize, waiting: usize) -> io::Result<Self> {
        let (queue, jobs) = sync_channel(waiting);
        let jobs = Arc::new(Mutex::new(jobs));
        for number in 0..at_once {
            let jobs = Arc::clone(&jobs);
            thread::Builder::new()
                .name(format!("hash-{number}"))
                .spawn(move || while next(&jobs).map(|job| job()).is_some() {})?;
        }
        Ok(Self { queue })
    }

    /// Runs `work` on one of the threads and returns its result. If the caller has stopped waiting before a thread takes
    /// the work, the work is not done.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NotDone> {
        let (answer, answered) = oneshot::channel();
        let job = move || {
            if answer.is_closed() {
                return;
            }
            // Work that panics drops `answer`, and its caller learns of it; the thread goes on.
            if let Ok(done) = panic::catch_unwind(AssertUnwindSafe(work)) {
                // The caller may have gone meanwhile, and then the result is not needed.
                let _ = answer.send(done);
            }
        };
        match self.queue.try_send(Box::new(job)) {
            Ok(()) => answered.await.map_err(|_| NotDone::Broken),
            Err(TrySendError::Full(_)) => Err(NotDone::QueueFull),
            Err(TrySendError::Disconnected(_)) => Err(NotDone::Broken),
        }
    }
}

/// Waits for the next job. `None` if the queue is empty and the [`HashThreads`] are dropped.
fn next(jobs: &JobQueue) -> Option<Job> {
    // A thread holds the lock while it waits, so the threads line up for the next job.
    jobs.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures_util::FutureExt;

    use super::*;

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
            threads.run(work).await
        });
        tokio::task::block_in_place(|| has_started.recv().unwrap());
        (release, job)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_job_is_refused_while_the_queue_is_full() {
        let threads = Arc::new(HashThreads::start(1, 1).unwrap());
        let (release, running) = block(&threads);
        let mut waiting = Box::pin(threads.run(|| 7));
        assert!((&mut waiting).now_or_never().is_none());
        assert_eq!(threads.run(|| 8).await, Err(NotDone::QueueFull));

        drop(release);
        assert_eq!(waiting.await, Ok(7));
        assert_eq!(running.await.unwrap(), Ok(()));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_job_whose_caller_has_gone_is_not_done() {
        let threads = Arc::new(HashThreads::start(1, 2).unwrap());
        let (release, _running) = block(&threads);
        let (ran, was_run) = mpsc::channel::<()>();
        let mut abandoned = Box::pin(threads.run(move || ran.send(())));
        assert!((&mut abandoned).now_or_never().is_none());
        drop(abandoned);
        drop(release);
        assert_eq!(threads.run(|| 1).await, Ok(1));
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
            let job = threads.run(move || {
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
        assert_eq!(threads.run(panicking).await, Err(NotDone::Broken));
        assert_eq!(threads.run(|| 1).await, Ok(1));
    }
}

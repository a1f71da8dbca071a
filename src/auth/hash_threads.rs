//! Threads of our own for work that keeps a processor busy, behind a bounded queue. A flood of sign-ins fills the queue
//! and is turned away; it never touches the threads that answer everybody else.

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

/// How much the threads step back behind those that answer requests, which need little and need it at once.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

type Job = Box<dyn FnOnce() + Send>;

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
    /// Starts `threads` threads; up to `waiting` jobs wait while all of them work.
    pub(super) fn start(threads: usize, waiting: usize) -> io::Result<Self> {
        let (queue, jobs) = sync_channel::<Job>(waiting);
        let jobs = Arc::new(Mutex::new(jobs));
        for number in 0..threads {
            let jobs = Arc::clone(&jobs);
            thread::Builder::new()
                .name(format!("hash-{number}"))
                .spawn(move || run(&jobs))?;
        }
        Ok(Self { queue })
    }

    /// Runs `work` on one of the threads and returns what it gave. If the caller has stopped waiting by the time its turn
    /// comes, the work is not done at all.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NotDone> {
        let (answer, answered) = oneshot::channel();
        let job = move || {
            if !answer.is_closed() {
                // The caller may have gone while the work was done; then nobody needs it.
                let _ = answer.send(work());
            }
        };
        match self.queue.try_send(Box::new(job)) {
            Ok(()) => answered.await.map_err(|_| NotDone::Broken),
            Err(TrySendError::Full(_)) => Err(NotDone::QueueFull),
            Err(TrySendError::Disconnected(_)) => Err(NotDone::Broken),
        }
    }
}

fn run(jobs: &Mutex<Receiver<Job>>) {
    // Where it is not allowed, everything goes on as well, only less evenly. Elsewhere it would be the whole process's.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(NICENESS);
    loop {
        // The lock is held while waiting, so the threads queue up for the next job one behind the other.
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        // A job that panics drops its answer, which its caller sees; the thread goes on.
        let _ = panic::catch_unwind(AssertUnwindSafe(job));
    }
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
                started.send(()).unwrap();
                let _ = released.recv();
            };
            threads.run(work).await
        });
        tokio::task::block_in_place(|| has_started.recv().unwrap());
        (release, job)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_finds_the_queue_full_is_turned_away_and_the_rest_is_done() {
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

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_threads_step_back_behind_the_others() {
        let niceness = || {
            let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            // The second field is a name in parentheses; the niceness is the nineteenth.
            let mut fields = stat.rsplit(')').next().unwrap().split_whitespace();
            fields.nth(16).unwrap().parse::<i32>().unwrap()
        };
        let before = niceness();
        let threads = HashThreads::start(1, 1).unwrap();
        assert_eq!(threads.run(niceness).await, Ok(before + NICENESS));
        assert_eq!(niceness(), before);
    }

    #[tokio::test]
    async fn a_job_that_panics_does_not_end_the_thread() {
        let threads = HashThreads::start(1, 2).unwrap();
        let panicking = || -> u8 { panic!("on purpose") };
        assert_eq!(threads.run(panicking).await, Err(NotDone::Broken));
        assert_eq!(threads.run(|| 1).await, Ok(1));
    }
}

//! Threads of our own for work that keeps a processor busy, behind a bounded queue. A flood of sign-ins fills the queue
//! and is turned away; it never touches the threads that answer everybody else, nor holds up what they have to do: these
//! have the processor only while nobody else wants it (`priority`), and if that is never, others relieve them (`relief`).

mod job;
mod priority;
mod relief;

use std::{
    io,
    sync::{
        Arc, Mutex,
        mpsc::{SyncSender, TrySendError, sync_channel},
    },
    thread,
};

use self::{
    job::{Job, JobQueue, job, next},
    relief::Watched,
};

/// The threads. They end when this is dropped and the queue is empty.
pub(super) struct HashThreads {
    queue: SyncSender<Arc<dyn Job>>,
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
            let watched = Watched::new();
            let (its_jobs, its_watched) = (Arc::clone(&jobs), Arc::clone(&watched));
            thread::Builder::new()
                .name(format!("hash-{number}"))
                .spawn(move || work(&its_jobs, &its_watched))?;
            let jobs = Arc::clone(&jobs);
            thread::Builder::new()
                .name(format!("relief-{number}"))
                .spawn(move || relief::relieve(&jobs, &watched))?;
        }
        Ok(Self { queue })
    }

    /// Runs `work` on one of the threads and returns what it gave. If the caller has stopped waiting by the time its turn
    /// comes, the work is not done at all. It may be done twice.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl Fn() -> T + Send + Sync + 'static,
    ) -> Result<T, NotDone> {
        let (job, answered) = job(work);
        match self.queue.try_send(job) {
            Ok(()) => answered.await.map_err(|_| NotDone::Broken),
            Err(TrySendError::Full(_)) => Err(NotDone::QueueFull),
            Err(TrySendError::Disconnected(_)) => Err(NotDone::Broken),
        }
    }
}

fn work(jobs: &JobQueue, watched: &Watched) {
    watched.introduce();
    while let Some(job) = next(jobs) {
        watched.begin(&job);
        job.run();
        watched.end();
    }
    watched.leave();
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures_util::FutureExt;

    use super::*;

    /// Occupies the only thread until the sender is dropped.
    fn block(threads: &Arc<HashThreads>) -> (mpsc::Sender<()>, tokio::task::JoinHandle<Result<(), NotDone>>) {
        let (release, released) = mpsc::channel::<()>();
        let released = Mutex::new(released);
        let (started, has_started) = mpsc::channel();
        let threads = Arc::clone(threads);
        let job = tokio::spawn(async move {
            let work = move || {
                let _ = started.send(());
                let _ = released.lock().unwrap().recv();
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
    async fn the_threads_have_the_processor_only_while_nobody_else_wants_it() {
        use thread_priority::{NormalThreadSchedulePolicy, ThreadSchedulePolicy, thread_schedule_policy};

        let policy = |policy| Ok(ThreadSchedulePolicy::Normal(policy));
        let threads = HashThreads::start(1, 1).unwrap();
        let theirs = threads.run(thread_schedule_policy).await.unwrap();
        assert_eq!(theirs, policy(NormalThreadSchedulePolicy::Idle));
        assert_eq!(
            thread_schedule_policy(),
            policy(NormalThreadSchedulePolicy::Other)
        );
    }

    /// Each job would take 10 s of a thread that has only what another one, which never rests, leaves it.
    #[cfg(target_os = "linux")]
    #[test]
    fn what_a_starving_thread_should_do_another_one_does_until_it_gets_on() {
        use std::{
            sync::atomic::{AtomicBool, Ordering},
            time::Duration,
        };

        let on_one_core = || {
            let core = rustix::thread::sched_getcpu();
            let mut cores = rustix::thread::CpuSet::new();
            cores.set(core);
            rustix::thread::sched_setaffinity(None, &cores).unwrap();
            let busy = Arc::new(AtomicBool::new(true));
            let still = Arc::clone(&busy);
            let busy_thread = thread::spawn(move || while still.load(Ordering::Relaxed) {});

            let threads = HashThreads::start(1, 2).unwrap();
            let job = || {
                threads.run(|| {
                    let time = priority::ProcessorTime::of_this_thread().unwrap();
                    let end = time.read().unwrap() + Duration::from_millis(30);
                    while time.read().unwrap() < end {}
                    thread::current().name().unwrap().to_owned()
                })
            };
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                assert_eq!(job().await.unwrap(), "relief-0");
                assert_eq!(job().await.unwrap(), "relief-0");

                busy.store(false, Ordering::Relaxed);
                busy_thread.join().unwrap();
                while job().await.unwrap() != "hash-0" {}
            });
        };
        // Only this thread and those that it starts.
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

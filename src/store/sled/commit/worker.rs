//! The one thread that opens the database, reads it and then commits to it.
//!
//! One thread for all of that, because the system's allocator gives each thread memory of its own: what opening a large
//! database took for a moment is then there for what is read from it, instead of staying with a thread that is gone.

use std::{
    io,
    sync::mpsc,
    thread::{self, JoinHandle},
};

type Job = Box<dyn FnOnce() + Send>;

/// A thread that waits for its next job, and ends after the last.
pub(crate) struct Worker {
    jobs: mpsc::Sender<Job>,
    thread: JoinHandle<()>,
}

impl Worker {
    pub(crate) fn start() -> io::Result<Self> {
        let (jobs, work) = mpsc::channel::<Job>();
        let thread = thread::Builder::new().name("committer".into()).spawn(move || {
            for job in work {
                job();
            }
        })?;
        Ok(Self { jobs, thread })
    }

    /// What `job` returns, once it has.
    ///
    /// # Errors
    /// It panicked.
    pub(crate) fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
        let (answer, answered) = mpsc::channel();
        self.give(move || {
            // The caller waits for it.
            let _ = answer.send(job());
        });
        answered
            .recv()
            .map_err(|_| io::Error::other("the database's thread ended in a panic"))
    }

    /// Leaves the thread with its last job, and who started it with the means to wait for its end.
    pub(crate) fn end_with(self, job: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
        self.give(job);
        self.thread
    }

    fn give(&self, job: impl FnOnce() + Send + 'static) {
        // If the thread is gone, whoever waits for it sees that.
        let _ = self.jobs.send(Box::new(job));
    }
}

//! The one thread that opens the database, reads it and then commits to it.
//!
//! It is one thread because the system's allocator gives each thread memory of its own. What opening a large database took for a
//! moment is reused for what is read from it, instead of staying with a thread that has ended.

use std::{
    io,
    sync::mpsc,
    thread::{self, JoinHandle},
};

type Job = Box<dyn FnOnce() + Send>;

/// A thread that waits for its next job and ends after the last one.
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

    /// Runs `job` on the thread and returns what it returned.
    ///
    /// # Errors
    /// The job panicked.
    pub(crate) fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
        let (answer, answered) = mpsc::channel();
        self.give(move || {
            // The caller waits for it, so it is received.
            let _ = answer.send(job());
        });
        answered
            .recv()
            .map_err(|_| io::Error::other("the database's thread ended in a panic"))
    }

    /// Gives the thread its last job. Returns the handle with which the caller waits for its end.
    pub(crate) fn end_with(self, job: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
        self.give(job);
        self.thread
    }

    fn give(&self, job: impl FnOnce() + Send + 'static) {
        // If the thread has ended, the caller that waits for it gets an error.
        let _ = self.jobs.send(Box::new(job));
    }
}

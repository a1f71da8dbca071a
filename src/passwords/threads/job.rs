//! One job of the hashing threads, and the queue that jobs wait in.

use std::{
    panic::{self, AssertUnwindSafe},
    sync::{Arc, Mutex, PoisonError, mpsc::Receiver},
};

use tokio::sync::oneshot;

/// The receiving end of the queue, which the threads share.
pub(super) type JobQueue = Mutex<Receiver<Arc<dyn Job>>>;

/// What is to be done. Two threads may do the same job, one in relief of the other; the first one answers.
pub(super) trait Job: Send + Sync {
    fn run(&self);
}

/// A job that does `work`, and what receives its result. It receives an error if the work panics.
pub(super) fn job<T: Send + 'static>(
    work: impl Fn() -> T + Send + Sync + 'static,
) -> (Arc<dyn Job>, oneshot::Receiver<T>) {
    let (answer, answered) = oneshot::channel();
    let question = Question {
        work,
        answer: Mutex::new(Some(answer)),
    };
    (Arc::new(question), answered)
}

/// The next job, when there is one. `None` once there never will be.
pub(super) fn next(jobs: &JobQueue) -> Option<Arc<dyn Job>> {
    // The lock is held while waiting, so the threads queue up for the next job one behind the other.
    jobs.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

/// A job whose answer somebody waits for.
struct Question<F, T> {
    work: F,
    /// None once it was answered.
    answer: Mutex<Option<oneshot::Sender<T>>>,
}

impl<F: Fn() -> T + Send + Sync, T: Send> Job for Question<F, T> {
    fn run(&self) {
        let answer = || self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = answer().as_ref().is_some_and(|answer| !answer.is_closed());
        if !wanted {
            return;
        }
        // Work that panics drops the way to its caller, who sees that; the thread goes on.
        let done = panic::catch_unwind(AssertUnwindSafe(&self.work));
        if let (Some(answer), Ok(done)) = (answer().take(), done) {
            // The caller may have gone while the work was done; then nobody needs it.
            let _ = answer.send(done);
        }
    }
}

//! What happens when a thread that has the processor only while nobody else wants it doesn't get it at all, because
//! somebody always does: another one, which is merely nice, does its job over again and then those after it, until the
//! first is seen to get on.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    job::{Job, JobQueue, next},
    priority::{ProcessorTime, go_idle, step_back},
};

/// How long a job is watched before it is judged.
const PERIOD: Duration = Duration::from_secs(2);
/// What a thread should have had of a processor in that time. Beside one that never rests it gets three thousandths at the
/// most, in pieces of 4 ms; beside threads that answer as fast as they are asked, one hundredth and more, in their gaps.
const ENOUGH: Duration = Duration::from_millis(10);

/// A thread at work, as the one that may have to relieve it sees it.
pub(super) struct Watched {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// Of the thread, if it can starve.
    time: Option<ProcessorTime>,
    /// What it is doing.
    job: Option<Arc<dyn Job>>,
    /// How many jobs it has begun.
    begun: u64,
    gone: bool,
}

impl Watched {
    pub(super) fn new() -> Arc<Self> {
        let state = State {
            time: None,
            job: None,
            begun: 0,
            gone: false,
        };
        Arc::new(Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
        })
    }

    /// Said by the thread itself, before its first job.
    pub(super) fn introduce(&self) {
        let time = go_idle();
        self.state().time = time;
    }

    pub(super) fn begin(&self, job: &Arc<dyn Job>) {
        let mut state = self.state();
        state.begun += 1;
        state.job = Some(Arc::clone(job));
        drop(state);
        self.changed.notify_one();
    }

    pub(super) fn end(&self) {
        self.state().job = None;
    }

    pub(super) fn leave(&self) {
        self.state().gone = true;
        self.changed.notify_one();
    }

    /// Waits until the thread starves, and returns what it should be doing and which of its jobs that is. `None` once it
    /// has ended.
    fn starving(&self) -> Option<(Arc<dyn Job>, u64)> {
        let mut state = self.state();
        while !state.gone {
            let (Some(job), Some(before)) = (state.job.clone(), state.processor_time()) else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let number = state.begun;
            state = self
                .changed
                .wait_timeout_while(state, PERIOD, |state| state.is_at(number))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
            let had = state.processor_time().map(|now| now.saturating_sub(before));
            if state.is_at(number) && had.is_some_and(|had| had < ENOUGH) {
                return Some((job, number));
            }
        }
        None
    }

    fn is_at(&self, number: u64) -> bool {
        self.state().is_at(number)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn processor_time(&self) -> Option<Duration> {
        self.time.as_ref()?.read()
    }

    fn is_at(&self, number: u64) -> bool {
        !self.gone && self.job.is_some() && self.begun == number
    }
}

/// The whole life of a thread that relieves another one.
pub(super) fn relieve(jobs: &JobQueue, watched: &Watched) {
    step_back();
    while let Some((job, number)) = watched.starving() {
        job.run();
        drop(job);
        while watched.is_at(number) {
            let Some(job) = next(jobs) else { return };
            job.run();
        }
    }
}

//! The time that a connection may take for the header of its next request. Nearly always the header comes in time, so the
//! system's timer is not set and taken back for each request: it is set once, and when it has run out it is set again for what
//! is left.

use std::{
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
    time::{Duration, Instant},
};

use hyper::rt::{Sleep, Timer};
use tokio::{
    task::unconstrained,
    time::{self, sleep_until},
};

/// The timer of one connection, which waits for one thing at a time: only the last deadline counts.
#[derive(Default)]
pub(super) struct HeaderTimer(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// The deadline that counts.
    deadline: Option<Instant>,
    /// Set for that one, or for an earlier one.
    alarm: Option<Pin<Box<time::Sleep>>>,
    /// The one that the alarm wakes.
    waker: Option<Waker>,
}

impl Timer for HeaderTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        lock(&self.0).deadline = Some(deadline);
        Box::pin(UntilDeadline(Arc::clone(&self.0)))
    }
}

struct UntilDeadline(Arc<Mutex<State>>);

impl Sleep for UntilDeadline {}

impl Future for UntilDeadline {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = lock(&self.0);
        let Some(deadline) = state.deadline.map(time::Instant::from) else {
            return Poll::Ready(());
        };
        let State { alarm, waker, .. } = &mut *state;
        let alarm = alarm.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        let is_set = waker
            .as_ref()
            .is_some_and(|waker| waker.will_wake(context.waker()));
        if is_set && !alarm.is_elapsed() && alarm.deadline() <= deadline {
            return Poll::Pending;
        }
        if !is_set {
            *waker = Some(context.waker().clone());
        }
        loop {
            if alarm.deadline() > deadline {
                alarm.as_mut().reset(deadline);
            }
            // A task that has used up its budget would not set the alarm.
            ready!(pin!(unconstrained(alarm.as_mut())).poll(context));
            if alarm.deadline() >= deadline {
                return Poll::Ready(());
            }
            alarm.as_mut().reset(deadline);
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // Each use leaves the state whole.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn only_the_last_deadline_counts() {
        let timer = HeaderTimer::default();
        let begun = timer.now();
        let at = |milliseconds: u64| begun + Duration::from_millis(milliseconds);
        // A header that has come in time leaves its alarm behind.
        let mut first = timer.sleep_until(at(20));
        assert!(first.as_mut().now_or_never().is_none());
        drop(first);
        timer.sleep_until(at(60)).await;
        assert!(timer.now() >= at(60));
        // A deadline before the alarm is no later for it.
        let mut late = timer.sleep_until(at(60_000));
        assert!(late.as_mut().now_or_never().is_none());
        drop(late);
        timer.sleep_until(at(80)).await;
        assert!(timer.now() >= at(80) && timer.now() < at(30_000));
    }
}

//! Tells the open connections that the server stops. A connection asks every time that it is polled, so what it asks is one
//! flag that all of them read and none of them writes.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Waker},
};

/// Says when the server stops.
#[derive(Default)]
pub(super) struct Stop(Arc<Shared>);

#[derive(Default)]
struct Shared {
    begun: AtomicBool,
    watchers: AtomicU64,
    wakers: Mutex<HashMap<u64, Waker>>,
}

/// One connection's view of it.
pub(super) struct Watcher {
    shared: Arc<Shared>,
    number: u64,
    waker: Option<Waker>,
}

impl Stop {
    /// Another watcher.
    pub(super) fn watch(&self) -> Watcher {
        Watcher {
            shared: Arc::clone(&self.0),
            number: self.0.watchers.fetch_add(1, Ordering::Relaxed),
            waker: None,
        }
    }

    /// The server stops: every watcher is told.
    pub(super) fn begin(&self) {
        self.0.begun.store(true, Ordering::Release);
        let wakers = std::mem::take(&mut *self.0.wakers());
        wakers.into_values().for_each(Waker::wake);
    }
}

impl Shared {
    fn wakers(&self) -> MutexGuard<'_, HashMap<u64, Waker>> {
        // Each use leaves the map whole.
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watcher {
    /// Whether the server stops. If it does not yet, the task of `context` is woken when it does.
    pub(super) fn has_begun(&mut self, context: &Context<'_>) -> bool {
        let waker = context.waker();
        if !self.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            self.waker = Some(waker.clone());
            // The flag is set before the wakers are taken: if this one comes too late to be among them, the flag is read as set.
            self.shared.wakers().insert(self.number, waker.clone());
        }
        self.shared.begun.load(Ordering::Acquire)
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.shared.wakers().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_util::{FutureExt, future::join_all};

    use super::*;

    #[tokio::test]
    async fn every_watcher_is_told_and_none_is_left() {
        let stop = Stop::default();
        let watching = |mut watcher: Watcher| {
            tokio::spawn(poll_fn(move |context| {
                if watcher.has_begun(context) {
                    std::task::Poll::Ready(())
                } else {
                    std::task::Poll::Pending
                }
            }))
        };
        let told: Vec<_> = (0..3).map(|_| watching(stop.watch())).collect();
        drop(stop.watch());
        while stop.0.wakers().len() < 3 {
            tokio::task::yield_now().await;
        }
        assert!(told.iter().all(|watcher| !watcher.is_finished()));
        stop.begin();
        assert!(join_all(told).await.into_iter().all(|told| told.is_ok()));
        assert!(stop.0.wakers().is_empty());
        assert!(
            watching(stop.watch())
                .now_or_never()
                .is_none_or(|told| told.is_ok())
        );
    }
}

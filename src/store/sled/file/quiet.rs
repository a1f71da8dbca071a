//! Silence while sled opens a database. sled reports some kinds of damage by a panic, and logs more about it; the error that
//! the opening returns says it better.

use std::{
    cell::RefCell,
    panic::{self, AssertUnwindSafe},
    thread,
};

use tracing::dispatcher::{self, Dispatch};

thread_local! {
    /// The log of this thread while it is silent.
    static LOG: RefCell<Option<Dispatch>> = const { RefCell::new(None) };
}

/// Runs `attempt` and catches its panic. Until it returns, nothing on this thread reaches the log: neither what sled logs nor
/// the report of a panic. A line of this server's own goes through [`aloud`].
pub(crate) fn quietly<T>(attempt: impl FnOnce() -> T) -> thread::Result<T> {
    let before = LOG.replace(Some(dispatcher::get_default(Clone::clone)));
    let outcome = dispatcher::with_default(&Dispatch::none(), || {
        panic::catch_unwind(AssertUnwindSafe(attempt))
    });
    LOG.set(before);
    outcome
}

/// Runs `line`, which logs, so that the log gets it even within [`quietly`].
pub(crate) fn aloud(line: impl FnOnce()) {
    match LOG.with_borrow(Clone::clone) {
        Some(log) => dispatcher::with_default(&log, line),
        None => line(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use tracing::{Event, Metadata, Subscriber, span};

    use super::*;

    /// Counts lines.
    struct Lines(Arc<AtomicUsize>);

    impl Subscriber for Lines {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }

        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

        fn event(&self, _: &Event<'_>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }

        fn enter(&self, _: &span::Id) {}

        fn exit(&self, _: &span::Id) {}
    }

    #[test]
    fn only_what_is_said_aloud_reaches_the_log() {
        let lines = Arc::new(AtomicUsize::new(0));
        let count = || lines.load(Ordering::SeqCst);
        dispatcher::with_default(&Dispatch::new(Lines(Arc::clone(&lines))), || {
            let panicked = quietly(|| {
                tracing::error!("hidden");
                aloud(|| tracing::error!("said"));
                tracing::error!("hidden again");
                assert_eq!(count(), 1);
                panic::resume_unwind(Box::new("damage"));
            });
            assert!(panicked.is_err());
            assert_eq!(count(), 1);
            tracing::error!("said");
            aloud(|| tracing::error!("said"));
            assert_eq!(count(), 3);
        });
    }
}

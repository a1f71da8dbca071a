//! Leaves out warnings and errors that come too often. What one place of the code reports for each request of a client would
//! otherwise fill the disk as fast as the client asks.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::Instant;
use tracing::{Event, Level, Subscriber, callsite::Identifier};
use tracing_subscriber::layer::{Context, Layer};

/// How many lines of one place in the code a second has.
const LINES: usize = 20;
const SECOND: Duration = Duration::from_secs(1);

/// See the head of this file.
#[derive(Default)]
pub(super) struct Alike {
    /// For each place, when its present second began, and how many lines that had.
    places: Mutex<HashMap<Identifier, (Instant, usize)>>,
    left_out: Arc<AtomicUsize>,
}

impl Alike {
    /// How many lines were left out so far.
    pub(super) fn left_out(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.left_out)
    }

    fn admit(&self, place: Identifier, now: Instant) -> bool {
        // Each use leaves the map whole.
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let (began, lines) = places.entry(place).or_insert((now, 0));
        if now >= *began + SECOND {
            (*began, *lines) = (now, 0);
        }
        *lines += 1;
        *lines <= LINES
    }
}

impl<S: Subscriber> Layer<S> for Alike {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let about = event.metadata();
        if *about.level() > Level::WARN || self.admit(about.callsite(), Instant::now()) {
            return true;
        }
        self.left_out.fetch_add(1, Relaxed);
        false
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Count(Arc<AtomicUsize>);

    impl<S: Subscriber> Layer<S> for Count {
        fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn one_place_does_not_fill_the_log() {
        let (alike, count) = (Alike::default(), Count::default());
        let left_out = alike.left_out();
        let log = tracing_subscriber::registry().with(alike).with(count.clone());
        tracing::subscriber::with_default(log, || {
            for number in 0..100 {
                tracing::error!(number, "of one place");
                if number < 5 {
                    tracing::warn!(number, "of another one");
                }
                tracing::info!(number, "not bounded here");
            }
        });
        assert_eq!(count.0.load(Relaxed), LINES + 5 + 100);
        assert_eq!(left_out.load(Relaxed), 100 - LINES);
    }

    #[test]
    fn each_second_has_its_lines() {
        let alike = Alike::default();
        let place = tracing::callsite!(
            name: "place",
            kind: tracing::metadata::Kind::EVENT,
            fields: message
        );
        let place = tracing::Callsite::metadata(place).callsite();
        let now = Instant::now();
        let lines = |now| (0..100).filter(|_| alike.admit(place.clone(), now)).count();
        assert_eq!(
            [lines(now), lines(now + SECOND / 2), lines(now + SECOND)],
            [LINES, 0, LINES]
        );
    }
}

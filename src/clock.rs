//! The only source of "now". All code that depends on the time asks a [`Clock`], so tests can move the time, and a system
//! clock that is set back can't make a token last longer.

mod system;

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

pub use self::system::{Machine, Sources, SystemClock};

/// A moment, in whole seconds since 1970-01-01T00:00:00Z: the `NumericDate` of RFC 7519, section 2. The default is the epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The moment `seconds` after the epoch.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds)
    }

    /// Seconds since the epoch.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0
    }

    /// The moment `span` later, in whole seconds; the largest moment if that would overflow.
    #[must_use]
    pub const fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span.as_secs()))
    }

    /// The moment `span` earlier, in whole seconds; the epoch if that would be before it.
    #[must_use]
    pub const fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(span.as_secs()))
    }

    /// The time from `earlier` to this moment; zero if this moment is not later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }
}

/// RFC 3339 in UTC, such as `2026-11-21T19:53:32Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The formatter fails for a year past 9999, and `to_string` would panic.
        const LAST: u64 = 253_402_300_799;
        let moment = UNIX_EPOCH + Duration::from_secs(self.0.min(LAST));
        humantime::format_rfc3339_seconds(moment).fmt(f)
    }
}

/// A source of the present time. The methods that have a default are for clocks that can be wrong.
pub trait Clock: Send + Sync + 'static {
    /// The present moment, by which everything expires. It is never earlier than a moment returned before, except after
    /// [`go_back`](Self::go_back).
    fn now(&self) -> Timestamp;

    /// How far [`now`](Self::now) is ahead of the time that tokens must show, in whole seconds. It is zero unless the machine's
    /// clock has been set back. Other services read tokens by that clock.
    fn ahead_of_tokens(&self) -> Duration {
        Duration::ZERO
    }

    /// The moment up to which what has expired may be deleted for good: [`now`](Self::now), or an earlier one while the present
    /// moment is in doubt.
    fn settled(&self) -> Timestamp {
        self.now()
    }

    /// The moment to go back to, if [`now`](Self::now) turned out to be far ahead. Then the caller ends every session, and calls
    /// [`go_back`](Self::go_back).
    fn goes_back_to(&self) -> Option<Timestamp> {
        None
    }

    /// Goes back to the machine's clock. What was issued before would live longer: the caller has ended it.
    fn go_back(&self) {}
}

/// Measures how long something takes. For the log, where no test needs to move the time.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// A stopwatch that starts now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since its start in milliseconds, to the microsecond.
    #[must_use]
    pub fn milliseconds(self) -> f64 {
        (self.0.elapsed().as_secs_f64() * 1e6).round() / 1e3
    }
}

/// A clock that moves only when a test moves it.
#[derive(Debug)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock that shows `now`.
    #[must_use]
    pub const fn new(now: Timestamp) -> Self {
        Self(AtomicU64::new(now.as_secs()))
    }

    /// Moves it forward by `span`, in whole seconds.
    pub fn advance(&self, span: Duration) {
        self.0.fetch_add(span.as_secs(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_timestamp_prints_as_rfc_3339() {
        assert_eq!(Timestamp(0).to_string(), "1970-01-01T00:00:00Z");
        assert_eq!(Timestamp(1_795_290_812).to_string(), "2026-11-21T19:53:32Z");
        assert_eq!(Timestamp(u64::MAX).to_string(), "9999-12-31T23:59:59Z");
    }

    #[test]
    fn arithmetic_on_timestamps_never_wraps() {
        assert_eq!(
            Timestamp(u64::MAX).plus(Duration::from_secs(1)),
            Timestamp(u64::MAX)
        );
        assert_eq!(Timestamp(1).minus(Duration::from_secs(2)), Timestamp(0));
        assert_eq!(Timestamp(1).since(Timestamp(2)), Duration::ZERO);
    }

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = ManualClock::new(Timestamp(7));
        assert_eq!((clock.now(), clock.now()), (Timestamp(7), Timestamp(7)));
        clock.advance(Duration::from_millis(2_900));
        assert_eq!(clock.now(), Timestamp(9), "whole seconds only");
    }

    #[test]
    fn a_stopwatch_never_shows_less_than_before() {
        let stopwatch = Stopwatch::start();
        let before = stopwatch.milliseconds();
        std::thread::sleep(Duration::from_millis(2));
        assert!(before >= 0.0);
        assert!(stopwatch.milliseconds() >= before + 2.0 - 0.001);
    }
}

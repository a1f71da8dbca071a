//! The only source of "now". All code that depends on the time asks a [`Clock`], so tests can move the time, and a system
//! clock that is set back can't make a token last longer.

use std::{
    fmt,
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

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

/// A source of the present time.
pub trait Clock: Send + Sync + 'static {
    /// The present moment. It is never earlier than a moment returned before.
    fn now(&self) -> Timestamp;
}

/// The machine's clock, except that it never runs backwards. It follows a step forward of the wall clock at once. After a step
/// back it advances by the time that really passes, until the wall clock has caught up.
///
/// Otherwise, setting the clock back by an hour would extend the life of every token by an hour.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
    /// The largest difference seen between the wall clock and the time since `start`, in milliseconds.
    offset: AtomicI64,
}

impl SystemClock {
    /// A clock that starts at the present time of the machine.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
            offset: AtomicI64::new(i64::MIN),
        }
    }

    /// Goes on from `moment` if it shows an earlier one. So a step back while no process ran has the same effect as a step
    /// back of a running clock.
    pub fn not_before(&self, moment: Timestamp) {
        let moment = i64::try_from(moment.as_secs())
            .unwrap_or(i64::MAX)
            .saturating_mul(1000);
        let offset = moment.saturating_sub(millis(self.start.elapsed()));
        self.offset.fetch_max(offset, Ordering::Relaxed);
    }

    /// `max(wall clock, the last answer + the time passed since then)`, in milliseconds.
    fn steady(&self, wall: i64, elapsed: i64) -> i64 {
        let offset = wall - elapsed;
        let known = self.offset.load(Ordering::Relaxed);
        if offset > known {
            // Seldom, so that the threads do not take the value from each other at every request.
            self.offset.fetch_max(offset, Ordering::Relaxed);
        }
        known.max(offset) + elapsed
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn now(&self) -> Timestamp {
        // A wall clock before 1970 counts as 1970. A machine without a clock battery may start there.
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = self.steady(millis(wall), millis(self.start.elapsed()));
        Timestamp(u64::try_from(now / 1000).unwrap_or(0))
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
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
    fn the_system_clock_follows_a_step_forward_and_no_step_back() {
        let clock = SystemClock::new();
        assert_eq!(clock.steady(1_000_000, 0), 1_000_000);
        assert_eq!(clock.steady(1_005_000, 5_000), 1_005_000);
        let forward = clock.steady(4_606_000, 6_000);
        assert_eq!(forward, 4_606_000, "an hour forward is followed");
        let back = clock.steady(1_007_000, 7_000);
        assert_eq!(
            back, 4_607_000,
            "an hour back is not followed, and one second passes"
        );
    }

    #[test]
    fn a_system_clock_goes_on_from_the_time_of_the_last_process() {
        let clock = SystemClock::new();
        let wall = clock.now();
        clock.not_before(wall.minus(Duration::from_hours(1)));
        assert!(
            clock.now() < wall.plus(Duration::from_mins(1)),
            "an earlier moment changes nothing"
        );
        let ahead = wall.plus(Duration::from_hours(1));
        clock.not_before(ahead);
        assert!(clock.now() >= ahead);
        assert!(clock.now() < ahead.plus(Duration::from_mins(1)));
    }

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

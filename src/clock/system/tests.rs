//! A machine whose clocks a test sets.

use super::*;

const START: i64 = 1_800_000_000_000;
const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

/// The wall clock is `set` ahead of what has `elapsed`.
#[derive(Debug, Default)]
struct Fake {
    set: AtomicI64,
    elapsed: AtomicI64,
}

impl Sources for Fake {
    fn wall(&self) -> i64 {
        START + self.set.load(Relaxed) + self.elapsed()
    }

    fn elapsed(&self) -> i64 {
        self.elapsed.load(Relaxed)
    }
}

fn fake(set: i64) -> SystemClock<Fake> {
    let fake = Fake::default();
    fake.set.store(set, Relaxed);
    SystemClock::of(fake)
}

impl SystemClock<Fake> {
    fn set(&self, set: i64) {
        self.sources.set.store(set, Relaxed);
    }

    /// Lets time pass, of which the clock is asked once a minute.
    fn pass(&self, span: i64) {
        let end = self.sources.elapsed() + span;
        while self.sources.elapsed() < end {
            self.now();
            self.sources
                .elapsed
                .fetch_add(MINUTE.min(end - self.sources.elapsed()), Relaxed);
        }
        self.now();
    }

    /// Where `now`, the time in tokens and the settled time are, each less what has elapsed since the start, in seconds.
    fn shows(&self) -> [i64; 3] {
        let seconds = |moment: Timestamp| i64::try_from(moment.as_secs()).unwrap();
        let tokens = self.now().minus(self.ahead_of_tokens());
        [self.now(), tokens, self.settled()]
            .map(|moment| seconds(moment) - (START + self.sources.elapsed()) / 1000)
    }
}

const fn in_seconds(millis: i64) -> i64 {
    millis / 1000
}

#[test]
fn a_step_of_a_minute_or_less_is_followed_at_once() {
    for step in [1, 30, 60] {
        let clock = fake(0);
        clock.set(step * SECOND);
        assert_eq!(clock.shows(), [step; 3], "ahead");
        clock.set(0);
        assert_eq!(
            clock.shows(),
            [step, 0, 0],
            "nothing lives longer, and tokens are right"
        );
    }
}

#[test]
fn a_step_ahead_is_not_followed_unless_it_holds() {
    let clock = fake(0);
    clock.set(20 * HOUR);
    assert_eq!(clock.shows(), [0; 3]);
    clock.pass(9 * MINUTE);
    assert_eq!(clock.shows(), [0; 3]);
    clock.set(0);
    clock.pass(HOUR);
    assert_eq!(clock.shows(), [0; 3], "as if it had not been");
}

#[test]
fn two_steps_ahead_must_each_hold() {
    let clock = fake(0);
    clock.set(20 * HOUR);
    clock.pass(9 * MINUTE);
    clock.set(30 * HOUR);
    clock.pass(9 * MINUTE);
    assert_eq!(clock.shows(), [0; 3]);
    clock.pass(MINUTE);
    assert_eq!(clock.shows()[0], in_seconds(30 * HOUR));
}

#[test]
fn a_step_ahead_that_holds_is_followed_and_later_deletes() {
    let clock = fake(0);
    clock.set(20 * HOUR);
    clock.pass(10 * MINUTE);
    let ahead = in_seconds(20 * HOUR);
    assert_eq!(clock.shows(), [ahead, ahead, 0]);
    clock.pass(24 * HOUR - 11 * MINUTE);
    assert_eq!(clock.shows(), [ahead, ahead, 0]);
    clock.pass(MINUTE);
    assert_eq!(clock.shows(), [ahead; 3]);
}

#[test]
fn tokens_are_right_again_as_soon_as_the_system_is() {
    let clock = fake(0);
    clock.set(20 * HOUR);
    clock.pass(HOUR);
    clock.set(0);
    let ahead = in_seconds(20 * HOUR);
    assert_eq!(
        clock.shows(),
        [ahead, 0, 0],
        "nothing lives longer, and tokens are right"
    );
    clock.pass(48 * HOUR);
    assert_eq!(clock.shows(), [ahead, 0, 0]);
    assert!(clock.goes_back_to().is_none(), "that is less than a day");
}

#[test]
fn a_step_back_is_shown_by_tokens_once_it_has_held() {
    let clock = fake(0);
    clock.set(-HOUR);
    clock.pass(9 * MINUTE);
    assert_eq!(
        clock.shows(),
        [0, 0, -in_seconds(HOUR)],
        "and nothing is deleted by the time before"
    );
    clock.pass(MINUTE);
    let back = -in_seconds(HOUR);
    assert_eq!(clock.shows(), [0, back, back]);
    clock.set(0);
    assert_eq!(clock.shows()[..2], [0, 0]);
}

#[test]
fn time_never_runs_backwards_whatever_the_clock_is_set_to() {
    let clock = fake(0);
    let mut last = clock.now();
    for step in [5, -70, 4000, -4000, 90_000, -200_000, 0, 61, -61] {
        clock.set(step * SECOND);
        for _ in 0..30 {
            clock.pass(MINUTE);
            let now = clock.now();
            assert!(now.since(last) >= Duration::from_mins(1), "after {step}");
            assert!(clock.settled() <= now);
            last = now;
        }
    }
}

#[test]
fn a_server_more_than_a_day_ahead_goes_back_when_the_clock_has_held() {
    let clock = fake(48 * HOUR);
    clock.set(0);
    clock.pass(59 * MINUTE);
    assert!(clock.goes_back_to().is_none());
    clock.pass(MINUTE);
    assert_eq!(
        clock.goes_back_to(),
        Some(clock.now().minus(Duration::from_hours(48)))
    );
    clock.go_back();
    assert_eq!(clock.shows(), [0; 3]);
    assert!(clock.goes_back_to().is_none());
}

fn at(millis: i64) -> Timestamp {
    timestamp(START + millis)
}

#[test]
fn a_start_with_the_clock_behind_goes_on_from_the_last_write() {
    for behind in [2 * MINUTE, HOUR, 48 * HOUR, 24 * 365 * HOUR] {
        let clock = fake(-behind);
        clock.continue_from(at(0), at(0));
        assert_eq!(clock.shows()[..2], [0, 0]);
        assert_eq!(clock.shows()[2], -in_seconds(behind), "nothing later is deleted");
        // The time service has come, after the machine was off for three hours.
        clock.pass(MINUTE);
        clock.set(3 * HOUR);
        let off = in_seconds(3 * HOUR);
        assert_eq!(clock.shows(), [off, off, 0]);
        assert!(clock.goes_back_to().is_none());
    }
}

#[test]
fn a_start_after_a_wrong_clock_goes_back_once_the_right_one_has_held() {
    let clock = fake(0);
    let wrong = 24 * 365 * HOUR;
    clock.continue_from(at(wrong), at(0));
    assert_eq!(clock.shows(), [in_seconds(wrong), in_seconds(wrong), 0]);
    clock.pass(10 * MINUTE);
    assert_eq!(clock.shows(), [in_seconds(wrong), 0, 0], "tokens first");
    clock.pass(50 * MINUTE);
    assert_eq!(
        clock.goes_back_to(),
        Some(clock.now().minus(Duration::from_hours(365 * 24)))
    );
    clock.go_back();
    assert_eq!(clock.shows(), [0; 3]);
}

#[test]
fn a_start_with_the_clock_far_ahead_deletes_nothing() {
    let clock = fake(24 * 365 * HOUR);
    clock.continue_from(at(0), at(0));
    let ahead = in_seconds(24 * 365 * HOUR);
    assert_eq!(clock.shows(), [ahead, ahead, 0]);
    clock.pass(23 * HOUR);
    assert_eq!(clock.shows(), [ahead, ahead, 0]);
    clock.pass(HOUR);
    assert_eq!(clock.shows(), [ahead; 3], "the server was stopped for a year");
    // One that was stopped for less than a day is in no doubt.
    let clock = fake(23 * HOUR);
    clock.continue_from(at(0), at(0));
    assert_eq!(clock.shows(), [in_seconds(23 * HOUR); 3]);
}

#[test]
fn another_start_does_not_settle_what_is_in_doubt() {
    // The clock is a year ahead, and was at the start before this one as well.
    let ahead = 24 * 365 * HOUR;
    let clock = fake(ahead);
    clock.continue_from(at(ahead), at(0));
    clock.pass(HOUR);
    assert_eq!(clock.shows()[2], 0);
}

#[test]
fn the_machines_clocks_are_read() {
    let clock = SystemClock::new();
    let now = clock.now();
    assert!(now > Timestamp::from_secs(1_700_000_000));
    assert_eq!(
        (clock.ahead_of_tokens(), clock.goes_back_to()),
        (Duration::ZERO, None)
    );
    let ahead = now.plus(Duration::from_hours(1));
    clock.continue_from(ahead, now);
    assert!(clock.now() >= ahead);
    assert!(clock.now() < ahead.plus(Duration::from_mins(1)));
}

//! When a stranger may try a password of an account: the line they stand in.
//!
//! The first failures in a row are free. After them strangers are let through one at a time, at a distance that grows when
//! the failures reach [`MAX_FAILURES`]. Who comes too early gets a place in the line and is told when its turn comes. It
//! is a line and not a bucket that refills, because whoever asks most often takes every drop of a bucket: somebody who
//! hammers an account would keep its owner out for ever, and in a line stands only once, in front of them or behind.

use std::time::Duration;

use crate::clock::Timestamp;

/// How many failures in a row an account may have without the long delay between them (NIST SP 800-63B-4, section 3.2.2).
pub const MAX_FAILURES: u32 = 100;
/// After so long without an attempt the failures are forgotten.
pub const FORGOTTEN_AFTER: Duration = Duration::from_hours(24);
/// How long a place is good once its turn has come.
const PLACE_KEPT: Duration = Duration::from_hours(1);
/// A line longer than this takes nobody in.
pub const LONGEST_LINE: Duration = Duration::from_hours(24);

/// How fast strangers may try the passwords of one account.
#[derive(Clone, Copy, Debug)]
pub struct LinePolicy {
    /// Failures in a row that delay nobody; at most [`MAX_FAILURES`].
    pub free_failures: u32,
    /// The distance between two attempts after them.
    pub delay: Duration,
    /// The distance after [`MAX_FAILURES`].
    pub long_delay: Duration,
}

impl LinePolicy {
    /// How long nobody is let through after the attempt that may be the last of `failures` in a row.
    fn distance(&self, failures: u32) -> Duration {
        if failures >= MAX_FAILURES {
            self.long_delay
        } else if failures >= self.free_failures {
            self.delay
        } else {
            Duration::ZERO
        }
    }
}

/// What is remembered of the attempts at an account, or of one client's at one account. The default is nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FailedAttempts {
    /// Failures in a row, those that may still become one included.
    pub failures: u32,
    /// For an account, from when on the next stranger is let through; for a stranger, when its turn comes; for a client that
    /// is none, when it last failed.
    pub at: Timestamp,
}

impl FailedAttempts {
    /// Whether there is nothing to remember any more.
    #[must_use]
    pub fn are_forgotten(self, now: Timestamp) -> bool {
        self.at.plus(FORGOTTEN_AFTER) <= now
    }

    /// Notes the failure of a client that is no stranger.
    pub fn failed(&mut self, now: Timestamp) {
        if self.are_forgotten(now) {
            *self = Self::default();
        }
        self.failures = self.failures.saturating_add(1);
        self.at = now;
    }
}

/// Whether a stranger may try a password of `account` at `now`, where `place` is what is remembered of that stranger there. Who
/// is let through has failed until the contrary is known, so that many at once are no more than many in turn.
///
/// # Errors
/// How long the stranger has to wait.
pub fn admit_stranger(
    account: &mut FailedAttempts,
    place: &mut FailedAttempts,
    policy: &LinePolicy,
    now: Timestamp,
) -> Result<(), Duration> {
    if account.are_forgotten(now) {
        *account = FailedAttempts::default();
    }
    if place.are_forgotten(now) {
        *place = FailedAttempts::default();
    }
    let delayed = !policy.distance(account.failures).is_zero();
    if delayed && place.at > now {
        return Err(place.at.since(now));
    }
    if delayed && now < place.at.plus(PLACE_KEPT) {
        // Its failure was counted when it got its place.
        *place = FailedAttempts::default();
        return Ok(());
    }
    let turn = account.at.max(now);
    let wait = if delayed { turn.since(now) } else { Duration::ZERO };
    if wait > LONGEST_LINE {
        return Err(wait);
    }
    account.failures = account.failures.saturating_add(1);
    account.at = turn.plus(policy.distance(account.failures));
    if wait.is_zero() {
        return Ok(());
    }
    place.at = turn;
    Err(wait)
}

/// Takes back that a stranger was let through, because nobody looked at the password: the next attempt is let through at once.
pub fn readmit_stranger(
    account: &mut FailedAttempts,
    place: &mut FailedAttempts,
    policy: &LinePolicy,
    now: Timestamp,
) {
    if policy.distance(account.failures).is_zero() {
        account.failures = account.failures.saturating_sub(1);
    } else {
        place.at = now;
    }
}

/// Takes back the `own` failures of who has given the right password.
pub fn forgive(account: &mut FailedAttempts, own: u32, policy: &LinePolicy, now: Timestamp) {
    account.failures = account.failures.saturating_sub(own);
    if policy.distance(account.failures).is_zero() {
        account.at = account.at.min(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: LinePolicy = LinePolicy {
        free_failures: 20,
        delay: Duration::from_secs(30),
        long_delay: Duration::from_hours(1),
    };
    const START: Timestamp = Timestamp::from_secs(1_800_000_000);

    /// An account, and some strangers who try their luck there.
    struct Door {
        account: FailedAttempts,
        places: [FailedAttempts; 3],
        now: Timestamp,
    }

    impl Door {
        fn new() -> Self {
            Self {
                account: FailedAttempts::default(),
                places: [FailedAttempts::default(); 3],
                now: START,
            }
        }

        /// Whether `stranger` is let through; else, how many seconds it has to wait.
        fn knock(&mut self, stranger: usize) -> Result<(), u64> {
            let place = &mut self.places[stranger];
            admit_stranger(&mut self.account, place, &POLICY, self.now).map_err(|wait| wait.as_secs())
        }

        fn wait(&mut self, seconds: u64) {
            self.now = self.now.plus(Duration::from_secs(seconds));
        }

        /// Lets a stranger fail as fast as it is let through, and returns after how many seconds each time.
        fn hammer(&mut self, times: u32) -> Vec<u64> {
            let mut waits = Vec::new();
            for _ in 0..times {
                let start = self.now;
                while let Err(wait) = self.knock(0) {
                    self.wait(wait);
                }
                waits.push(self.now.since(start).as_secs());
            }
            waits
        }
    }

    #[test]
    fn a_hundred_failures_in_a_row_and_then_one_an_hour() {
        let mut door = Door::new();
        let waits = door.hammer(103);
        assert!(waits[..20].iter().all(|wait| *wait == 0), "{waits:?}");
        assert!(waits[20..100].iter().all(|wait| *wait == 30), "{waits:?}");
        assert!(waits[100..].iter().all(|wait| *wait == 3600), "{waits:?}");
    }

    #[test]
    fn at_most_a_hundred_failures_come_without_the_long_delay_however_many_strangers_hold_places() {
        let mut account = FailedAttempts::default();
        let mut places = vec![FailedAttempts::default(); 3000];
        let (mut now, mut through) = (START, Vec::new());
        for _ in 0..2 * 24 * 60 {
            for place in &mut places {
                if admit_stranger(&mut account, place, &POLICY, now).is_ok() {
                    through.push(now);
                }
            }
            now = now.plus(Duration::from_mins(1));
        }
        let first = 40 * 60 + 20;
        let early = through
            .iter()
            .filter(|at| at.since(START).as_secs() <= first)
            .count();
        assert!(early <= 100, "{early} in the first {first} seconds");
        assert!(through.len() <= 100 + 48, "{} in two days", through.len());
        assert!(through.len() >= 100 + 40, "{} in two days", through.len());
    }

    #[test]
    fn who_hammers_stands_in_the_line_only_once_and_the_next_one_comes_after_them() {
        let mut door = Door::new();
        door.hammer(25);
        assert_eq!(door.knock(0), Err(30));
        assert_eq!(door.knock(1), Err(60), "the owner, from somewhere new");
        for _ in 0..60 {
            assert!(door.knock(1).is_err());
            let _ = door.knock(0);
            door.wait(1);
        }
        assert_eq!(
            door.knock(1),
            Ok(()),
            "though the other one has asked every second"
        );
    }

    #[test]
    fn a_day_without_an_attempt_and_all_is_forgotten() {
        let mut door = Door::new();
        door.hammer(101);
        door.wait(23 * 3600);
        assert_eq!(door.knock(1), Ok(()));
        assert_eq!(door.knock(2), Err(3600), "not yet");
        door.wait(26 * 3600);
        for _ in 0..20 {
            assert_eq!(door.knock(1), Ok(()));
        }
        assert_eq!(door.knock(1), Err(30));
    }

    #[test]
    fn a_place_is_lost_an_hour_after_its_turn() {
        let mut door = Door::new();
        door.hammer(20);
        assert_eq!(door.knock(1), Err(30));
        door.wait(30 + 3599);
        assert_eq!(door.knock(1), Ok(()));
        door.wait(60);
        assert_eq!(door.knock(1), Ok(()), "the line is empty");
        assert_eq!(door.knock(2), Err(30));
        door.wait(30 + 3600);
        let before = door.account.failures;
        assert_eq!(door.knock(2), Ok(()));
        assert_eq!(door.account.failures, before + 1, "as somebody who has just come");
    }

    #[test]
    fn whose_password_nobody_looked_at_may_try_again_at_once() {
        for failures in [5, 20, 60] {
            let mut door = Door::new();
            door.hammer(failures);
            door.wait(30);
            let before = door.account.failures;
            assert_eq!(door.knock(1), Ok(()));
            readmit_stranger(&mut door.account, &mut door.places[1], &POLICY, door.now);
            assert_eq!(door.knock(1), Ok(()));
            assert_eq!(door.account.failures, before + 1, "after {failures}");
        }
    }

    #[test]
    fn a_line_of_a_day_takes_nobody_in() {
        let mut account = FailedAttempts {
            failures: MAX_FAILURES,
            at: START,
        };
        let mut waits = Vec::new();
        for _ in 0..40 {
            let mut place = FailedAttempts::default();
            let admitted = admit_stranger(&mut account, &mut place, &POLICY, START);
            waits.push(admitted.err().unwrap_or_default().as_secs() / 3600);
        }
        assert_eq!(waits[..25], (0..25).collect::<Vec<_>>());
        assert!(waits[25..].iter().all(|wait| *wait == 25), "{waits:?}");
    }
}

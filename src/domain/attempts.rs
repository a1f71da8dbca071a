//! When a stranger may try a password of an account. A stranger is a client network from which the account's user has not
//! signed in lately.
//!
//! The first failures in a row are free. After them strangers are admitted one at a time, at an interval that grows when the
//! failures reach [`MAX_FAILURES`]. A stranger that comes too early gets a place in the account's queue, and is told when its
//! turn comes. A bucket that refills would not do: the client that asks most often would take every token of it, and so keep
//! the owner of the account out. In the queue each client network holds one place, and repeated attempts gain nothing.

use std::time::Duration;

use crate::clock::Timestamp;

/// How many failures in a row an account may have before the long delay applies between them (NIST SP 800-63B-4, section
/// 3.2.2).
pub const MAX_FAILURES: u32 = 100;
/// The failures of an account or a client are forgotten after this long without an attempt.
pub const FORGOTTEN_AFTER: Duration = Duration::from_hours(24);
/// How long a place stays valid once its turn has come.
const PLACE_KEPT: Duration = Duration::from_hours(1);
/// The longest wait for which a place is given.
pub const LONGEST_LINE: Duration = Duration::from_hours(24);

/// How fast strangers may try the passwords of one account.
#[derive(Clone, Copy, Debug)]
pub struct LinePolicy {
    /// Failures in a row that delay no stranger; at most [`MAX_FAILURES`].
    pub free_failures: u32,
    /// The interval between two attempts after them.
    pub delay: Duration,
    /// The interval after [`MAX_FAILURES`].
    pub long_delay: Duration,
}

impl LinePolicy {
    /// How long no stranger is admitted after an attempt that may be the last of `failures` in a row.
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

/// What is remembered of the attempts at an account, or of one client's attempts at one account. The default is no attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FailedAttempts {
    /// Failures in a row, with the attempts that have not succeeded yet.
    pub failures: u32,
    /// For an account: when the next stranger is admitted. For a stranger: when its turn comes. For a client that is no
    /// stranger: when it last failed.
    pub at: Timestamp,
}

impl FailedAttempts {
    /// Whether they are old enough to be forgotten.
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

/// Admits a stranger to one password attempt at `account`, where `place` is what is remembered of that stranger at the account.
/// An admitted attempt counts as a failure until it succeeds, so concurrent attempts gain nothing over successive ones.
///
/// # Errors
/// Fails with the time that the stranger has to wait.
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
    if place.at > now && place.at > account.at {
        // The line has been shortened since, so what comes now is in front of that place.
        *place = FailedAttempts::default();
    }
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

/// When the next attempt of a stranger is admitted. Returns `None` if that is at once. It changes nothing.
#[must_use]
pub fn next_turn(
    mut account: FailedAttempts,
    mut place: FailedAttempts,
    policy: &LinePolicy,
    now: Timestamp,
) -> Option<Timestamp> {
    let admitted = admit_stranger(&mut account, &mut place, policy, now);
    admitted.err().map(|wait| now.plus(wait))
}

/// Lets the stranger try next, at once. The turns of all others stay as they are.
pub fn call_stranger(
    account: &mut FailedAttempts,
    place: &mut FailedAttempts,
    policy: &LinePolicy,
    now: Timestamp,
) {
    if next_turn(*account, *place, policy, now).is_none() {
        return;
    }
    let had_place = place.at > now && place.at <= account.at;
    if !had_place {
        // As when a place is given: the attempt counts as a failure until it succeeds.
        account.failures = account.failures.saturating_add(1);
    }
    place.at = now;
}

/// Undoes the admission of a stranger whose password was not checked: its next attempt is admitted at once.
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

/// Takes back the `own` failures of a user who has given the right password.
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

    /// An account, and three strangers that guess its password.
    struct Target {
        account: FailedAttempts,
        places: [FailedAttempts; 3],
        now: Timestamp,
    }

    impl Target {
        fn new() -> Self {
            Self {
                account: FailedAttempts::default(),
                places: [FailedAttempts::default(); 3],
                now: START,
            }
        }

        /// Admits `stranger`, or returns how many seconds it has to wait.
        fn attempt(&mut self, stranger: usize) -> Result<(), u64> {
            let place = &mut self.places[stranger];
            admit_stranger(&mut self.account, place, &POLICY, self.now).map_err(|wait| wait.as_secs())
        }

        fn wait(&mut self, seconds: u64) {
            self.now = self.now.plus(Duration::from_secs(seconds));
        }

        /// Lets one stranger fail as fast as it is admitted, and returns its waits in seconds.
        fn fail(&mut self, times: u32) -> Vec<u64> {
            let mut waits = Vec::new();
            for _ in 0..times {
                let start = self.now;
                while let Err(wait) = self.attempt(0) {
                    self.wait(wait);
                }
                waits.push(self.now.since(start).as_secs());
            }
            waits
        }
    }

    #[test]
    fn after_a_hundred_failures_in_a_row_comes_one_an_hour() {
        let mut target = Target::new();
        let waits = target.fail(103);
        assert!(waits[..20].iter().all(|wait| *wait == 0), "{waits:?}");
        assert!(waits[20..100].iter().all(|wait| *wait == 30), "{waits:?}");
        assert!(waits[100..].iter().all(|wait| *wait == 3600), "{waits:?}");
    }

    #[test]
    fn many_strangers_get_no_more_than_a_hundred_fast_failures() {
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
    fn repeated_attempts_gain_no_second_place_in_the_queue() {
        let mut target = Target::new();
        target.fail(25);
        assert_eq!(target.attempt(0), Err(30));
        assert_eq!(target.attempt(1), Err(60), "the owner, from somewhere new");
        for _ in 0..60 {
            assert!(target.attempt(1).is_err());
            let _ = target.attempt(0);
            target.wait(1);
        }
        assert_eq!(
            target.attempt(1),
            Ok(()),
            "although the other stranger has asked every second"
        );
    }

    #[test]
    fn failures_are_forgotten_after_a_day_without_an_attempt() {
        let mut target = Target::new();
        target.fail(101);
        target.wait(23 * 3600);
        assert_eq!(target.attempt(1), Ok(()));
        assert_eq!(target.attempt(2), Err(3600), "not yet");
        target.wait(26 * 3600);
        for _ in 0..20 {
            assert_eq!(target.attempt(1), Ok(()));
        }
        assert_eq!(target.attempt(1), Err(30));
    }

    #[test]
    fn a_place_is_lost_an_hour_after_its_turn() {
        let mut target = Target::new();
        target.fail(20);
        assert_eq!(target.attempt(1), Err(30));
        target.wait(30 + 3599);
        assert_eq!(target.attempt(1), Ok(()));
        target.wait(60);
        assert_eq!(target.attempt(1), Ok(()), "the queue is empty");
        assert_eq!(target.attempt(2), Err(30));
        target.wait(30 + 3600);
        let before = target.account.failures;
        assert_eq!(target.attempt(2), Ok(()));
        assert_eq!(target.account.failures, before + 1, "as if it had just come");
    }

    #[test]
    fn an_attempt_that_was_not_checked_may_be_made_again_at_once() {
        for failures in [5, 20, 60] {
            let mut target = Target::new();
            target.fail(failures);
            target.wait(30);
            let before = target.account.failures;
            assert_eq!(target.attempt(1), Ok(()));
            readmit_stranger(&mut target.account, &mut target.places[1], &POLICY, target.now);
            assert_eq!(target.attempt(1), Ok(()));
            assert_eq!(target.account.failures, before + 1, "after {failures}");
        }
    }

    #[test]
    fn a_called_stranger_is_next_and_no_other_turn_changes() {
        let mut target = Target::new();
        target.fail(25);
        assert_eq!(target.attempt(0), Err(30));
        assert_eq!(target.attempt(1), Err(60));
        let (before, end) = (target.account.failures, target.account.at);
        for stranger in [1, 2] {
            let place = &mut target.places[stranger];
            call_stranger(&mut target.account, place, &POLICY, target.now);
        }
        assert_eq!(target.account.failures, before + 1, "one of them had a place");
        assert_eq!(target.account.at, end);
        assert_eq!((target.attempt(1), target.attempt(2)), (Ok(()), Ok(())));
        assert_eq!(target.attempt(0), Err(30));
        assert_eq!(target.attempt(1), Err(90), "once");
        // One who need not wait is not called.
        let mut fresh = Target::new();
        call_stranger(&mut fresh.account, &mut fresh.places[0], &POLICY, START);
        assert_eq!(fresh.account, FailedAttempts::default());
    }

    #[test]
    fn a_place_behind_the_end_of_a_shortened_line_is_none() {
        let mut target = Target::new();
        target.fail(103);
        for _ in 0..5 {
            let mut place = FailedAttempts::default();
            let _ = admit_stranger(&mut target.account, &mut place, &POLICY, target.now);
        }
        assert_eq!(target.attempt(1), Err(6 * 3600), "the owner, behind five others");
        forgive(&mut target.account, 200, &POLICY, target.now);
        // The attacker goes on before the owner comes again.
        assert_eq!(target.fail(20), [0; 20]);
        assert_eq!(target.attempt(1), Err(30), "of this line, and not of the old one");
    }

    #[test]
    fn asking_for_a_turn_changes_nothing() {
        let mut target = Target::new();
        target.fail(25);
        let next = |target: &Target| next_turn(target.account, target.places[1], &POLICY, target.now);
        for _ in 0..3 {
            assert_eq!(next(&target), Some(target.now.plus(Duration::from_secs(30))));
        }
        assert_eq!(target.attempt(1), Err(30));
        assert_eq!(next(&target), Some(target.now.plus(Duration::from_secs(30))));
        target.wait(30);
        assert_eq!(next(&target), None);
    }

    #[test]
    fn a_wait_of_more_than_a_day_gives_no_place() {
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

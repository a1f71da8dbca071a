//! The failures that each network or caller has left: token buckets, which refill with time. The only file that names
//! governor, which does the arithmetic (the generic cell rate algorithm): a bucket is the moment at which it is full again.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use governor::{Quota, RateLimiter, middleware::NoOpMiddleware, nanos::Nanos, state::StateStore};

use super::table::SharedTable;
use crate::{
    clock::{Clock, Timestamp},
    domain::FailedAttempts,
};

pub(super) struct Buckets {
    limiter: RateLimiter<u32, State, Since, NoOpMiddleware<Duration>>,
    table: SharedTable,
    refill: Duration,
    hold: u32,
}

/// The table, as the limiter reads and writes it.
struct State {
    table: SharedTable,
    /// The limiter counts from the moment it was made, the table from the epoch.
    start: Timestamp,
}

/// The time since `start`, as the limiter asks for it.
struct Since {
    clock: Arc<dyn Clock>,
    start: Timestamp,
}

impl Buckets {
    /// Buckets in `table`, which hold `failures` and get one back every `refill`, which is not zero.
    #[expect(clippy::expect_used, reason = "the settings know no refill of zero")]
    pub(super) fn new(
        table: SharedTable,
        failures: NonZeroU32,
        refill: Duration,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let quota = Quota::with_period(refill).expect("a refill takes time");
        let start = clock.now();
        let state = State {
            table: table.clone(),
            start,
        };
        Self {
            limiter: RateLimiter::new(quota.allow_burst(failures), state, Since { clock, start }),
            table,
            refill,
            hold: failures.get(),
        }
    }

    /// Takes one failure from the bucket at `place`.
    ///
    /// # Errors
    /// How long the bucket stays empty, if it is.
    pub(super) fn take(&self, place: u32) -> Result<(), Duration> {
        let now = governor::clock::Clock::now(self.limiter.clock());
        self.limiter
            .check_key(&place)
            .map_err(|empty| empty.wait_time_from(now))
    }

    /// When the bucket at `place` has a failure again. Returns `None` if it is not empty. It takes none.
    pub(super) fn empty_until(&self, place: u32) -> Option<Timestamp> {
        let all_but_one = self.refill.saturating_mul(self.hold - 1);
        let until = self.table.lock().at(place).at.minus(all_but_one);
        let now = self.limiter.clock().clock.now();
        (now < until).then_some(until)
    }

    /// Puts back what was taken.
    pub(super) fn give_back(&self, place: u32) {
        let mut table = self.table.lock();
        let full_at = table.at(place).at.minus(self.refill);
        table.put(place, bucket(full_at));
    }
}

impl StateStore for State {
    type Key = u32;

    fn measure_and_replace<T, F, E>(&self, place: &u32, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut table = self.table.lock();
        let full_in = table.at(*place).at.since(self.start);
        let (outcome, full_in) = measure(Some(full_in.into()))?;
        table.put(*place, bucket(self.start.plus(full_in.into())));
        Ok(outcome)
    }
}

impl governor::clock::Clock for Since {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.clock.now().since(self.start)
    }
}

fn bucket(full_at: Timestamp) -> FailedAttempts {
    FailedAttempts {
        failures: 0,
        at: full_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    const SECONDS: fn(u64) -> Duration = Duration::from_secs;

    fn buckets_of_three(table: &SharedTable, clock: &Arc<ManualClock>) -> Buckets {
        let three = NonZeroU32::new(3).unwrap();
        Buckets::new(table.clone(), three, SECONDS(10), Arc::clone(clock) as _)
    }

    #[test]
    fn a_bucket_gives_what_it_holds_and_then_one_each_refill() {
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_800_000_000)));
        let buckets = buckets_of_three(&SharedTable::new(9), &clock);
        for _ in 0..3 {
            assert_eq!(buckets.take(7), Ok(()));
        }
        assert_eq!(buckets.take(7), Err(SECONDS(10)));
        assert_eq!(buckets.empty_until(7), Some(clock.now().plus(SECONDS(10))));
        assert_eq!(buckets.empty_until(8), None);
        assert_eq!(buckets.take(8), Ok(()), "another bucket");
        clock.advance(SECONDS(9));
        assert_eq!(buckets.take(7), Err(SECONDS(1)));
        clock.advance(SECONDS(1));
        assert_eq!(buckets.take(7), Ok(()));
        assert_eq!(buckets.take(7), Err(SECONDS(10)));
        buckets.give_back(7);
        assert_eq!(buckets.take(7), Ok(()));
        clock.advance(SECONDS(1000));
        for _ in 0..3 {
            assert_eq!(buckets.take(7), Ok(()), "it holds no more than when it was new");
        }
        assert_eq!(buckets.take(7), Err(SECONDS(10)));
    }

    #[test]
    fn a_bucket_goes_on_from_where_an_earlier_process_left_it() {
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_800_000_000)));
        let table = SharedTable::new(9);
        let earlier = buckets_of_three(&table, &clock);
        for _ in 0..3 {
            assert_eq!(earlier.take(7), Ok(()));
        }
        clock.advance(SECONDS(5));
        assert_eq!(buckets_of_three(&table, &clock).take(7), Err(SECONDS(5)));
    }
}

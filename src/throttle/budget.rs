//! A budget that refills: how often each client or user may do something that costs the server more than an answer.
//!
//! Each spender has an account at a place of a table of a fixed size, which a keyed hash picks. So any number of spenders takes
//! no more memory, and nothing is ever evicted. A spender may be in larger groups, as a network is in the block of its site;
//! each group has an account of its own, of as many shares as the group has. The table is not kept: a restart refills
//! every account.

use std::{
    hash::{Hash, Hasher},
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use siphasher::sip::SipHasher13;

use crate::{clock::Timestamp, domain::random};

/// How many places there are. The system reserves their memory only as they are used: half a MiB at most.
const PLACES: u64 = 1 << 16;

/// How much an account holds, and how fast it refills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    /// How much a full account of one share holds.
    pub(super) holds: NonZeroU32,
    /// How long such an account takes to get one back.
    pub(super) refill: Duration,
}

pub(super) struct Budget {
    hash: SipHasher13,
    accounts: Mutex<Accounts>,
}

struct Accounts {
    rate: Rate,
    /// The millisecond since the epoch at which each account is full again.
    full_at: Vec<u64>,
}

impl Budget {
    /// A budget in which every account is full.
    pub(super) fn new(rate: Rate) -> Self {
        let places = usize::try_from(PLACES).unwrap_or(usize::MAX);
        Self {
            hash: SipHasher13::new_with_key(&random()),
            accounts: Mutex::new(Accounts {
                rate,
                full_at: vec![0; places],
            }),
        }
    }

    /// Applies another rate. What was spent stays spent.
    pub(super) fn apply(&self, rate: Rate) {
        self.with_accounts(|accounts| accounts.rate = rate);
    }

    /// Spends one from each of these accounts, which come with their shares; or from none if one of them has nothing left.
    ///
    /// # Errors
    /// How long that account stays empty, in whole seconds.
    pub(super) fn spend<K: Hash>(
        &self,
        from: impl Iterator<Item = (K, usize)>,
        now: Timestamp,
    ) -> Result<(), Duration> {
        let from: Vec<_> = self.places(from).collect();
        self.with_accounts(|accounts| {
            let spent = accounts.after_one_more(&from, now)?;
            for ((place, _), full_at) in from.iter().zip(spent) {
                accounts.full_at[*place] = full_at;
            }
            Ok(())
        })
    }

    /// Fails as [`spend`](Self::spend) does, and spends nothing.
    ///
    /// # Errors
    /// How long an account stays empty, in whole seconds.
    pub(super) fn check<K: Hash>(
        &self,
        from: impl Iterator<Item = (K, usize)>,
        now: Timestamp,
    ) -> Result<(), Duration> {
        let from: Vec<_> = self.places(from).collect();
        self.with_accounts(|accounts| accounts.after_one_more(&from, now).map(drop))
    }

    /// Gives back to each of these accounts, which come with their shares, what one of a single share holds. So such an account is full
    /// then, and a group has as much more as one of its members may spend.
    pub(super) fn give_back<K: Hash>(&self, to: impl Iterator<Item = (K, usize)>) {
        let to: Vec<_> = self.places(to).collect();
        self.with_accounts(|accounts| {
            for (place, shares) in to {
                let rate = accounts.rate;
                let all = rate.one(shares).saturating_mul(rate.holds.get().into());
                accounts.full_at[place] = accounts.full_at[place].saturating_sub(all);
            }
        });
    }

    fn places<K: Hash>(
        &self,
        accounts: impl Iterator<Item = (K, usize)>,
    ) -> impl Iterator<Item = (usize, usize)> {
        accounts.map(|(key, shares)| {
            let mut hash = self.hash;
            key.hash(&mut hash);
            let place = usize::try_from(hash.finish() % PLACES);
            (place.unwrap_or_default(), shares)
        })
    }

    fn with_accounts<T>(&self, work: impl FnOnce(&mut Accounts) -> T) -> T {
        // Each use leaves the table whole, so a panic under the lock breaks nothing.
        work(&mut self.accounts.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Accounts {
    /// When each of these accounts is full again, if one more is spent from it.
    fn after_one_more(&self, from: &[(usize, usize)], now: Timestamp) -> Result<Vec<u64>, Duration> {
        let now = now.as_secs().saturating_mul(1000);
        let latest = now.saturating_add(self.rate.one(1).saturating_mul(self.rate.holds.get().into()));
        let after = |(place, shares): &(usize, usize)| {
            // An account takes no longer than that to refill, unless the clock has gone back since.
            let full_at = Some(self.full_at[*place]).filter(|full_at| (now..=latest).contains(full_at));
            let full_at = full_at.unwrap_or(now).saturating_add(self.rate.one(*shares));
            match full_at.checked_sub(latest) {
                None | Some(0) => Ok(full_at),
                Some(wait) => Err(Duration::from_secs(wait.div_ceil(1000))),
            }
        };
        from.iter().map(after).collect()
    }
}

impl Rate {
    /// The time in which an account of so many shares gets one back, in milliseconds.
    fn one(self, shares: usize) -> u64 {
        let refill = u64::try_from(self.refill.as_millis()).unwrap_or(u64::MAX);
        refill / u64::try_from(shares).unwrap_or(u64::MAX).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
    const SECONDS: fn(u64) -> Duration = Duration::from_secs;

    fn rate(holds: u32, refill: Duration) -> Rate {
        Rate {
            holds: holds.try_into().unwrap(),
            refill,
        }
    }

    fn three() -> Budget {
        Budget::new(rate(3, SECONDS(10)))
    }

    fn spend(budget: &Budget, name: &str, now: Timestamp) -> Result<(), Duration> {
        budget.spend([(name, 1)].into_iter(), now)
    }

    #[test]
    fn an_account_gives_what_it_holds_and_then_one_each_refill() {
        let budget = three();
        for _ in 0..3 {
            assert_eq!(spend(&budget, "a", NOW), Ok(()));
        }
        assert_eq!(spend(&budget, "a", NOW), Err(SECONDS(10)));
        for _ in 0..9 {
            assert_eq!(
                budget.check([("b", 1)].into_iter(), NOW),
                Ok(()),
                "that spends nothing"
            );
        }
        assert_eq!(budget.check([("a", 1)].into_iter(), NOW), Err(SECONDS(10)));
        assert_eq!(spend(&budget, "b", NOW), Ok(()), "another account");
        let later = |seconds| NOW.plus(SECONDS(seconds));
        assert_eq!(spend(&budget, "a", later(9)), Err(SECONDS(1)));
        assert_eq!(spend(&budget, "a", later(10)), Ok(()));
        assert_eq!(spend(&budget, "a", later(10)), Err(SECONDS(10)));
        for _ in 0..3 {
            assert_eq!(
                spend(&budget, "a", later(1000)),
                Ok(()),
                "no more than when it was new"
            );
        }
        assert_eq!(spend(&budget, "a", later(1000)), Err(SECONDS(10)));
    }

    #[test]
    fn a_group_has_an_account_of_several_shares() {
        let budget = three();
        let spend = |member: usize| {
            let accounts = [(format!("member {member}"), 1), ("group".to_owned(), 4)];
            budget.spend(accounts.into_iter(), NOW)
        };
        for _ in 0..3 {
            assert_eq!(spend(0), Ok(()));
        }
        assert_eq!(spend(0), Err(SECONDS(10)));
        for member in 1..=9 {
            assert_eq!(spend(member), Ok(()), "{member}");
        }
        // The group has nothing left, and the refused attempt took nothing from the member.
        assert_eq!(spend(10), Err(SECONDS(3)));
        assert_eq!(
            budget.spend([("member 10", 1)].into_iter(), NOW),
            Ok(()),
            "without the group"
        );
    }

    #[test]
    fn what_is_given_back_to_a_group_is_one_members_part() {
        let budget = three();
        let member = |n: usize| [(format!("member {n}"), 1), ("group".to_owned(), 4)].into_iter();
        for n in 0..12 {
            assert_eq!(budget.spend(member(n / 3), NOW), Ok(()));
        }
        assert!(budget.check(member(0), NOW).is_err() && budget.check(member(9), NOW).is_err());
        budget.give_back(member(0));
        for _ in 0..3 {
            assert_eq!(budget.spend(member(0), NOW), Ok(()));
        }
        assert!(
            budget.check(member(9), NOW).is_err(),
            "no other member has gained"
        );
        assert!(budget.check([("member 1", 1)].into_iter(), NOW).is_err());
    }

    #[test]
    fn another_rate_holds_for_what_was_spent_before() {
        let budget = three();
        for _ in 0..2 {
            assert_eq!(spend(&budget, "a", NOW), Ok(()));
        }
        budget.apply(rate(2, SECONDS(10)));
        assert_eq!(spend(&budget, "a", NOW), Err(SECONDS(10)));
        budget.apply(rate(4, SECONDS(10)));
        for result in [Ok(()), Ok(()), Err(SECONDS(10))] {
            assert_eq!(spend(&budget, "a", NOW), result);
        }
    }

    #[test]
    fn a_clock_that_goes_back_empties_no_account() {
        let budget = three();
        for _ in 0..3 {
            assert_eq!(spend(&budget, "a", NOW), Ok(()));
        }
        let before = NOW.minus(Duration::from_hours(24));
        assert_eq!(spend(&budget, "a", before), Ok(()));
    }

    #[test]
    fn any_number_of_accounts_takes_no_more_memory() {
        let budget = three();
        for n in 0..100_000 {
            let _ = spend(&budget, &format!("{n}"), NOW);
        }
        budget.with_accounts(|accounts| assert_eq!(accounts.full_at.capacity(), 1 << 16));
    }
}

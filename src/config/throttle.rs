//! `[throttle]`: how fast passwords and tokens may be guessed, and how often clients may do what costs the server much.

use std::{num::NonZeroU32, time::Duration};

use super::{
    accepts::{Seconds, Whole},
    section::section,
};
use crate::domain::{LinePolicy, MAX_FAILURES};

const DAY: u64 = 24 * 60 * 60;

/// The sizes that a budget may have.
const BUDGET: Whole<NonZeroU32> = Whole(NonZeroU32::MIN..=NonZeroU32::new(1_000_000).unwrap());

section! {
    /// How fast passwords and tokens may be guessed, and how often clients may do what costs the server much. Times are whole
    /// seconds. Of IPv6, a client is a /64; all clients of a /56 have twice as much together, and those of a /48 four
    /// times.
    #[derive(Copy)]
    pub struct ThrottleConfig in "throttle" {
        /// How many sign-ins may fail from one address (IPv6: /64) before it has to wait. Failures with a device token do
        /// not count.
        address_failures: NonZeroU32 = 100, BUDGET;
        /// How long the address then waits for each further attempt. 10s allows 8,640 guesses a day and address, for all
        /// accounts together, and as many for the accounts that have signed in from there before, which take turns.
        address_refill: Duration = "10s", Seconds(1..=DAY);
        /// How many sign-ins to one account may fail in a row before strangers have to wait. A stranger is a client at an
        /// address from which the account has never signed in.
        account_failures: u32 = 30, Whole(1..=MAX_FAILURES);
        /// The time between two strangers' attempts after that.
        account_delay: Duration = "30s", Seconds(1..=DAY);
        /// The time between two strangers' attempts after 100 failures in a row. 1h allows 24 guesses a day and account,
        /// for all strangers together.
        account_long_delay: Duration = "1h", Seconds(1..=DAY);
        /// How many tokens that this server never issued a user may present to /introspect before they have to wait.
        /// Expired and revoked tokens do not count.
        foreign_tokens: NonZeroU32 = 100, BUDGET;
        /// How long the user then waits for each further token. 1s allows 86,400 guesses a day, of tokens with 128 random
        /// bits and a signature.
        foreign_token_refill: Duration = "1s", Seconds(1..=DAY);
        /// How many sign-ups one address (IPv6: /64) may try before it has to wait, whether they succeed or not: each costs
        /// a hash, or tells whether a username is taken. 100 is enough for a class behind one address.
        sign_ups: NonZeroU32 = 100, BUDGET;
        /// How long the address then waits for each further sign-up. 1m allows 1,440 a day and address.
        sign_up_refill: Duration = "1m", Seconds(1..=DAY);
        /// How many tokens with a wrong signature one address (IPv6: /64) may present before such tokens are answered 429,
        /// and so held back. A good token never counts, and is never refused.
        forged_tokens: NonZeroU32 = 300, BUDGET;
        /// How long it then takes until the address may present one more.
        forged_token_refill: Duration = "1s", Seconds(1..=DAY);
        /// How many changes one session may make at once: of the user's account, sessions and API tokens; and how many tokens
        /// it may be refreshed for. All sessions of a user may make four times as many changes. Log-outs do not count.
        changes: NonZeroU32 = 60, BUDGET;
        /// How long the session then waits for each further change.
        change_refill: Duration = "1s", Seconds(1..=DAY);
    }
}

impl ThrottleConfig {
    /// How strangers wait at one account.
    #[must_use]
    pub fn account(&self) -> LinePolicy {
        LinePolicy {
            free_failures: self.account_failures,
            delay: self.account_delay,
            long_delay: self.account_long_delay,
        }
    }

    /// How the accounts that are known at one address take turns once its failures are spent.
    #[must_use]
    pub fn address_turns(&self) -> LinePolicy {
        LinePolicy {
            free_failures: 0,
            delay: self.address_refill,
            long_delay: self.address_refill,
        }
    }
}

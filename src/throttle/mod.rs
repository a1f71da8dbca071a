//! How fast passwords may be guessed. Failures are counted on two axes: by the address that they come from, in buckets
//! that refill, and by the account, whose strangers stand in a [line](crate::domain::admit_stranger). Who comes from where
//! the user has signed in before is no stranger, and passes by both until a hundred of their own attempts have failed: so
//! nobody can lock anybody out. And how fast tokens may be guessed by a user who may ask about them, in buckets as well.
//!
//! What is remembered lies in a table of a fixed size, at places that a keyed hash picks: a million names or addresses take
//! no more memory than that. Who shares a place with an account under attack waits as its strangers do, and so can find out
//! that they share it; but nothing is ever pushed out, and a right password takes back only what was failed under its own
//! name, so nobody can make the server forget. The table goes to the store every few seconds and when the server stops.

mod attempt;
mod buckets;
mod error;
mod places;
mod table;

use std::{sync::Arc, time::Duration};

pub use self::error::Axis;
pub(crate) use self::error::ThrottleError;
use self::{
    attempt::{Attempt, Standing},
    buckets::Buckets,
    places::{InLine, KINDS, Kind, PLACES_EACH, place},
    table::SharedTable,
};
use crate::{
    clock::Clock,
    config::ThrottleConfig,
    domain::{
        ClientAddress, LONGEST_LINE, LinePolicy, MAX_FAILURES, Network, User, UserId, Username,
        admit_stranger, random,
    },
    store::{KeptAttempts, Store, StoreError},
};

/// How long after their last sign-in from there a user is no stranger in a network.
const KNOWN_FOR: Duration = Duration::from_hours(90 * 24);
/// How many changed places one write carries: few enough that no other write waits long.
const KEEP_BATCH: usize = 1000;

/// Counts failed attempts, and says which attempt has to wait.
pub(crate) struct Throttle {
    policy: LinePolicy,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    hash_key: [u8; 16],
    table: SharedTable,
    buckets: Buckets,
    foreign_tokens: Buckets,
}

impl Throttle {
    /// Goes on from what `store` has kept.
    pub(crate) async fn load(
        config: &ThrottleConfig,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StoreError> {
        let kept = store.attempts().await?.unwrap_or_else(|| KeptAttempts {
            hash_key: random(),
            places: Vec::new(),
        });
        let table = SharedTable::new(KINDS * PLACES_EACH);
        let now = clock.now();
        let at_the_latest = now.plus(longest_memory(config));
        for (place, attempts) in kept.places {
            // What lies further ahead was noted by a clock that was wrong, and would shut people out until then.
            if attempts.are_forgotten(now) || attempts.at > at_the_latest {
                // The store forgets it as well when the table is kept the next time.
                table.lock().mark_changed(place);
            } else {
                table.lock().restore(place, attempts);
            }
        }
        let buckets = |hold, refill| Buckets::new(table.clone(), hold, refill, Arc::clone(&clock));
        Ok(Self {
            policy: config.account(),
            hash_key: kept.hash_key,
            buckets: buckets(config.address_failures, config.address_refill),
            foreign_tokens: buckets(config.foreign_tokens, config.foreign_token_refill),
            table,
            store,
            clock,
        })
    }

    /// Leave to look at a password that `from` gives for `name`, which is `user`'s if anybody has it.
    ///
    /// # Errors
    /// [`ThrottleError::TooMany`], or a failure of the store.
    pub(crate) async fn admit(
        &self,
        name: Option<&Username>,
        user: Option<&User>,
        from: Option<ClientAddress>,
    ) -> Result<Attempt<'_>, ThrottleError> {
        let network = from.map(ClientAddress::network);
        let standing = match self.known(user, network).await? {
            Some(known) => known,
            None => self.admit_stranger(name, network)?,
        };
        Ok(Attempt {
            throttle: self,
            network,
            standing,
        })
    }

    /// The standing of who is no stranger.
    async fn known(
        &self,
        user: Option<&User>,
        network: Option<Network>,
    ) -> Result<Option<Standing>, StoreError> {
        let (Some(user), Some(network)) = (user, network) else {
            return Ok(None);
        };
        let Some(seen) = self.store.last_sign_in(user.id, network).await? else {
            return Ok(None);
        };
        let now = self.clock.now();
        let place = self.place(Kind::Known, user.username.as_str(), Some(network));
        let mut table = self.table.lock();
        let mut past = table.at(place);
        let known = now < seen.plus(KNOWN_FOR) && (past.failures < MAX_FAILURES || past.are_forgotten(now));
        if known {
            past.failed(now);
            table.put(place, past);
        }
        Ok(known.then_some(Standing::Known { place, seen }))
    }

    fn admit_stranger(
        &self,
        name: Option<&Username>,
        network: Option<Network>,
    ) -> Result<Standing, ThrottleError> {
        let bucket = network.map(|_| self.place(Kind::Bucket, "", network));
        if let Some(bucket) = bucket {
            let taken = self.buckets.take(bucket);
            taken.map_err(|wait| too_many(Axis::Address, wait))?;
        }
        let line = name.map(|name| {
            let name = name.as_str();
            InLine {
                line: self.place(Kind::Line, name, None),
                place: self.place(Kind::Place, name, network),
                own: self.place(Kind::Own, name, None),
            }
        });
        let standing = Standing::Stranger { line, bucket };
        if let Some(line) = line {
            let now = self.clock.now();
            let admitted = self.in_line(line, |line, place| admit_stranger(line, place, &self.policy, now));
            if let Err(wait) = admitted {
                bucket.inspect(|bucket| self.buckets.give_back(*bucket));
                return Err(too_many(Axis::Account, wait));
            }
        }
        Ok(standing)
    }

    /// Leave to tell `caller` that one more token is none of this server's.
    ///
    /// # Errors
    /// [`ThrottleError::TooMany`].
    pub(crate) fn admit_foreign_token(&self, caller: UserId) -> Result<(), ThrottleError> {
        let place = self.place(Kind::ForeignTokens, &caller.to_string(), None);
        let taken = self.foreign_tokens.take(place);
        taken.map_err(|wait| too_many(Axis::Caller(caller), wait))
    }

    /// Writes what has changed since the last time to the store.
    ///
    /// # Errors
    /// A failure of the store; what was not written is written the next time.
    pub(crate) async fn keep(&self) -> Result<(), StoreError> {
        loop {
            let changed = self.table.lock().take_changed(KEEP_BATCH);
            if changed.is_empty() {
                return Ok(());
            }
            // What changes from here on waits for the next time: else a flood would be written down without a pause.
            let is_last = changed.len() < KEEP_BATCH;
            let kept = KeptAttempts {
                hash_key: self.hash_key,
                places: changed.clone(),
            };
            if let Err(error) = self.store.keep_attempts(kept).await {
                let mut table = self.table.lock();
                for (place, _) in changed {
                    table.mark_changed(place);
                }
                return Err(error);
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// Where a name and a network stand in the table.
    fn place(&self, kind: Kind, name: &str, network: Option<Network>) -> u32 {
        place(&self.hash_key, kind, name, network)
    }
}

/// How far ahead of the clock a moment may be that is remembered: the end of a line or the moment when a bucket is full.
fn longest_memory(config: &ThrottleConfig) -> Duration {
    let line = LONGEST_LINE + config.account_delay.max(config.account_long_delay);
    let addresses = config
        .address_refill
        .saturating_mul(config.address_failures.get());
    let callers = config
        .foreign_token_refill
        .saturating_mul(config.foreign_tokens.get());
    line.max(addresses).max(callers)
}

fn too_many(axis: Axis, retry_after: Duration) -> ThrottleError {
    ThrottleError::TooMany { axis, retry_after }
}

#[cfg(test)]
mod tests;

//! How fast passwords may be guessed. Failures are counted on two axes: by the client's network, in buckets that refill, and
//! by the account, whose strangers wait in a [line](crate::domain::admit_stranger). A client in a network from which the user
//! has signed in before is no stranger: see [`known`]. One that presents a [`device`] token of the user is judged by that
//! alone. So no client can lock another one out. And how fast tokens may be guessed by a user who may ask about them, in
//! buckets as well. What costs the server much and is no guess has a [budget](Budgets).
//!
//! A table of a fixed size holds what is remembered, at places that a keyed hash picks: a million names or addresses take
//! no more memory than that. A client that shares a place with an account under attack waits as its strangers do, and so can
//! find out that it shares it. But nothing is ever evicted, and a right password takes back only what was failed under its own
//! name, so no client can make the server forget. The table goes to the store every few seconds and when the server stops.

mod attempt;
mod buckets;
mod budget;
mod budgets;
mod counters;
mod device;
mod error;
mod known;
mod places;
mod table;

use std::sync::Arc;

pub use self::error::Axis;
pub(crate) use self::{attempt::Attempt, budgets::Budgets, error::ThrottleError};
use self::{
    attempt::Standing,
    counters::Counters,
    error::too_many,
    places::{InLine, Kind},
};
use crate::{
    clock::Clock,
    config::ThrottleConfig,
    domain::{ClientAddress, DeviceTokenHash, Network, User, UserId, Username, admit_stranger},
    store::{Store, StoreError},
};

/// Counts failed attempts, and says which attempt has to wait.
pub(crate) struct Throttle(Counters);

impl Throttle {
    /// Goes on from what `store` has kept.
    ///
    /// # Errors
    /// A failure of the store.
    pub(crate) async fn load(
        config: &ThrottleConfig,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StoreError> {
        Ok(Self(Counters::load(config, store, clock).await?))
    }

    /// Applies the limits of `config` from the next attempt on. What was counted stays counted.
    pub(crate) fn apply(&self, config: &ThrottleConfig) {
        self.0.apply(config);
    }

    /// To be called when the clock has gone back.
    pub(crate) fn go_back(&self) {
        self.0.go_back();
    }

    /// Writes what has changed since the last time to the store.
    ///
    /// # Errors
    /// A failure of the store; what was not written is written the next time.
    pub(crate) async fn keep(&self) -> Result<(), StoreError> {
        self.0.keep().await
    }

    /// Permission to check a password that a client gives for `user` with a device token of theirs. Returns `None` if the client
    /// presents none that counts: then [`admit`](Self::admit) decides.
    ///
    /// # Errors
    /// A failure of the store.
    pub(crate) async fn admit_device(
        &self,
        user: Option<&User>,
        token: Option<DeviceTokenHash>,
    ) -> Result<Option<Attempt<'_>>, StoreError> {
        self.0.admit_device(user, token).await
    }

    /// Permission to check a password that `from` gives for `name`, which is `user`'s if a user has it.
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
        let standing = match self.0.admit_known(user, network).await? {
            Some(known) => known,
            None => self.admit_stranger(name, network)?,
        };
        Ok(Attempt {
            counters: &self.0,
            standing,
        })
    }

    fn admit_stranger(
        &self,
        name: Option<&Username>,
        network: Option<Network>,
    ) -> Result<Standing, ThrottleError> {
        let (counters, rules) = (&self.0, self.0.rules());
        let bucket = network.map(|_| counters.place(Kind::Bucket, "", network));
        if let Some(bucket) = bucket {
            let taken = rules.addresses.take(bucket);
            taken.map_err(|wait| too_many(Axis::Address, wait))?;
        }
        let line = name.map(|name| {
            let name = name.as_str();
            InLine {
                line: counters.place(Kind::Line, name, None),
                place: counters.place(Kind::Place, name, network),
                own: counters.place(Kind::Own, name, None),
            }
        });
        let standing = Standing::Stranger { line, bucket };
        if let Some(line) = line {
            let now = counters.clock.now();
            let admitted = counters.in_line(line, |line, place| {
                admit_stranger(line, place, &rules.accounts, now)
            });
            if let Err(wait) = admitted {
                bucket.inspect(|bucket| rules.addresses.give_back(*bucket));
                return Err(too_many(Axis::Account, wait));
            }
        }
        Ok(standing)
    }

    /// Permission to tell `caller` that one more token was not issued by this server.
    ///
    /// # Errors
    /// [`ThrottleError::TooMany`].
    pub(crate) fn admit_foreign_token(&self, caller: UserId) -> Result<(), ThrottleError> {
        let place = self.0.place(Kind::ForeignTokens, &caller.to_string(), None);
        let taken = self.0.rules().foreign_tokens.take(place);
        taken.map_err(|wait| too_many(Axis::Caller(caller), wait))
    }
}

#[cfg(test)]
mod tests;

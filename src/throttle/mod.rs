//! How fast passwords may be guessed. Failures are counted on two axes: by the client's network, in buckets that refill, and
//! by the account, whose strangers wait in a [line](crate::domain::admit_stranger). A client in a network from which the user
//! has signed in before is no stranger: see [`known`]. One that presents a [`device`] token of the user is judged by that
//! alone. So no client can lock another one out. And how fast tokens may be guessed by a user who may ask about them, in
//! buckets as well. What costs the server much and is no guess has a [budget](budgets).
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
mod lately;
mod places;
mod table;
mod waiting;

use std::sync::Arc;

pub(crate) use self::{attempt::Attempt, error::ThrottleError, waiting::key};
use self::{
    attempt::Standing,
    counters::Counters,
    error::too_many,
    places::{InLine, Kind},
};
pub use self::{error::Axis, lately::Wait, waiting::Waiting};
use crate::{
    clock::Clock,
    config::ThrottleConfig,
    domain::{ClientAddress, DeviceTokenHash, Network, SessionId, User, UserId, Username, admit_stranger},
    store::{Store, StoreError},
};

/// Counts failed attempts, and says which attempt has to wait. Cheap to clone: every clone is a handle of the same one.
#[derive(Clone)]
pub(crate) struct Throttle(Arc<Counters>);

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
        Ok(Self(Arc::new(Counters::load(config, store, clock).await?)))
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
        let user_id = user.map(|user| user.id);
        let known = self.0.admit_known(user, network).await;
        let turn = user_id
            .zip(network)
            .map(|(user, network)| Wait::Turn { user, network });
        let standing = match self.noted(known, turn)? {
            Some(known) => known,
            None => self.noted_stranger(self.admit_stranger(name, network), user_id, network)?,
        };
        Ok(Attempt {
            counters: &self.0,
            standing,
        })
    }

    /// Notes of whom a refusal is. That of a name without a user is not noted.
    fn noted_stranger<T>(
        &self,
        admitted: Result<T, ThrottleError>,
        user: Option<UserId>,
        network: Option<Network>,
    ) -> Result<T, ThrottleError> {
        let wait = match &admitted {
            Err(ThrottleError::TooMany {
                axis: Axis::Address, ..
            }) => network.map(|network| Wait::Address { network }),
            _ => user.map(|user| Wait::Account { user, network }),
        };
        self.noted(admitted, wait)
    }

    /// Notes `wait` if it was refused.
    fn noted<T>(&self, admitted: Result<T, ThrottleError>, wait: Option<Wait>) -> Result<T, ThrottleError> {
        if let (Err(ThrottleError::TooMany { .. }), Some(wait)) = (&admitted, wait) {
            self.0.lately.note(wait, self.0.clock.now());
        }
        admitted
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
        let taken = taken.map_err(|wait| too_many(Axis::Caller(caller), wait));
        self.noted(taken, Some(Wait::ForeignTokens { user: caller }))
    }

    /// Permission for one sign-up of a client at `from`. Without an address it is not counted.
    ///
    /// # Errors
    /// [`ThrottleError::TooMany`].
    pub(crate) fn admit_sign_up(&self, from: Option<ClientAddress>) -> Result<(), ThrottleError> {
        let network = from.map(ClientAddress::network);
        let wait = network.map(|network| Wait::SignUps { network });
        self.noted(self.0.budgets.admit_sign_up(from), wait)
    }

    /// Permission to tell a client at `from` that one more token is forged. Without an address it is not counted.
    ///
    /// # Errors
    /// [`ThrottleError::TooMany`].
    pub(crate) fn admit_forged_token(&self, from: Option<ClientAddress>) -> Result<(), ThrottleError> {
        let network = from.map(ClientAddress::network);
        let wait = network.map(|network| Wait::ForgedTokens { network });
        self.noted(self.0.budgets.admit_forged_token(from), wait)
    }

    /// Permission for one durable change by `session` of `user`.
    ///
    /// # Errors
    /// [`ThrottleError::TooMany`].
    pub(crate) fn admit_change(&self, session: SessionId, user: UserId) -> Result<(), ThrottleError> {
        let admitted = self.0.budgets.admit_change(session, user);
        self.noted(admitted, Some(Wait::Changes { user, session }))
    }

    /// Permission for one refresh of `session` of `user`. Not spent before the refresh has minted a token: see
    /// [`note_minted`](Self::note_minted).
    ///
    /// # Errors
    /// [`ThrottleError::TooMany`].
    pub(crate) fn admit_refresh(
        &self,
        session: SessionId,
        user: Option<UserId>,
    ) -> Result<(), ThrottleError> {
        let wait = user.map(|user| Wait::Refreshes { user, session });
        self.noted(self.0.budgets.admit_refresh(session), wait)
    }

    /// A refresh of `session` has minted a token.
    pub(crate) fn note_minted(&self, session: SessionId) {
        self.0.budgets.note_minted(session);
    }
}

#[cfg(test)]
mod tests;

//! What clients and users have a budget for: sign-ups, forged tokens, changes and refreshes.

use std::{hash::Hash, sync::Arc};

use super::{
    budget::{Budget, Rate},
    error::{Axis, ThrottleError, too_many},
};
use crate::{
    clock::Clock,
    config::ThrottleConfig,
    domain::{ClientAddress, SessionId, UserId},
};

/// How many sessions can make as many changes as one may, before their user has no more left. So a client with one stolen session
/// cannot keep the user from ending it.
const SHARES_OF_USER: usize = 4;

/// The budgets of all clients and users.
pub(crate) struct Budgets {
    clock: Arc<dyn Clock>,
    sign_ups: Budget,
    forged_tokens: Budget,
    changes: Budget,
    refreshes: Budget,
}

impl Budgets {
    /// Full budgets.
    pub(crate) fn new(config: &ThrottleConfig, clock: Arc<dyn Clock>) -> Self {
        let [sign_ups, forged_tokens, changes, refreshes] = rates(config).map(Budget::new);
        Self {
            clock,
            sign_ups,
            forged_tokens,
            changes,
            refreshes,
        }
    }

    /// Applies the limits of `config` from now on. What was spent stays spent.
    pub(crate) fn apply(&self, config: &ThrottleConfig) {
        let budgets = [
            &self.sign_ups,
            &self.forged_tokens,
            &self.changes,
            &self.refreshes,
        ];
        for (budget, rate) in budgets.into_iter().zip(rates(config)) {
            budget.apply(rate);
        }
    }

    /// Permission for one sign-up of a client at `from`. Without an address it is not counted.
    ///
    /// # Errors
    /// [`ThrottleError::TooMany`].
    pub(crate) fn admit_sign_up(&self, from: Option<ClientAddress>) -> Result<(), ThrottleError> {
        self.spend_of_network(&self.sign_ups, from, Axis::SignUps)
    }

    /// Permission to tell a client at `from` that one more token is forged. Without an address it is not counted.
    ///
    /// # Errors
    /// [`ThrottleError::TooMany`].
    pub(crate) fn admit_forged_token(&self, from: Option<ClientAddress>) -> Result<(), ThrottleError> {
        self.spend_of_network(&self.forged_tokens, from, Axis::ForgedTokens)
    }

    /// Permission for one durable change by `session` of `user`.
    ///
    /// # Errors
    /// [`ThrottleError::TooMany`].
    pub(crate) fn admit_change(&self, session: SessionId, user: UserId) -> Result<(), ThrottleError> {
        let accounts = [(*session.as_bytes(), 1), (*user.as_bytes(), SHARES_OF_USER)];
        self.spend(&self.changes, accounts.into_iter(), Axis::Changes(user))
    }

    /// Permission for one refresh of `session`. Not spent before the refresh has minted a token: see
    /// [`note_minted`](Self::note_minted).
    ///
    /// # Errors
    /// [`ThrottleError::TooMany`].
    pub(crate) fn admit_refresh(&self, session: SessionId) -> Result<(), ThrottleError> {
        let admitted = self.refreshes.check([(session, 1)].into_iter(), self.clock.now());
        admitted.map_err(|retry_after| too_many(Axis::Refreshes, retry_after))
    }

    /// A refresh of `session` has minted a token.
    pub(crate) fn note_minted(&self, session: SessionId) {
        // With nothing left, another refresh came first: a session mints one token after the other.
        let _ = self.refreshes.spend([(session, 1)].into_iter(), self.clock.now());
    }

    fn spend_of_network(
        &self,
        budget: &Budget,
        from: Option<ClientAddress>,
        axis: Axis,
    ) -> Result<(), ThrottleError> {
        let network = from.map(ClientAddress::network);
        network.map_or(Ok(()), |network| self.spend(budget, network.blocks(), axis))
    }

    fn spend<K: Hash>(
        &self,
        budget: &Budget,
        accounts: impl Iterator<Item = (K, usize)>,
        axis: Axis,
    ) -> Result<(), ThrottleError> {
        let spent = budget.spend(accounts, self.clock.now());
        spent.map_err(|retry_after| too_many(axis, retry_after))
    }
}

fn rates(config: &ThrottleConfig) -> [Rate; 4] {
    let rate = |holds, refill| Rate { holds, refill };
    let changes = rate(config.changes, config.change_refill);
    [
        rate(config.sign_ups, config.sign_up_refill),
        rate(config.forged_tokens, config.forged_token_refill),
        changes,
        changes,
    ]
}

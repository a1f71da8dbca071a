//! What clients and users have a budget for: sign-ups, forged tokens, changes and refreshes.

use std::{hash::Hash, sync::Arc};

use super::{
    budget::{Budget, Rate},
    error::{Axis, ThrottleError, too_many},
    lately::Wait,
};
use crate::{
    clock::{Clock, Timestamp},
    config::ThrottleConfig,
    domain::{ClientAddress, Network, SessionId, UserId},
};

/// How many sessions can make as many changes as one may, before their user has no more left. So a client with one stolen session
/// cannot keep the user from ending it.
const SHARES_OF_USER: usize = 4;

/// The budgets of all clients and users.
pub(super) struct Budgets {
    clock: Arc<dyn Clock>,
    sign_ups: Budget,
    forged_tokens: Budget,
    changes: Budget,
    refreshes: Budget,
}

impl Budgets {
    /// Full budgets.
    pub(super) fn new(config: &ThrottleConfig, clock: Arc<dyn Clock>) -> Self {
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
    pub(super) fn apply(&self, config: &ThrottleConfig) {
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
    pub(super) fn admit_sign_up(&self, from: Option<ClientAddress>) -> Result<(), ThrottleError> {
        self.spend_of_network(&self.sign_ups, from, Axis::SignUps)
    }

    /// Permission to tell a client at `from` that one more token is forged. Without an address it is not counted.
    ///
    /// # Errors
    /// [`ThrottleError::TooMany`].
    pub(super) fn admit_forged_token(&self, from: Option<ClientAddress>) -> Result<(), ThrottleError> {
        self.spend_of_network(&self.forged_tokens, from, Axis::ForgedTokens)
    }

    /// Permission for one durable change by `session` of `user`.
    ///
    /// # Errors
    /// [`ThrottleError::TooMany`].
    pub(super) fn admit_change(&self, session: SessionId, user: UserId) -> Result<(), ThrottleError> {
        self.spend(&self.changes, accounts_of(session, user), Axis::Changes(user))
    }

    /// Permission for one refresh of `session`. Not spent before the refresh has minted a token: see
    /// [`note_minted`](Self::note_minted).
    ///
    /// # Errors
    /// [`ThrottleError::TooMany`].
    pub(super) fn admit_refresh(&self, session: SessionId) -> Result<(), ThrottleError> {
        let admitted = self.refreshes.check([(session, 1)].into_iter(), self.clock.now());
        admitted.map_err(|retry_after| too_many(Axis::Refreshes, retry_after))
    }

    /// A refresh of `session` has minted a token.
    pub(super) fn note_minted(&self, session: SessionId) {
        // With nothing left, another refresh came first: a session mints one token after the other.
        let _ = self.refreshes.spend([(session, 1)].into_iter(), self.clock.now());
    }

    /// When the account of `wait` has something left again. Returns `None` if it has, or if this is not counted here.
    pub(super) fn empty_until(&self, wait: Wait) -> Option<Timestamp> {
        let now = self.clock.now();
        let left = match wait {
            Wait::SignUps { network } => self.sign_ups.check(network.blocks(), now),
            Wait::ForgedTokens { network } => self.forged_tokens.check(network.blocks(), now),
            Wait::Changes { user, session } => self.changes.check(accounts_of(session, user), now),
            Wait::Refreshes { session, .. } => self.refreshes.check([(session, 1)].into_iter(), now),
            _ => Ok(()),
        };
        left.err().map(|wait| now.plus(wait))
    }

    /// Frees a network: it can spend as much as a new one.
    pub(super) fn clear_network(&self, network: Network) {
        self.sign_ups.give_back(network.blocks());
        self.forged_tokens.give_back(network.blocks());
    }

    /// Frees a user and these sessions of theirs: as much is given back as one session may spend.
    pub(super) fn clear_user(&self, user: UserId, sessions: impl Iterator<Item = SessionId>) {
        self.changes
            .give_back([(*user.as_bytes(), SHARES_OF_USER)].into_iter());
        for session in sessions {
            self.changes.give_back([(*session.as_bytes(), 1)].into_iter());
            self.refreshes.give_back([(session, 1)].into_iter());
        }
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

/// Where a change by this session is counted.
fn accounts_of(session: SessionId, user: UserId) -> impl Iterator<Item = ([u8; 16], usize)> {
    [(*session.as_bytes(), 1), (*user.as_bytes(), SHARES_OF_USER)].into_iter()
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

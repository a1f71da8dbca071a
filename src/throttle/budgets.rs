//! What clients have a budget for: sign-ups.

use std::sync::Arc;

use super::{
    budget::{Budget, Rate},
    error::{Axis, ThrottleError},
};
use crate::{clock::Clock, config::ThrottleConfig, domain::ClientAddress};

/// The budgets of all clients.
pub(crate) struct Budgets {
    clock: Arc<dyn Clock>,
    sign_ups: Budget,
}

impl Budgets {
    /// Full budgets.
    pub(crate) fn new(config: &ThrottleConfig, clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            sign_ups: Budget::new(sign_ups(config)),
        }
    }

    /// Applies the limits of `config` from now on. What was spent stays spent.
    pub(crate) fn apply(&self, config: &ThrottleConfig) {
        self.sign_ups.apply(sign_ups(config));
    }

    /// Permission for one sign-up of a client at `from`. Without an address it is not counted.
    ///
    /// # Errors
    /// [`ThrottleError::TooMany`].
    pub(crate) fn admit_sign_up(&self, from: Option<ClientAddress>) -> Result<(), ThrottleError> {
        let Some(from) = from else { return Ok(()) };
        let spent = self.sign_ups.spend(from.network().blocks(), self.clock.now());
        spent.map_err(|retry_after| ThrottleError::TooMany {
            axis: Axis::SignUps,
            retry_after,
        })
    }
}

fn sign_ups(config: &ThrottleConfig) -> Rate {
    Rate {
        holds: config.sign_ups,
        refill: config.sign_up_refill,
    }
}

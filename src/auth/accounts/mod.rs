//! Users, for what an operator or an administrator does with them. It needs no signing key, which must not change by that, so
//! a command can work on the database while no server is running. Which actor may do what is for the caller to decide.

mod add;
mod change;
mod list;
mod sign_ins;

use std::sync::Arc;

use super::{AuthError, Parts, StartError};
use crate::{config::Config, event::Listeners, passwords::Passwords, store::StoreCounts};

/// Which users there are, and what they have. Cheap to clone.
#[derive(Clone)]
pub struct Accounts {
    pub(super) parts: Parts,
    pub(super) passwords: Arc<Passwords>,
}

impl Accounts {
    /// The accounts in the database that `config` names. The `listeners` are told of each event.
    ///
    /// # Errors
    /// [`StartError::Config`] if [`Config::validate`] fails, [`Database`](StartError::Database) if the directory can't be opened.
    pub async fn open(config: &Config, listeners: Listeners) -> Result<Self, StartError> {
        config.validate()?;
        Ok(Self::new(config, Parts::open(config, listeners).await?))
    }

    /// The same over any store and clock.
    #[must_use]
    pub fn new(config: &Config, parts: Parts) -> Self {
        Self {
            parts,
            passwords: Arc::new(Passwords::new(&config.password)),
        }
    }

    /// How many users and live sessions there are.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn count(&self) -> Result<StoreCounts, AuthError> {
        Ok(self.parts.store.count().await?)
    }
}

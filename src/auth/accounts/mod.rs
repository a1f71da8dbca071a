//! Users, and what else an operator or an administrator looks after: the signing keys. It starts no server: a command can work
//! on the database while none runs, and no key changes by that. Which actor may do what is for the caller to decide.

mod add;
mod change;
mod codes;
mod keys;
mod list;
mod shared_keys;
mod sign_ins;
mod trail;

use std::sync::Arc;

use self::shared_keys::SharedKeys;
pub(super) use self::shared_keys::UsesKeys;
pub use self::{
    change::SetPassword,
    codes::{IssuedInvitation, IssuedResetCode, NewInvitation},
};
use super::{AuthError, Parts, StartError};
use crate::{config::Config, event::Listeners, passwords::Passwords, store::StoreCounts};

/// Which users there are, and what they have. Cheap to clone.
#[derive(Clone)]
pub struct Accounts {
    pub(super) parts: Parts,
    pub(super) passwords: Arc<Passwords>,
    pub(super) keys: Arc<SharedKeys>,
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
            keys: Arc::new(SharedKeys::new(config, parts.clone())),
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

//! Users, and what else an operator or an administrator looks after: the signing keys, and those who wait at the throttle. It
//! starts no server: a command can work on the database while none runs, and no key changes by that. Which actor may do what is
//! for the caller to decide.

mod add;
mod change;
mod codes;
mod export;
mod import;
mod keys;
mod list;
mod shared_keys;
mod sign_ins;
mod throttled;
mod trail;

use std::sync::Arc;

use tokio::sync::{OnceCell, RwLock};

use self::shared_keys::SharedKeys;
pub(super) use self::shared_keys::UsesKeys;
pub use self::{
    change::SetPassword,
    codes::{IssuedInvitation, IssuedResetCode, NewInvitation},
    throttled::WaitingPage,
};
use super::{AuthError, Parts, StartError};
use crate::{
    clock::Timestamp,
    config::{Config, ThrottleConfig},
    domain::Roles,
    event::Listeners,
    passwords::Passwords,
    store::{StoreCounts, StoreError},
    throttle::Throttle,
};

/// Which users there are, and what they have. Cheap to clone.
#[derive(Clone)]
pub struct Accounts {
    pub(super) parts: Parts,
    pub(super) passwords: Arc<Passwords>,
    pub(super) keys: Arc<SharedKeys>,
    /// Shared by what mints a token or makes a one-time code, and held alone while other keys take over or the time goes back.
    pub(super) minting: Arc<RwLock<()>>,
    throttle: Arc<OnceCell<Throttle>>,
    limits: ThrottleConfig,
    /// The roles of a user who is imported without any.
    new_roles: Roles,
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
            minting: Arc::default(),
            throttle: Arc::default(),
            limits: config.throttle,
            parts,
            passwords: Arc::new(Passwords::new(&config.password)),
            new_roles: config.signup.roles.clone(),
        }
    }

    /// The throttle, which a server of this process shares. It is loaded when it is needed first.
    pub(super) async fn throttle(&self) -> Result<&Throttle, StoreError> {
        let load = || {
            let (store, clock) = (Arc::clone(&self.parts.store), Arc::clone(&self.parts.clock));
            Throttle::load(&self.limits, store, clock)
        };
        self.throttle.get_or_try_init(load).await
    }

    /// The present moment, with which the ends of roles and the times of keys are compared.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.parts.now()
    }

    /// How many users and live sessions there are.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn count(&self) -> Result<StoreCounts, AuthError> {
        Ok(self.parts.store.count().await?)
    }
}

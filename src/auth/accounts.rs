//! Users, without their sessions: enough to add one while no server is running, and without the signing key, which must
//! not change by that.

use std::sync::Arc;

use super::{Auth, AuthError, StartError};
use crate::{
    clock::Clock,
    config::Config,
    domain::{ClientAddress, Password, Roles, User, UserId, Username},
    passwords::Passwords,
    store::{Store, UserCreation},
};

/// Who has an account.
pub struct Accounts {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) passwords: Passwords,
}

impl Accounts {
    /// The accounts in the database that `config` names.
    ///
    /// # Errors
    /// [`StartError::Database`] if the directory can't be opened.
    pub async fn open(config: &Config) -> Result<Self, StartError> {
        let (store, clock) = super::open_store(config).await?;
        Ok(Self::new(config, store, clock))
    }

    pub(super) fn new(config: &Config, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        let passwords = Passwords::new(&config.password);
        Self {
            store,
            clock,
            passwords,
        }
    }

    /// Adds a user with these roles, whether or not anybody may sign up. `from` is where they are, if they are who adds it.
    ///
    /// # Errors
    /// [`AuthError::PasswordRejected`], [`UsernameTaken`](AuthError::UsernameTaken), [`Busy`](AuthError::Busy), or a
    /// failure of the server.
    pub async fn add(
        &self,
        username: Username,
        password: Password,
        roles: Roles,
        from: Option<ClientAddress>,
    ) -> Result<User, AuthError> {
        self.passwords.check_length(&password)?;
        // Asked first only to save the hashing: the store decides, once, below.
        if self.store.user_by_name(&username).await?.is_some() {
            return Err(AuthError::UsernameTaken);
        }
        let password_hash = self.passwords.hash_new(password, &username).await?;
        let now = self.clock.now();
        let user = User {
            id: UserId::generate(now),
            username,
            password_hash,
            password_version: 0,
            roles,
            disabled: false,
            display_name: None,
            created_at: now,
        };
        let network = from.map(ClientAddress::network);
        match self.store.create_user(user.clone(), network).await? {
            UserCreation::Created => Ok(user),
            UserCreation::UsernameTaken => Err(AuthError::UsernameTaken),
        }
    }
}

impl Auth {
    /// Whether anybody may sign up.
    ///
    /// # Errors
    /// [`AuthError::SignupClosed`] if not.
    pub fn check_sign_up(&self) -> Result<(), AuthError> {
        if self.0.signup.enabled {
            Ok(())
        } else {
            Err(AuthError::SignupClosed)
        }
    }

    /// Adds a user with the roles that everybody gets. `from` is where they are, if that is known: they are no stranger there.
    ///
    /// # Errors
    /// As [`check_sign_up`](Self::check_sign_up) and [`Accounts::add`].
    pub async fn sign_up(
        &self,
        username: Username,
        password: Password,
        from: Option<ClientAddress>,
    ) -> Result<User, AuthError> {
        self.check_sign_up()?;
        let roles = self.0.signup.roles.clone();
        self.0.accounts.add(username, password, roles, from).await
    }
}

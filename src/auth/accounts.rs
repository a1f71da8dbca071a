//! Users, without their sessions: enough to add one while no server is running, and without the signing key, which must
//! not change by that.

use std::sync::Arc;

use super::{AuthError, Parts, StartError};
use crate::{
    config::Config,
    domain::{ClientAddress, Password, RequestContext, Roles, User, UserChange, UserId, Username},
    event::{Actor, EventKind, Listeners},
    passwords::{HashFor, Passwords},
    store::{UserCreation, UserUpdate},
};

/// Which users there are.
pub struct Accounts {
    parts: Parts,
    pub(super) passwords: Passwords,
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

    pub(super) fn new(config: &Config, parts: Parts) -> Self {
        Self {
            parts,
            passwords: Passwords::new(&config.password),
        }
    }

    /// Adds a user with these roles, whether or not sign-up is open. `actor` adds them, by the request of `context`. If a client
    /// signs up by itself and `context` says where it is, the user is known from there. Where an operator or an administrator
    /// is says nothing of the user.
    ///
    /// # Errors
    /// [`AuthError::PasswordRejected`], [`UsernameTaken`](AuthError::UsernameTaken), [`Busy`](AuthError::Busy), or a
    /// failure of the server.
    pub async fn add(
        &self,
        username: Username,
        password: Password,
        roles: Roles,
        actor: Actor,
        context: &RequestContext,
    ) -> Result<User, AuthError> {
        self.passwords.check_length(&password)?;
        // This only saves the hashing: the store decides, once, below.
        if self.parts.store.user_by_name(&username).await?.is_some() {
            return Err(AuthError::UsernameTaken);
        }
        let network = context.client.address.map(ClientAddress::network);
        let hashed = self
            .passwords
            .hash_new(password, &username, HashFor::SignUp(network));
        let password_hash = hashed.await?;
        let now = self.parts.now();
        let user = User::new(username, password_hash, roles.into(), now);
        let known = network.filter(|_| actor == Actor::Anonymous);
        match self.parts.store.create_user(user.clone(), known).await? {
            UserCreation::Created => {
                let roles = user.roles.at(now);
                self.parts
                    .emit(EventKind::UserCreated { roles }, Some(user.id), actor, context);
                Ok(user)
            }
            UserCreation::UsernameTaken => Err(AuthError::UsernameTaken),
        }
    }

    /// Gives a user other roles, and returns the user as they are now. The roles hold for every live token at once. Returns
    /// `None` if there is no such user.
    ///
    /// # Errors
    /// [`AuthError::LastAdministrator`] if no administrator would be left, or a failure of the store.
    pub async fn set_roles(
        &self,
        user: UserId,
        roles: Roles,
        actor: Actor,
        context: &RequestContext,
    ) -> Result<Option<Arc<User>>, AuthError> {
        let kind = EventKind::RolesChanged { roles: roles.clone() };
        let change = UserChange::Roles(roles.into());
        self.change(user, change, kind, actor, context).await
    }

    /// Disables a user, or enables them again, and returns the user as they are now. No sign-in and no token of a disabled
    /// user is accepted, from the next request on. Returns `None` if there is no such user.
    ///
    /// # Errors
    /// [`AuthError::LastAdministrator`] if no administrator would be left, or a failure of the store.
    pub async fn set_disabled(
        &self,
        user: UserId,
        disabled: bool,
        actor: Actor,
        context: &RequestContext,
    ) -> Result<Option<Arc<User>>, AuthError> {
        let kind = if disabled {
            EventKind::UserDisabled
        } else {
            EventKind::UserEnabled
        };
        let change = UserChange::Disabled(disabled);
        self.change(user, change, kind, actor, context).await
    }

    /// Changes a user, and emits an event of this `kind`.
    pub(super) async fn change(
        &self,
        user: UserId,
        change: UserChange,
        kind: EventKind,
        actor: Actor,
        context: &RequestContext,
    ) -> Result<Option<Arc<User>>, AuthError> {
        match self.parts.store.change_user(user, change).await? {
            UserUpdate::Changed(changed) => {
                self.parts.emit(kind, Some(user), actor, context);
                Ok(Some(changed))
            }
            UserUpdate::NoSuchUser => Ok(None),
            UserUpdate::LastAdministrator => Err(AuthError::LastAdministrator),
        }
    }
}

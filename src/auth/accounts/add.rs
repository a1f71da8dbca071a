//! Adds a user.

use super::Accounts;
use crate::{
    auth::{AuthError, parts::to_its_end},
    domain::{ClientAddress, Network, Password, RequestContext, Roles, User, Username},
    event::{Actor, EventKind},
    passwords::HashFor,
    store::UserCreation,
};

impl Accounts {
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
        let network = context.client.address.map(ClientAddress::network);
        let user = self.new_user(username, password, roles, network).await?;
        let known = network.filter(|_| actor == Actor::Anonymous);
        let (parts, context) = (self.parts.clone(), context.clone());
        let creation = async move {
            match parts.store.create_user(user.clone(), known).await? {
                UserCreation::Created => {
                    let roles = user.roles.at(user.created_at);
                    parts.emit(EventKind::UserCreated { roles }, Some(user.id), actor, &context);
                    Ok(user)
                }
                UserCreation::UsernameTaken => Err(AuthError::UsernameTaken),
            }
        };
        to_its_end(creation).await
    }

    /// A user whom the store does not have yet, with the hash of `password`. A client in `network` chose the password.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub(in crate::auth) async fn new_user(
        &self,
        username: Username,
        password: Password,
        roles: Roles,
        network: Option<Network>,
    ) -> Result<User, AuthError> {
        self.passwords.check_length(&password)?;
        // This only saves the hashing: the store decides, once, when it adds the user.
        if self.parts.store.user_by_name(&username).await?.is_some() {
            return Err(AuthError::UsernameTaken);
        }
        let hashed = self
            .passwords
            .hash_new(password, &username, HashFor::SignUp(network));
        let password_hash = hashed.await?;
        Ok(User::new(username, password_hash, roles.into(), self.parts.now()))
    }
}

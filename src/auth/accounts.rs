//! Signing up.

use super::{Auth, AuthError};
use crate::{
    domain::{Password, Roles, User, UserId, Username},
    store::UserCreation,
};

impl Auth {
    /// Adds a user with the roles that everybody gets.
    ///
    /// # Errors
    /// [`AuthError::SignupClosed`], [`PasswordRejected`](AuthError::PasswordRejected),
    /// [`UsernameTaken`](AuthError::UsernameTaken), [`Busy`](AuthError::Busy), or a failure of the server.
    pub async fn sign_up(&self, username: Username, password: Password) -> Result<User, AuthError> {
        if !self.0.signup.enabled {
            return Err(AuthError::SignupClosed);
        }
        self.add_user(username, password, self.0.signup.roles.clone())
            .await
    }

    /// Adds a user with these roles, whether or not anybody may sign up.
    ///
    /// # Errors
    /// As [`sign_up`](Self::sign_up), without `SignupClosed`.
    pub async fn add_user(
        &self,
        username: Username,
        password: Password,
        roles: Roles,
    ) -> Result<User, AuthError> {
        self.0.passwords.check_length(&password)?;
        // Asked first only to save the hashing: the store decides, once, below.
        if self.0.store.user_by_name(&username).await?.is_some() {
            return Err(AuthError::UsernameTaken);
        }
        let password_hash = self.0.passwords.hash_new(password, &username).await?;
        let now = self.now();
        let user = User {
            id: UserId::generate(now),
            username,
            password_hash,
            roles,
            disabled: false,
            display_name: None,
            created_at: now,
        };
        match self.0.store.create_user(user.clone()).await? {
            UserCreation::Created => Ok(user),
            UserCreation::UsernameTaken => Err(AuthError::UsernameTaken),
        }
    }
}

//! Sign-up: a client makes a user of its own.

use super::{Auth, AuthError, PasswordRejection};
use crate::{
    domain::{Password, RequestContext, User, Username},
    event::{Actor, EventKind, SignUpRefusal},
};

impl Auth {
    /// Whether sign-up is open.
    ///
    /// # Errors
    /// [`AuthError::SignupClosed`] if not.
    pub fn check_sign_up(&self, context: &RequestContext) -> Result<(), AuthError> {
        if self.limits().signup.enabled {
            return Ok(());
        }
        self.refused_sign_up(SignUpRefusal::Closed, context);
        Err(AuthError::SignupClosed)
    }

    /// Whether a new password is long enough by the settings.
    ///
    /// # Errors
    /// [`PasswordRejection::TooShort`] if not.
    pub fn check_length(&self, password: &Password) -> Result<(), PasswordRejection> {
        self.0.accounts.passwords.check_length(password)
    }

    /// Adds a user with the roles of the settings. If `context` says where the client is, the user is known from there, and the
    /// sign-ups of its network are counted.
    ///
    /// # Errors
    /// As [`check_sign_up`](Self::check_sign_up) and [`Accounts::add`](super::Accounts::add);
    /// [`TooManyAttempts`](AuthError::TooManyAttempts) after too many sign-ups, before it says whether the name is taken.
    pub async fn sign_up(
        &self,
        username: Username,
        password: Password,
        context: &RequestContext,
    ) -> Result<User, AuthError> {
        self.check_sign_up(context)?;
        // It stays counted also if the server turns out to be busy: the name is free then, and the client has learnt it.
        let admitted = self.0.throttle.admit_sign_up(context.client.address);
        admitted.map_err(|error| self.throttled(error, None, Actor::Anonymous, context))?;
        let roles = self.limits().signup.roles.clone();
        let accounts = &self.0.accounts;
        let added = accounts.add(username, password, roles, Actor::Anonymous, context);
        let added = added.await;
        match &added {
            Err(AuthError::UsernameTaken) => self.refused_sign_up(SignUpRefusal::UsernameTaken, context),
            Err(AuthError::PasswordRejected(_)) => {
                self.refused_sign_up(SignUpRefusal::PasswordRejected, context);
            }
            _ => {}
        }
        added
    }

    pub(super) fn refused_sign_up(&self, reason: SignUpRefusal, context: &RequestContext) {
        let kind = EventKind::SignUpRefused { reason };
        self.emit(kind, None, Actor::Anonymous, context);
    }
}

//! What a user does with their own account and their own sessions.

use std::sync::Arc;

use secrecy::SecretString;

use super::{Auth, AuthError, Principal, password_check::Claimant};
use crate::domain::{Client, DisplayName, Password, Session, SessionId, User, UserChange};

impl Auth {
    /// Gives the user another name to be called by, and returns who they are now.
    ///
    /// # Errors
    /// [`AuthError::AccountGone`], or a failure of the server.
    pub async fn rename(&self, principal: &Principal, name: DisplayName) -> Result<Arc<User>, AuthError> {
        let change = UserChange::DisplayName(Some(name));
        let changed = self.0.accounts.store.change_user(principal.id(), change);
        changed.await?.ok_or(AuthError::AccountGone)
    }

    /// Gives the user another password, if `current` is the one they have, and ends every other session of theirs.
    ///
    /// # Errors
    /// [`AuthError::PasswordRejected`]; [`WrongPassword`](AuthError::WrongPassword),
    /// [`TooManyAttempts`](AuthError::TooManyAttempts) and [`Busy`](AuthError::Busy) as at a sign-in;
    /// [`AccountGone`](AuthError::AccountGone), or a failure of the server.
    pub async fn change_password(
        &self,
        principal: &Principal,
        current: SecretString,
        new: Password,
        from: &Client,
    ) -> Result<(), AuthError> {
        let passwords = &self.0.accounts.passwords;
        passwords.check_length(&new)?;
        let user = self.check_current_password(principal, current, from).await?;
        let hash = passwords.hash_new(new, &user.username).await?;
        let kept = Some(principal.session_id());
        let changed = self
            .0
            .accounts
            .store
            .change_password(user.id, user.password_version, hash, kept);
        // Somebody else has changed it meanwhile, or removed the account.
        changed.await?.ok_or(AuthError::WrongPassword(user.id))?;
        Ok(())
    }

    /// Removes the user with all that is theirs, if `current` is their password.
    ///
    /// # Errors
    /// As [`change_password`](Self::change_password), except for a new password.
    pub async fn delete_account(
        &self,
        principal: &Principal,
        current: SecretString,
        from: &Client,
    ) -> Result<(), AuthError> {
        let user = self.check_current_password(principal, current, from).await?;
        let deleted = self.0.accounts.store.delete_user(user.id, user.password_version);
        if deleted.await? {
            Ok(())
        } else {
            Err(AuthError::WrongPassword(user.id))
        }
    }

    /// The user's live sessions, oldest first.
    ///
    /// # Errors
    /// A failure of the server.
    pub async fn sessions(&self, principal: &Principal) -> Result<Vec<Session>, AuthError> {
        Ok(self.0.accounts.store.sessions(principal.id(), self.now()).await?)
    }

    /// Ends one of the user's sessions; `false` if they have no such session.
    ///
    /// # Errors
    /// A failure of the server.
    pub async fn end_session(&self, principal: &Principal, id: SessionId) -> Result<bool, AuthError> {
        let theirs = self.sessions(principal).await?;
        if !theirs.iter().any(|session| session.id == id) {
            return Ok(false);
        }
        self.0.accounts.store.close_session(id).await?;
        Ok(true)
    }

    /// Ends every session of the user but this one, or this one too, and returns how many.
    ///
    /// # Errors
    /// A failure of the server.
    pub async fn end_sessions(&self, principal: &Principal, this_too: bool) -> Result<usize, AuthError> {
        let kept = (!this_too).then(|| principal.session_id());
        Ok(self.0.accounts.store.close_sessions(principal.id(), kept).await?)
    }

    /// The user as they are now, if `current` is their password.
    async fn check_current_password(
        &self,
        principal: &Principal,
        current: SecretString,
        from: &Client,
    ) -> Result<Arc<User>, AuthError> {
        let name = principal.username();
        // Not the principal's own copy, whose password may be another one by now.
        let user = self.0.accounts.store.user_by_name(name).await?;
        let user = user.filter(|user| user.id == principal.id());
        let claimant = Claimant {
            name: Some(name),
            user: Some(user.ok_or(AuthError::AccountGone)?),
            from: from.address,
        };
        let checked = self.check_password(claimant, Password::parse(current).ok()).await;
        checked.map_err(|error| match error {
            AuthError::InvalidCredentials(_) => AuthError::WrongPassword(principal.id()),
            other => other,
        })
    }
}

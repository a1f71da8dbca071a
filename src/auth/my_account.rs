//! What a user does with their own account and their own sessions, and only from one of those.

use std::sync::Arc;

use secrecy::SecretString;

use super::{Auth, AuthError, Principal, password_check::Claimant};
use crate::{
    domain::{Client, DisplayName, Password, Session, SessionId, User, UserChange},
    store::Kept,
};

/// What a user asks for who changes their password.
#[derive(Debug)]
pub struct PasswordChange {
    /// The password that they say they have.
    pub current: SecretString,
    /// The one that they want.
    pub new: Password,
    /// Whether their API tokens stay good.
    pub keeps_api_tokens: bool,
}

/// Which sessions and API tokens of a user's are to end.
#[derive(Clone, Copy, Debug)]
pub struct Ending {
    /// The session that asks too.
    pub this_session: bool,
    /// The API tokens too.
    pub api_tokens: bool,
}

impl Auth {
    /// Gives the user another name to be called by, and returns who they are now.
    ///
    /// # Errors
    /// [`AuthError::SessionRequired`], [`AccountGone`](AuthError::AccountGone), or a failure of the server.
    pub async fn rename(&self, principal: &Principal, name: DisplayName) -> Result<Arc<User>, AuthError> {
        principal.session()?;
        let change = UserChange::DisplayName(Some(name));
        let changed = self.0.accounts.store.change_user(principal.id(), change);
        changed.await?.ok_or(AuthError::AccountGone)
    }

    /// Gives the user another password, if they know the one they have, and ends every other session of theirs and, unless
    /// they say otherwise, every API token: whoever knew the old password may have made one.
    ///
    /// # Errors
    /// [`AuthError::SessionRequired`]; [`PasswordRejected`](AuthError::PasswordRejected); [`WrongPassword`](AuthError::WrongPassword),
    /// [`TooManyAttempts`](AuthError::TooManyAttempts) and [`Busy`](AuthError::Busy) as at a sign-in;
    /// [`AccountGone`](AuthError::AccountGone), or a failure of the server.
    pub async fn change_password(
        &self,
        principal: &Principal,
        change: PasswordChange,
        from: &Client,
    ) -> Result<(), AuthError> {
        let (_, of) = principal.session()?;
        let passwords = &self.0.accounts.passwords;
        passwords.check_length(&change.new)?;
        let user = self
            .check_current_password(principal, change.current, from)
            .await?;
        let hash = passwords.hash_new(change.new, &user.username).await?;
        let kept = Kept {
            session: Some(of.session),
            api_tokens: change.keeps_api_tokens,
        };
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
        principal.session()?;
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
    /// [`AuthError::SessionRequired`], or a failure of the server.
    pub async fn sessions(&self, principal: &Principal) -> Result<Vec<Session>, AuthError> {
        principal.session()?;
        Ok(self.0.accounts.store.sessions(principal.id(), self.now()).await?)
    }

    /// Ends one of the user's sessions; `false` if they have no such session.
    ///
    /// # Errors
    /// As [`sessions`](Self::sessions).
    pub async fn end_session(&self, principal: &Principal, id: SessionId) -> Result<bool, AuthError> {
        let theirs = self.sessions(principal).await?;
        if !theirs.iter().any(|session| session.id == id) {
            return Ok(false);
        }
        self.0.accounts.store.close_session(id).await?;
        Ok(true)
    }

    /// Ends the user's other sessions, and what else is to end with them; returns how many of both that were.
    ///
    /// # Errors
    /// As [`sessions`](Self::sessions).
    pub async fn end_sessions(&self, principal: &Principal, which: Ending) -> Result<usize, AuthError> {
        let (_, of) = principal.session()?;
        let kept = Kept {
            session: (!which.this_session).then_some(of.session),
            api_tokens: !which.api_tokens,
        };
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

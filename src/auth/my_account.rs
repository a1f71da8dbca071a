//! What a user does with their own account and their own sessions.

use std::sync::Arc;

use secrecy::SecretString;

use super::{Auth, AuthError, SignedIn, password_check::Claimant};
use crate::{
    domain::{DisplayName, Password, RequestContext, Session, SessionId, User, UserChange},
    event::EventKind,
    store::Kept,
};

/// A change of a password.
#[derive(Debug)]
pub struct PasswordChange {
    /// The password that the user claims to have.
    pub current: SecretString,
    /// The password that they want.
    pub new: Password,
    /// Whether their API tokens stay valid.
    pub keeps_api_tokens: bool,
}

/// What ends beside the user's other sessions.
#[derive(Clone, Copy, Debug)]
pub struct Ending {
    /// Whether the session that asks ends too.
    pub this_session: bool,
    /// Whether the API tokens end too.
    pub api_tokens: bool,
}

impl Auth {
    /// Gives the user another display name, or none, and returns the user as they are now.
    ///
    /// # Errors
    /// [`AuthError::AccountGone`], or a failure of the server.
    pub async fn rename(
        &self,
        user: &SignedIn,
        name: Option<DisplayName>,
        context: &RequestContext,
    ) -> Result<Arc<User>, AuthError> {
        let (change, kind) = (UserChange::DisplayName(name), EventKind::DisplayNameChanged);
        let accounts = &self.0.accounts;
        let changed = accounts.change(user.id(), change, kind, user.actor(), context);
        changed.await?.ok_or(AuthError::AccountGone)
    }

    /// Gives the user another password, if they know their current one. Ends every other session of theirs and, unless they keep
    /// them, every API token: a client that knew the old password may have made one.
    ///
    /// # Errors
    /// [`AuthError::PasswordRejected`]; [`WrongPassword`](AuthError::WrongPassword),
    /// [`TooManyAttempts`](AuthError::TooManyAttempts) and [`Busy`](AuthError::Busy) as at a sign-in;
    /// [`AccountGone`](AuthError::AccountGone), or a failure of the server.
    pub async fn change_password(
        &self,
        signed_in: &SignedIn,
        change: PasswordChange,
        context: &RequestContext,
    ) -> Result<(), AuthError> {
        let passwords = &self.0.accounts.passwords;
        passwords.check_length(&change.new)?;
        let user = self
            .check_current_password(signed_in, change.current, context)
            .await?;
        let hash = passwords.hash_new(change.new, &user.username).await?;
        let kept = Kept {
            session: Some(signed_in.session_id()),
            api_tokens: change.keeps_api_tokens,
        };
        let changed = self
            .store()
            .change_password(user.id, user.password_version, hash, kept);
        // The password was changed meanwhile, or the account was deleted.
        changed.await?.ok_or(AuthError::WrongPassword(user.id))?;
        self.emit(
            EventKind::PasswordChanged,
            Some(user.id),
            signed_in.actor(),
            context,
        );
        Ok(())
    }

    /// Deletes the user with every session and API token, if `current` is their password.
    ///
    /// # Errors
    /// As [`change_password`](Self::change_password), except for a new password.
    pub async fn delete_account(
        &self,
        signed_in: &SignedIn,
        current: SecretString,
        context: &RequestContext,
    ) -> Result<(), AuthError> {
        let user = self.check_current_password(signed_in, current, context).await?;
        let deleted = self.store().delete_user(user.id, user.password_version);
        if deleted.await? {
            self.emit(EventKind::UserDeleted, Some(user.id), signed_in.actor(), context);
            Ok(())
        } else {
            Err(AuthError::WrongPassword(user.id))
        }
    }

    /// The user's live sessions, oldest first.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn sessions(&self, user: &SignedIn) -> Result<Vec<Session>, AuthError> {
        Ok(self.store().sessions(user.id(), self.now()).await?)
    }

    /// Ends one of the user's sessions. Returns `false` if they have no such session.
    ///
    /// # Errors
    /// As [`sessions`](Self::sessions).
    pub async fn end_session(
        &self,
        user: &SignedIn,
        session: SessionId,
        context: &RequestContext,
    ) -> Result<bool, AuthError> {
        let theirs = self.sessions(user).await?;
        if !theirs.iter().any(|one| one.id == session) {
            return Ok(false);
        }
        let kind = EventKind::SessionEnded { session };
        self.close_session(session, kind, Some(user.actor()), context)
            .await?;
        Ok(true)
    }

    /// Ends the user's other sessions and what `which` adds, and returns how many sessions and API tokens ended.
    ///
    /// # Errors
    /// As [`sessions`](Self::sessions).
    pub async fn end_sessions(
        &self,
        user: &SignedIn,
        which: Ending,
        context: &RequestContext,
    ) -> Result<usize, AuthError> {
        let kept = Kept {
            session: (!which.this_session).then_some(user.session_id()),
            api_tokens: !which.api_tokens,
        };
        let count = self.store().close_sessions(user.id(), kept).await?;
        if count > 0 {
            let kind = EventKind::SessionsEnded { count };
            self.emit(kind, Some(user.id()), user.actor(), context);
        }
        Ok(count)
    }

    /// The user as they are now, if `current` is their password.
    async fn check_current_password(
        &self,
        signed_in: &SignedIn,
        current: SecretString,
        context: &RequestContext,
    ) -> Result<Arc<User>, AuthError> {
        let name = signed_in.username();
        // Not the copy that was read with the token: its password may have changed since.
        let user = self.store().user_by_name(name).await?;
        let user = user.filter(|user| user.id == signed_in.id());
        let claimant = Claimant {
            name: Some(name),
            user: Some(user.ok_or(AuthError::AccountGone)?),
            actor: signed_in.actor(),
            context,
        };
        let checked = self.check_password(claimant, Password::parse(current).ok()).await;
        checked.map_err(|error| match error {
            AuthError::InvalidCredentials(_) => AuthError::WrongPassword(signed_in.id()),
            other => other,
        })
    }
}

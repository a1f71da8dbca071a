//! What a user does with their own account and their own sessions.

use std::sync::Arc;

use secrecy::SecretString;

use super::{
    Auth, AuthError, DeviceClaim, IssuedToken, SignedIn, TokenRefusal, parts::to_its_end,
    password_check::Claimant,
};
use crate::{
    domain::{ClientAddress, DisplayName, Password, RequestContext, Session, SessionId, User, UserChange},
    event::EventKind,
    passwords::HashFor,
    store::{Kept, PasswordReplacement, UserDeletion},
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
    /// What the client has to do with device tokens.
    pub device: DeviceClaim,
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
    /// [`AuthError::AccountGone`]; [`TooManyAttempts`](AuthError::TooManyAttempts) after too many changes, as every verb with which a
    /// user changes something; or a failure of the server.
    pub async fn rename(
        &self,
        user: &SignedIn,
        name: Option<DisplayName>,
        context: &RequestContext,
    ) -> Result<Arc<User>, AuthError> {
        self.admit_change(user, context)?;
        let (change, kind) = (UserChange::DisplayName(name), EventKind::DisplayNameChanged);
        let accounts = &self.0.accounts;
        let changed = accounts.change(user.id(), change, kind, user.actor(), context);
        changed.await?.ok_or(AuthError::AccountGone)
    }

    /// Gives the user another password, if they know their current one, and starts a session in place of all others. Those
    /// end, also the one that asks: another client may have a copy of its token. Every API token ends as well, unless the user
    /// keeps them. The user is known from no network but that of `context`, and by no device token but a new one of this client.
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
    ) -> Result<IssuedToken, AuthError> {
        let passwords = &self.0.accounts.passwords;
        passwords.check_length(&change.new)?;
        self.admit_change(signed_in, context)?;
        let user = self
            .check_current_password(signed_in, change.current, &change.device, context)
            .await?;
        // Not in the line of the sign-ups: a flood of those must not keep a user from it.
        let purpose = HashFor::SignIn(context.client.address.map(ClientAddress::network));
        let hash = passwords.hash_new(change.new, &user.username, purpose).await?;
        let (auth, signed_in, context) = (self.clone(), signed_in.clone(), context.clone());
        let changing = async move {
            let _minting = auth.0.accounts.minting.read().await;
            let (session, first) = auth.new_session(user.id, &context);
            let (device_token, device) = change.device.renew().unzip();
            let replacement = PasswordReplacement {
                verified: user.password_version,
                to: hash,
                keeps_api_tokens: change.keeps_api_tokens,
                session,
                device,
            };
            let changed = auth.store().change_password(replacement).await?;
            // The password was changed meanwhile, or the account was disabled or deleted.
            let user = changed.ok_or_else(|| auth.wrong_password(&signed_in, &context))?;
            let session = first.of.session;
            let kind = EventKind::PasswordChanged { session };
            auth.emit(kind, Some(user.id), signed_in.actor(), &context);
            let mut issued = auth.issue_first(&user, first)?;
            issued.device_token = device_token;
            Ok(issued)
        };
        to_its_end(changing).await
    }

    /// Notes that the user of this session has given their password just now, if `current` is their password. It counts for
    /// [15 minutes](crate::domain::CONFIRMED_FOR), also after a refresh: see
    /// [`confirmed_recently`](super::Accounts::confirmed_recently). `device` is what the client has to do with device tokens.
    ///
    /// # Errors
    /// As [`change_password`](Self::change_password), except for a new password.
    pub async fn confirm(
        &self,
        signed_in: &SignedIn,
        current: SecretString,
        device: &DeviceClaim,
        context: &RequestContext,
    ) -> Result<(), AuthError> {
        self.admit_change(signed_in, context)?;
        let user = self
            .check_current_password(signed_in, current, device, context)
            .await?;
        let (session, actor, now) = (signed_in.session_id(), signed_in.actor(), self.now());
        let (parts, context) = (self.0.parts.clone(), context.clone());
        let confirming = async move {
            let confirmed = parts.store.confirm_session(session, user.password_version, now);
            if !confirmed.await? {
                // The password was changed meanwhile, which ended the session.
                return Err(AuthError::TokenRefused(TokenRefusal::NotOnTheWhitelist));
            }
            let kind = EventKind::SessionConfirmed { session };
            parts.emit(kind, Some(user.id), actor, &context);
            Ok(())
        };
        to_its_end(confirming).await
    }

    /// Deletes the user with every session and API token, if `current` is their password. `device` is what the client has to do
    /// with device tokens.
    ///
    /// # Errors
    /// [`AuthError::LastAdministrator`]; otherwise as [`change_password`](Self::change_password), except for a new password.
    pub async fn delete_account(
        &self,
        signed_in: &SignedIn,
        current: SecretString,
        device: &DeviceClaim,
        context: &RequestContext,
    ) -> Result<(), AuthError> {
        self.admit_change(signed_in, context)?;
        let user = self
            .check_current_password(signed_in, current, device, context)
            .await?;
        let (auth, signed_in, context) = (self.clone(), signed_in.clone(), context.clone());
        let deleting = async move {
            let deletion = auth.store().delete_user(user.id, Some(user.password_version));
            match deletion.await? {
                UserDeletion::Deleted => {
                    auth.emit(EventKind::UserDeleted, Some(user.id), signed_in.actor(), &context);
                    Ok(())
                }
                UserDeletion::NoSuchUser => Err(auth.wrong_password(&signed_in, &context)),
                UserDeletion::LastAdministrator => Err(AuthError::LastAdministrator),
            }
        };
        to_its_end(deleting).await
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
    /// [`AuthError::TooManyAttempts`] after too many changes, or a failure of the store.
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
        self.admit_change(user, context)?;
        let accounts = &self.0.accounts;
        accounts
            .end_session(user.id(), session, user.actor(), context)
            .await
    }

    /// Ends the user's other sessions and what `which` adds, and returns how many sessions and API tokens ended. Then the user is
    /// known only from the network of `context` and by the device token of this session; if it ends too, by nothing.
    ///
    /// # Errors
    /// As [`end_session`](Self::end_session).
    pub async fn end_sessions(
        &self,
        user: &SignedIn,
        which: Ending,
        context: &RequestContext,
    ) -> Result<usize, AuthError> {
        self.admit_change(user, context)?;
        let kept = Kept {
            session: (!which.this_session).then_some(user.session_id()),
            api_tokens: !which.api_tokens,
            network: context
                .client
                .address
                .map(ClientAddress::network)
                .filter(|_| !which.this_session),
        };
        let accounts = &self.0.accounts;
        accounts
            .close_sessions(user.id(), kept, user.actor(), context)
            .await
    }

    /// The user as they are now, if `current` is their password.
    async fn check_current_password(
        &self,
        signed_in: &SignedIn,
        current: SecretString,
        device: &DeviceClaim,
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
            device: device.hash(),
            context,
        };
        let checked = self.check_password(claimant, Password::parse(current).ok()).await;
        checked.map(|checked| checked.user).map_err(|error| match error {
            AuthError::InvalidCredentials(_) => self.wrong_password(signed_in, context),
            other => other,
        })
    }

    /// The error that the current password is another one, after an event that says so.
    fn wrong_password(&self, signed_in: &SignedIn, context: &RequestContext) -> AuthError {
        let (user, kind) = (signed_in.id(), EventKind::CurrentPasswordWrong);
        self.emit(kind, Some(user), signed_in.actor(), context);
        AuthError::WrongPassword(user)
    }
}

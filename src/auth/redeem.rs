//! What a client does with a one-time code: it signs up by an invitation, or chooses another password by a reset code. A code is
//! throttled as a password is: one that is not accepted counts against the client's network.

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use super::{
    Auth, AuthError, DeviceClaim, IssuedToken, PasswordRejection, accounts::IssuedResetCode,
    parts::to_its_end, sessions::session_of,
};
use crate::{
    domain::{ClientAddress, CodeLifetime, Password, RequestContext, Roles, User, Username},
    event::{Actor, EventKind, SignUpRefusal},
    passwords::HashFor,
    store::{InvitationRedemption, PasswordReplacement, ResetCodeCreation},
    throttle::Attempt,
    tokens::one_time_code,
};

/// Another password, by a reset code.
#[derive(Debug)]
pub struct Reset {
    /// The reset code.
    pub code: SecretString,
    /// The password that the user wants.
    pub new: Password,
    /// What the client has to do with device tokens.
    pub device: DeviceClaim,
}

impl Auth {
    /// Adds a user by an invitation, with the roles of that one, whether or not sign-up is open. Spends the invitation.
    ///
    /// # Errors
    /// [`AuthError::InvitationRefused`], the same for every cause; [`NotInvited`](AuthError::NotInvited) if it is for another
    /// username, and [`UsernameTaken`](AuthError::UsernameTaken) and [`PasswordRejected`](AuthError::PasswordRejected), which leave
    /// it unspent; [`TooManyAttempts`](AuthError::TooManyAttempts) after too many that were not accepted or names that were
    /// taken; [`Busy`](AuthError::Busy), or a failure of the server.
    pub async fn sign_up_invited(
        &self,
        invitation: &SecretString,
        username: Username,
        password: Password,
        context: &RequestContext,
    ) -> Result<User, AuthError> {
        let attempt = self.admit_code(context).await?;
        let signed_up = self
            .redeem_invitation(invitation, username, password, context)
            .await;
        let refusal = match &signed_up {
            Err(AuthError::InvitationRefused) => Some(SignUpRefusal::InvitationRefused),
            Err(AuthError::NotInvited) => Some(SignUpRefusal::AnotherUsername),
            Err(AuthError::UsernameTaken) => Some(SignUpRefusal::UsernameTaken),
            Err(AuthError::PasswordRejected(_)) => Some(SignUpRefusal::PasswordRejected),
            Ok(_) | Err(_) => None,
        };
        // A taken name counts as well: a client could ask with one invitation for all names.
        match &signed_up {
            Ok(_) => attempt.right(),
            Err(AuthError::InvitationRefused | AuthError::NotInvited | AuthError::UsernameTaken) => {}
            Err(_) => attempt.unchecked(),
        }
        refusal.inspect(|reason| self.refused_sign_up(*reason, context));
        signed_up
    }

    async fn redeem_invitation(
        &self,
        invitation: &SecretString,
        username: Username,
        password: Password,
        context: &RequestContext,
    ) -> Result<User, AuthError> {
        let refused = AuthError::InvitationRefused;
        let Some(hash) = one_time_code::hash_of_invitation(invitation.expose_secret()) else {
            return Err(refused);
        };
        // This only saves the hashing: the store decides, once, below.
        let Some(found) = self.store().invitation(hash, self.now()).await? else {
            return Err(refused);
        };
        if !found.is_for(&username) {
            return Err(AuthError::NotInvited);
        }
        let network = context.client.address.map(ClientAddress::network);
        // The roles are the invitation's, by the store.
        let user = self
            .0
            .accounts
            .new_user(username, password, Roles::default(), network)
            .await?;
        let (parts, context) = (self.0.parts.clone(), context.clone());
        let redemption = async move {
            let user = match parts.store.redeem_invitation(hash, user, network).await? {
                InvitationRedemption::Created(user) => user,
                InvitationRedemption::Refused => return Err(refused),
                InvitationRedemption::AnotherUsername => return Err(AuthError::NotInvited),
                InvitationRedemption::UsernameTaken => return Err(AuthError::UsernameTaken),
            };
            let roles = user.roles.at(user.created_at);
            let (id, invitation) = (Some(user.id), found.id);
            for kind in [
                EventKind::UserCreated { roles },
                EventKind::InvitationUsed { invitation },
            ] {
                parts.emit(kind, id, Actor::Anonymous, &context);
            }
            Ok(user)
        };
        to_its_end(redemption).await
    }

    /// Gives the user whose reset code this is another password, and starts a session. Spends the code. Every other session of
    /// the user ends, and every API token. The user is known from no network but that of `context`, and by no device token but
    /// a new one of this client.
    ///
    /// # Errors
    /// [`AuthError::ResetCodeRefused`], the same for every cause; [`PasswordRejected`](AuthError::PasswordRejected), which leaves
    /// the code unspent; [`TooManyAttempts`](AuthError::TooManyAttempts) after too many that were not accepted;
    /// [`Busy`](AuthError::Busy), or a failure of the server.
    pub async fn reset_password(
        &self,
        reset: Reset,
        context: &RequestContext,
    ) -> Result<IssuedToken, AuthError> {
        self.check_length(&reset.new)?;
        let attempt = self.admit_code(context).await?;
        let done = self.redeem_reset_code(reset, context).await;
        match &done {
            Ok(_) => attempt.right(),
            Err(AuthError::ResetCodeRefused) => {
                self.emit(EventKind::ResetCodeRefused, None, Actor::Anonymous, context);
            }
            Err(_) => attempt.unchecked(),
        }
        done
    }

    async fn redeem_reset_code(
        &self,
        reset: Reset,
        context: &RequestContext,
    ) -> Result<IssuedToken, AuthError> {
        let refused = AuthError::ResetCodeRefused;
        let Some(hash) = one_time_code::hash_of_reset_code(reset.code.expose_secret()) else {
            return Err(refused);
        };
        let Some(user) = self.store().reset_code(hash, self.now()).await? else {
            return Err(refused);
        };
        let passwords = &self.0.accounts.passwords;
        let network = context.client.address.map(ClientAddress::network);
        let mut new = reset.new;
        if user.must_change_password {
            let again = passwords.unless_it_is_of(Arc::clone(&user), new, network).await?;
            new = again.ok_or(PasswordRejection::Unchanged)?;
        }
        let purpose = HashFor::SignIn(network);
        let to = passwords.hash_new(new, &user.username, purpose).await?;
        let (auth, context) = (self.clone(), context.clone());
        let redemption = async move {
            let _minting = auth.0.accounts.minting.read().await;
            let (session, first) = auth.new_session(user.id, &context);
            let (device_token, device) = reset.device.renew().unzip();
            let change = PasswordReplacement {
                verified: user.password_version,
                to,
                keeps_api_tokens: false,
                session,
                device,
            };
            // The code was spent, replaced or ended meanwhile.
            let changed = auth.store().redeem_reset_code(hash, change).await?;
            let user = changed.ok_or(refused)?;
            let session = first.of.session;
            let (kind, actor) = (EventKind::PasswordReset { session }, session_of(user.id, session));
            auth.emit(kind, Some(user.id), actor, &context);
            let mut issued = auth.issue_first(&user, first)?;
            issued.device_token = device_token;
            Ok(issued)
        };
        to_its_end(redemption).await
    }

    /// The refusal of a sign-in with a right password that must be changed: it has a reset code, which is good for that alone.
    /// Returns `None` if the password was changed meanwhile.
    pub(super) async fn require_password_change(&self, user: &User) -> Result<Option<AuthError>, AuthError> {
        let (verified, lifetime) = (Some(user.password_version), CodeLifetime::CHANGE_REQUIRED);
        let added = self
            .0
            .accounts
            .add_reset_code(user.id, verified, lifetime, None)
            .await?;
        let (IssuedResetCode { text, .. }, ResetCodeCreation::Created) = added else {
            return Ok(None);
        };
        Ok(Some(AuthError::PasswordChangeRequired {
            user: user.id,
            code: text,
            expires_in: lifetime.get(),
        }))
    }

    /// Permission for one attempt with a one-time code.
    async fn admit_code(&self, context: &RequestContext) -> Result<Attempt<'_>, AuthError> {
        let admitted = self.0.throttle.admit(None, None, context.client.address).await;
        admitted.map_err(|error| self.throttled(error, None, Actor::Anonymous, context))
    }
}

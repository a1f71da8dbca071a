//! The one place that checks a password, for a sign-in or for another verb that takes one: throttled, with the same work and
//! the same answer for every cause.

use std::sync::Arc;

use super::{Auth, AuthError, CredentialsRefusal};
use crate::{
    domain::{ClientAddress, DeviceTokenHash, Password, RequestContext, User, UserChange, UserId, Username},
    event::{Actor, EventKind, ThrottleAxis},
    throttle::{Axis, ThrottleError},
};

/// Whose password it is claimed to be.
pub(super) struct Claimant<'a> {
    /// The claimed name. `None` if no user can have it.
    pub(super) name: Option<&'a Username>,
    /// The user with that name.
    pub(super) user: Option<Arc<User>>,
    /// Who presents the password.
    pub(super) actor: Actor,
    /// The device token that comes with it.
    pub(super) device: Option<DeviceTokenHash>,
    /// The request that brings it.
    pub(super) context: &'a RequestContext,
}

/// A user whose password was right.
pub(super) struct Checked {
    pub(super) user: Arc<User>,
    /// Whether the device token was theirs, and counted.
    pub(super) device_is_known: bool,
}

impl Auth {
    /// Returns the claimed user if the password is theirs; `None` stands for a password that no user can have. Rehashes a
    /// password whose hash has another cost than the configured one.
    ///
    /// # Errors
    /// [`AuthError::InvalidCredentials`], the same and after the same work for every cause;
    /// [`AccountDisabled`](AuthError::AccountDisabled), only after the right password;
    /// [`TooManyAttempts`](AuthError::TooManyAttempts), before the password is checked; [`Busy`](AuthError::Busy), or a failure of
    /// the server.
    pub(super) async fn check_password(
        &self,
        claimant: Claimant<'_>,
        password: Option<Password>,
    ) -> Result<Checked, AuthError> {
        let Claimant {
            name,
            user,
            actor,
            device,
            context,
        } = claimant;
        let subject = user.as_ref().map(|user| user.id);
        let refusal = match (name, &user, &password) {
            (None, ..) | (.., None) => CredentialsRefusal::Malformed(subject),
            (_, None, _) => CredentialsRefusal::NoSuchUser,
            (_, Some(user), _) => CredentialsRefusal::WrongPassword(user.id),
        };
        let from = context.client.address;
        let throttle = &self.0.throttle;
        let by_device = throttle.admit_device(user.as_deref(), device).await?;
        let device_is_known = by_device.is_some();
        let admitted = match by_device {
            Some(attempt) => Ok(attempt),
            None => throttle.admit(name, user.as_deref(), from).await,
        };
        let attempt = match admitted {
            Ok(attempt) => attempt,
            Err(error) => return Err(self.throttled(error, subject, actor, context)),
        };
        let network = from.map(ClientAddress::network);
        let verified = match self.0.accounts.passwords.verify(user, password, network).await {
            Ok(Some(verified)) => verified,
            Ok(None) => return Err(AuthError::InvalidCredentials(refusal)),
            Err(error) => {
                attempt.unchecked();
                return Err(AuthError::from(error).about(subject));
            }
        };
        attempt.right();
        if verified.user.disabled {
            return Err(AuthError::AccountDisabled(verified.user.id));
        }
        if let Some(to) = verified.rehashed {
            let from = verified.user.password_hash.clone();
            let change = UserChange::Rehash { from, to };
            // A user who was deleted meanwhile has no hash to replace.
            let _ = self.store().change_user(verified.user.id, change).await?;
        }
        Ok(Checked {
            user: verified.user,
            device_is_known,
        })
    }

    /// Converts `error`, and tells the listeners of it if it is a refusal.
    pub(super) fn throttled(
        &self,
        error: ThrottleError,
        subject: Option<UserId>,
        actor: Actor,
        context: &RequestContext,
    ) -> AuthError {
        if let ThrottleError::TooMany { axis, retry_after } = error {
            let axis = match axis {
                Axis::Address => ThrottleAxis::Address,
                Axis::Account => ThrottleAxis::Account,
                Axis::Caller(_) => ThrottleAxis::Caller,
                Axis::SignUps => ThrottleAxis::SignUps,
                Axis::ForgedTokens => ThrottleAxis::ForgedTokens,
                Axis::Changes(_) => ThrottleAxis::Changes,
                Axis::Refreshes => ThrottleAxis::Refreshes,
            };
            self.emit(
                EventKind::Throttled { axis, retry_after },
                subject,
                actor,
                context,
            );
        }
        AuthError::from(error).about(subject)
    }
}

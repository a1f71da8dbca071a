//! What the verbs spend from the budgets of the throttle.

use super::{Auth, AuthError, SignedIn};
use crate::{
    domain::{RequestContext, SessionId, UserId},
    event::Actor,
};

impl Auth {
    /// Permission for one durable change on behalf of `user`. Each verb with which a signed-in user changes something begins with
    /// this, so that one user cannot keep the disk busy. Only a log-out does not: it must always be possible.
    ///
    /// # Errors
    /// [`AuthError::TooManyAttempts`].
    pub(super) fn admit_change(&self, user: &SignedIn, context: &RequestContext) -> Result<(), AuthError> {
        let admitted = self.0.throttle.admit_change(user.session_id(), user.id());
        admitted.map_err(|error| self.throttled(error, Some(user.id()), user.actor(), context))
    }

    /// Permission for one refresh of `session` that may mint a token. It has a budget of its own: a client with a copy of the
    /// session's token could otherwise end the session by changes.
    ///
    /// # Errors
    /// [`AuthError::TooManyAttempts`].
    pub(super) fn admit_refresh(
        &self,
        session: SessionId,
        user: Option<UserId>,
        actor: Actor,
        context: &RequestContext,
    ) -> Result<(), AuthError> {
        let admitted = self.0.throttle.admit_refresh(session, user);
        admitted.map_err(|error| self.throttled(error, user, actor, context))
    }

    /// The same for a client that has shown a refresh token. Its user is looked up only if it is refused, so that the refusal says
    /// whose it is.
    ///
    /// # Errors
    /// [`AuthError::TooManyAttempts`], or a failure of the store.
    pub(super) async fn admit_refresh_token(
        &self,
        session: SessionId,
        context: &RequestContext,
    ) -> Result<(), AuthError> {
        if self.0.throttle.admit_refresh(session, None).is_ok() {
            return Ok(());
        }
        let user = self.store().user_of(session).await?;
        self.admit_refresh(session, user, Actor::Anonymous, context)
    }

    /// Counts a token that was refused because it is forged, by the network of `context`. Returns `refused`, or
    /// [`AuthError::TooManyAttempts`] if that network has presented too many: then the answer is held back. The server counts
    /// only after the verification, so a flood of forged tokens harms no good one of the same network.
    pub(crate) fn count_forged(&self, refused: AuthError, context: &RequestContext) -> AuthError {
        let AuthError::TokenRefused(why) = &refused else {
            return refused;
        };
        if !why.is_forged() {
            return refused;
        }
        match self.0.throttle.admit_forged_token(context.client.address) {
            Ok(()) => refused,
            Err(error) => self.throttled(error, None, Actor::Anonymous, context),
        }
    }
}

//! Refresh, in both forms: with the access token inside its window, and with a refresh token at any time. The rules are
//! [`Session::refresh`](crate::domain::Session::refresh) and [`Session::rotate`](crate::domain::Session::rotate).

use secrecy::{ExposeSecret, SecretString};

use super::{Auth, AuthError, IssuedToken, TokenRefusal, issue::Of, parts::to_its_end};
use crate::{
    domain::{BearerToken, Refresh, RefreshTokenOutcome, RequestContext},
    event::{Actor, EventKind},
};

impl Auth {
    /// Inside its refresh window, exchanges `token` for its successor; earlier, returns the same token. A second refresh of the
    /// same token returns the same successor.
    ///
    /// # Errors
    /// As [`authenticate`](Self::authenticate); [`SessionRequired`](AuthError::SessionRequired) for an API token;
    /// [`TooManyAttempts`](AuthError::TooManyAttempts) after too many refreshes inside the window.
    pub async fn refresh(&self, token: &BearerToken) -> Result<IssuedToken, AuthError> {
        let _minting = self.0.accounts.minting.read().await;
        let user = self.authenticate(token).await?.signed_in()?;
        let (presented, of) = (user.token(), user.of());
        if self.0.policy.window_opens(presented, of.ends_at) <= self.now() {
            self.admit_refresh(
                of.session,
                Some(user.id()),
                user.actor(),
                &RequestContext::default(),
            )?;
        }
        let (successor, minted) = match self
            .store()
            .refresh(of.session, presented.id, self.0.policy, self.now())
            .await?
        {
            Refresh::Minted(successor) => {
                self.0.throttle.note_minted(of.session);
                (successor, true)
            }
            Refresh::Stands(standing) => (standing, false),
            Refresh::Refused => return Err(AuthError::TokenRefused(TokenRefusal::NotOnTheWhitelist)),
        };
        if successor == presented {
            let text = token.expose().into();
            return Ok(self.describe(user.id(), text, of, presented, false));
        }
        self.issue(user.user(), of, successor, minted)
    }

    /// Whether a sign-in issues a refresh token.
    #[must_use]
    pub fn has_refresh_tokens(&self) -> bool {
        self.limits().session.refresh_tokens.is_some()
    }

    /// Spends `refresh_token` and returns a new pair; within the grace, each use returns the same pair. One that was spent before
    /// the grace ends its session.
    ///
    /// # Errors
    /// [`AuthError::TokenRefused`], [`TooManyAttempts`](AuthError::TooManyAttempts) after too many refreshes of the session, or a
    /// failure of the server.
    pub async fn refresh_with(
        &self,
        refresh_token: &SecretString,
        context: &RequestContext,
    ) -> Result<IssuedToken, AuthError> {
        let refused = |why| Err(AuthError::TokenRefused(why));
        let Some(lifetime) = self.limits().session.refresh_tokens else {
            return refused(TokenRefusal::NoRefreshTokens);
        };
        let _minting = self.0.accounts.minting.read().await;
        let Some((session, generation)) = self.0.refresh_tokens.read(refresh_token.expose_secret()) else {
            return refused(TokenRefusal::NotARefreshToken);
        };
        self.admit_refresh_token(session, context).await?;
        let (store, now) = (self.store(), self.now());
        let (parts, policy, context) = (self.0.parts.clone(), self.0.policy, context.clone());
        let rotation = async move {
            let rotated = parts.store.rotate(session, generation, policy, lifetime, now);
            let rotated = rotated.await?;
            if let RefreshTokenOutcome::Reused(user) = &rotated {
                let kind = EventKind::RefreshTokenReused { session };
                parts.emit(kind, Some(*user), Actor::Anonymous, &context);
            }
            Ok(rotated)
        };
        let (token, grant, minted) = match to_its_end(rotation).await? {
            RefreshTokenOutcome::Minted(token, grant) => {
                self.0.throttle.note_minted(session);
                (token, grant, true)
            }
            RefreshTokenOutcome::Stands(token, grant) => (token, grant, false),
            RefreshTokenOutcome::Reused(_) => return refused(TokenRefusal::Reused),
            RefreshTokenOutcome::Refused => return refused(TokenRefusal::NotOnTheWhitelist),
        };
        // It may have been revoked since.
        let Some(accepted) = store.accepted(session, token.id, now).await? else {
            return refused(TokenRefusal::NotOnTheWhitelist);
        };
        let of = Of {
            session,
            ends_at: accepted.session_ends_at,
        };
        let mut issued = self.issue(&accepted.user, of, token, minted)?;
        issued.refresh = Some(self.issue_refresh(session, grant));
        Ok(issued)
    }
}

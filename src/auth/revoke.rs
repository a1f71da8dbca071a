//! Revocation (RFC 7009): a client that holds a token of a session can end the session, and one that holds an API token can
//! end that.

use super::{Auth, AuthError, TokenRefusal};
use crate::{
    domain::{BearerToken, RequestContext, SessionId, UserId},
    event::EventKind,
    tokens::{api_token, refresh_token},
};

impl Auth {
    /// Ends `token` if it is an API token; else its session, if it is an access token that is accepted now, or any refresh token,
    /// also one that was spent before. The end is durable when this has returned. Returns whose it was; `None` if there was
    /// nothing to end.
    ///
    /// # Errors
    /// [`AuthError::TooManyAttempts`] for a forged token after too many of them; or a failure of the server, after which the session may or may not have ended.
    pub async fn revoke(&self, token: &str, context: &RequestContext) -> Result<Option<UserId>, AuthError> {
        if token.starts_with(api_token::PREFIX) {
            return match BearerToken::parse(token) {
                Some(token) => self.revoke_api_token(&token, context).await,
                None => Ok(None),
            };
        }
        let session = match self.0.refresh_tokens.read(token) {
            Some((session, _)) => Some(session),
            None if token.starts_with(refresh_token::PREFIX) => {
                self.nothing_to_end(TokenRefusal::NotARefreshToken, context)?
            }
            None => self.session_of(token, context).await?,
        };
        match session {
            Some(session) => {
                let kind = EventKind::LoggedOut { session };
                self.close_session(session, kind, None, context).await
            }
            None => Ok(None),
        }
    }

    /// The session of an access token that is accepted. Unlike in [`authenticate`](Self::authenticate), its user may be disabled:
    /// else the session would be accepted again once the user is enabled.
    async fn session_of(
        &self,
        token: &str,
        context: &RequestContext,
    ) -> Result<Option<SessionId>, AuthError> {
        let now = self.now();
        let claims = BearerToken::parse(token).map(|token| {
            let found = self.0.tokens.verify(&token, now, self.ahead_of_tokens());
            found.map(|found| found.said())
        });
        let claims = match claims {
            Some(Ok(claims)) => claims,
            Some(Err(why)) => return self.nothing_to_end(why, context),
            None => return Ok(None),
        };
        let accepted = self
            .store()
            .accepted(claims.session, claims.token.id, now)
            .await?;
        Ok(accepted.map(|_| claims.session))
    }

    /// No session, after a token that is refused for this reason.
    fn nothing_to_end(
        &self,
        why: TokenRefusal,
        context: &RequestContext,
    ) -> Result<Option<SessionId>, AuthError> {
        match self.count_forged(AuthError::TokenRefused(why), context) {
            AuthError::TokenRefused(_) => Ok(None),
            too_many => Err(too_many),
        }
    }
}

//! Revocation (RFC 7009): whoever holds a token of a session can end it.

use super::{Auth, AuthError};
use crate::domain::{BearerToken, SessionId, UserId};

impl Auth {
    /// Ends the session of `token`, an access token that is accepted now or any refresh token, also one that was spent before;
    /// durably, when this has returned. Returns whose it was; `None` if there is nothing to end (any more).
    ///
    /// # Errors
    /// A failure of the server, after which the session may or may not have ended.
    pub async fn revoke(&self, token: &str) -> Result<Option<UserId>, AuthError> {
        let session = match self.0.refresh_tokens.read(token) {
            Some((session, _)) => Some(session),
            None => self.session_of(token).await?,
        };
        match session {
            Some(session) => Ok(self.0.accounts.store.close_session(session).await?),
            None => Ok(None),
        }
    }

    /// The session of an access token that is accepted. Unlike in [`authenticate`](Self::authenticate) its user may be
    /// disabled: the session must not come back to life with them.
    async fn session_of(&self, token: &str) -> Result<Option<SessionId>, AuthError> {
        let now = self.now();
        let claims = BearerToken::parse(token).and_then(|token| self.0.tokens.verify(&token, now).ok());
        let Some(claims) = claims else {
            return Ok(None);
        };
        let store = &self.0.accounts.store;
        let accepted = store.accepted(claims.session, claims.token.id, now).await?;
        Ok(accepted.map(|_| claims.session))
    }
}

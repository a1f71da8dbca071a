//! Where a user is signed in: lists their sessions and API tokens, and ends them. What has ended is refused from the next
//! request on.

use super::Accounts;
use crate::{
    auth::{AuthError, parts::to_its_end},
    domain::{ApiToken, ApiTokenId, RequestContext, Session, SessionId, UserId},
    event::{Actor, EventKind},
    store::Kept,
};

impl Accounts {
    /// Returns the live sessions of a user, oldest first.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn sessions(&self, user: UserId) -> Result<Vec<Session>, AuthError> {
        Ok(self.parts.store.sessions(user, self.parts.now()).await?)
    }

    /// Returns the API tokens of a user that have not expired.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn api_tokens(&self, user: UserId) -> Result<Vec<ApiToken>, AuthError> {
        Ok(self.parts.store.api_tokens(user, self.parts.now()).await?)
    }

    /// Ends one session of a user. Returns `false` if the user has no such session.
    ///
    /// # Errors
    /// A failure of the store; the session may or may not have ended then.
    pub async fn end_session(
        &self,
        user: UserId,
        session: SessionId,
        actor: Actor,
        context: &RequestContext,
    ) -> Result<bool, AuthError> {
        let sessions = self.sessions(user).await?;
        if !sessions.iter().any(|one| one.id == session) {
            return Ok(false);
        }
        let (parts, context) = (self.parts.clone(), context.clone());
        let ending = async move {
            let has_ended = parts.store.close_session(session).await?.is_some();
            if has_ended {
                let kind = EventKind::SessionEnded { session };
                parts.emit(kind, Some(user), actor, &context);
            }
            Ok(has_ended)
        };
        to_its_end(ending).await
    }

    /// Ends every session of a user and, unless `keeps_api_tokens`, every API token. Returns how many of both ended. The user is
    /// known from no network then.
    ///
    /// # Errors
    /// A failure of the store; the sessions may or may not have ended then.
    pub async fn end_sessions(
        &self,
        user: UserId,
        keeps_api_tokens: bool,
        actor: Actor,
        context: &RequestContext,
    ) -> Result<usize, AuthError> {
        let kept = Kept {
            api_tokens: keeps_api_tokens,
            ..Kept::default()
        };
        self.close_sessions(user, kept, actor, context).await
    }

    /// Ends what is not `kept` of a user's sessions and API tokens, and returns how many of both ended.
    pub(in crate::auth) async fn close_sessions(
        &self,
        user: UserId,
        kept: Kept,
        actor: Actor,
        context: &RequestContext,
    ) -> Result<usize, AuthError> {
        let (parts, context) = (self.parts.clone(), context.clone());
        let ending = async move {
            let count = parts.store.close_sessions(user, kept).await?;
            if count > 0 {
                let kind = EventKind::SessionsEnded { count };
                parts.emit(kind, Some(user), actor, &context);
            }
            Ok(count)
        };
        to_its_end(ending).await
    }

    /// Revokes one API token of a user. Returns `false` if the user has no such token.
    ///
    /// # Errors
    /// A failure of the store; the token may or may not have been revoked then.
    pub async fn revoke_api_token(
        &self,
        user: UserId,
        api_token: ApiTokenId,
        actor: Actor,
        context: &RequestContext,
    ) -> Result<bool, AuthError> {
        let (parts, context) = (self.parts.clone(), context.clone());
        let revocation = async move {
            let has_ended = parts.store.remove_api_token(user, api_token).await?;
            if has_ended {
                let kind = EventKind::ApiTokenRevoked { api_token };
                parts.emit(kind, Some(user), actor, &context);
            }
            Ok(has_ended)
        };
        to_its_end(revocation).await
    }

    /// Revokes every API token of a user, and returns how many there were.
    ///
    /// # Errors
    /// A failure of the store; the tokens may or may not have been revoked then.
    pub async fn revoke_api_tokens(
        &self,
        user: UserId,
        actor: Actor,
        context: &RequestContext,
    ) -> Result<usize, AuthError> {
        let (parts, context) = (self.parts.clone(), context.clone());
        let revocation = async move {
            let count = parts.store.remove_api_tokens(user).await?;
            if count > 0 {
                let kind = EventKind::ApiTokensRevoked { count };
                parts.emit(kind, Some(user), actor, &context);
            }
            Ok(count)
        };
        to_its_end(revocation).await
    }
}

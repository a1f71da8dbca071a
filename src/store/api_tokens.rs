//! What a store does for API tokens: it finds them by the hash of their text and remembers their last use. It never sees
//! the text.

use std::sync::Arc;

use async_trait::async_trait;

use super::error::StoreError;
use crate::{
    clock::Timestamp,
    domain::{ApiToken, ApiTokenHash, ApiTokenId, SessionId, SharedUser, UserId},
};

/// The API tokens.
#[async_trait]
pub trait ApiTokens: Send + Sync + 'static {
    /// Adds an API token that its user asked for in `session`. Refuses it if that session has ended, if the user is disabled
    /// or deleted, or if the user has `at_most` unexpired API tokens. No existing token is removed to make room: a service
    /// would lose its access.
    ///
    /// # Errors
    /// [`StoreError`]; the token may or may not exist then.
    async fn create_api_token(
        &self,
        token: ApiToken,
        session: SessionId,
        at_most: usize,
    ) -> Result<ApiTokenCreation, StoreError>;

    /// Returns the user that the API token with this `hash` speaks for; `None` unless the token is accepted at `now`. Counts as
    /// a use of the token, unless its user is disabled. The server calls this at every request, so a backend answers from
    /// memory.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn api_token_accepted(
        &self,
        hash: ApiTokenHash,
        now: Timestamp,
    ) -> Result<Option<AcceptedApiToken>, StoreError>;

    /// Returns the API tokens of `user` that are accepted at `now`, oldest first, each with the moment of its last use.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn api_tokens(&self, user: UserId, now: Timestamp) -> Result<Vec<ApiToken>, StoreError>;

    /// Revokes an API token of `user`. Returns `false` if the user has no such token.
    ///
    /// # Errors
    /// [`StoreError`]; the token may or may not be revoked then.
    async fn remove_api_token(&self, user: UserId, id: ApiTokenId) -> Result<bool, StoreError>;

    /// Revokes every API token of `user`, and returns how many there were.
    ///
    /// # Errors
    /// [`StoreError`]; either all of them are revoked then, or none.
    async fn remove_api_tokens(&self, user: UserId) -> Result<usize, StoreError>;

    /// Revokes every API token of every user, in one or several transactions, and returns how many there were: for a theft of
    /// which the extent is unknown. No token can be made meanwhile whose session has ended before.
    ///
    /// # Errors
    /// [`StoreError`]; some of the tokens may or may not be revoked then. Another call goes on with the rest.
    async fn remove_every_api_token(&self) -> Result<usize, StoreError>;

    /// Writes the moment of last use of up to `at_most` API tokens and returns how many it wrote. Until then a backend may keep
    /// the moment in memory alone. It need not write one that moved by less than an hour, so a request costs no write.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn keep_api_token_uses(&self, at_most: usize) -> Result<usize, StoreError>;
}

/// The outcome of [`create_api_token`](ApiTokens::create_api_token).
#[must_use]
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiTokenCreation {
    /// The token is accepted from now on.
    Created,
    /// The session has ended, or its user is disabled or deleted; nothing was changed.
    SessionOver,
    /// The user has as many API tokens as are allowed; nothing was changed.
    TooMany,
}

/// The user that an accepted API token speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedApiToken {
    /// The user's present state.
    pub user: SharedUser,
    /// The token. Its last use is the one known when the token was loaded.
    pub token: Arc<ApiToken>,
}

//! Another signing key in a running server.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Auth, KeyRotation, Rotated, RotationError, StartError, accounts::UsesKeys, handle::Inner};
use crate::{domain::RequestContext, event::Actor, tokens::RefreshTokens};

#[async_trait]
impl UsesKeys for Inner {
    async fn rotate_keys(
        self: Arc<Self>,
        rotation: KeyRotation,
        actor: Actor,
        context: &RequestContext,
    ) -> Result<Rotated, RotationError> {
        Auth(self).rotate_keys(rotation, actor, context).await
    }
}

impl Auth {
    /// Adds a signing key that takes over from the present one, and publishes it. The `actor` asks for it, by the request of
    /// `context`. Once begun, it goes on to its end even if the future is dropped. Must be called on a tokio runtime.
    ///
    /// After a [revocation](KeyRotation::Revoke) has returned, every session has ended, the key of refresh tokens is another one, and the
    /// server mints and accepts nothing that a revoked key has signed, tokens that it had verified before included.
    ///
    /// # Errors
    /// [`RotationError::Given`] if the key comes from the settings, or a failure of the store. After a failure the keys are as
    /// they were, or the new ones take over within a minute; sessions and API tokens that were to end may have ended, and the same
    /// rotation again ends the rest.
    pub async fn rotate_keys(
        &self,
        rotation: KeyRotation,
        actor: Actor,
        context: &RequestContext,
    ) -> Result<Rotated, RotationError> {
        let (auth, context) = (self.clone(), context.clone());
        let rotated = tokio::spawn(async move { auth.take_other_keys(rotation, actor, &context).await });
        rotated.await.map_err(|_| StartError::Interrupted)?
    }

    async fn take_other_keys(
        &self,
        rotation: KeyRotation,
        actor: Actor,
        context: &RequestContext,
    ) -> Result<Rotated, RotationError> {
        let _changing = self.0.key_changes.lock().await;
        // From here on nothing is minted: no token of the present key is exchanged for one of the new key, and no session
        // begins that a revocation would miss.
        let _no_minting = self.0.accounts.minting.write().await;
        let rotated = self.0.keys.rotate_in_use(rotation, actor, context).await;
        let rotated = rotated.map(|(rotated, keys)| {
            self.0.tokens.use_keys(&keys);
            rotated
        });
        if rotation.revokes() {
            // Also after a failure: by then the store may have forgotten the key.
            let fresh = RefreshTokens::fresh_key();
            let kept = self.store().refresh_key(fresh.clone()).await;
            self.0.refresh_tokens.use_key(kept.as_ref().unwrap_or(&fresh));
            let (rotated, _) = (rotated?, kept.map_err(StartError::from)?);
            return Ok(rotated);
        }
        rotated
    }
}

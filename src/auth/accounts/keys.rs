//! The signing keys: lists them, and replaces the one that signs, whether or not a server of this process uses them.

use super::Accounts;
use crate::{
    auth::{AuthError, KeyRotation, KeySource, Rotated, RotationError},
    clock::Timestamp,
    domain::{KeyRing, RequestContext},
    event::Actor,
};

impl Accounts {
    /// Returns the signing keys, and the moment with which their times are compared.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn keys(&self) -> Result<(KeyRing<KeySource>, Timestamp), AuthError> {
        self.keys.stored.list().await.map_err(AuthError::from)
    }

    /// Adds a signing key that takes over from the present one. The `actor` asks for it, by the request of `context`. If a server
    /// of this process uses the keys, it is [`Auth::rotate_keys`](crate::Auth::rotate_keys). Else the next start of a server
    /// publishes the new key.
    ///
    /// # Errors
    /// [`RotationError::NoKey`] before the first start, [`Given`](RotationError::Given) if the key comes from the settings
    /// (unless another has been put there, and the old one is to be revoked), or a failure of the store. After a failure of the
    /// store the same rotation can be asked for again.
    pub async fn rotate_keys(
        &self,
        rotation: KeyRotation,
        actor: Actor,
        context: &RequestContext,
    ) -> Result<Rotated, RotationError> {
        match self.keys.server() {
            Some(server) => server.rotate_keys(rotation, actor, context).await,
            None => self.keys.stored.rotate(rotation, actor, context).await,
        }
    }
}

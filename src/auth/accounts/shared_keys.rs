//! The keys that the accounts of a server share with it: in the store, and in use by the server as long as one runs in this process.

use std::sync::{Arc, OnceLock, Weak};

use async_trait::async_trait;

use crate::{
    auth::{KeyRotation, Parts, Rotated, RotationError, signing_keys::SigningKeys},
    config::Config,
    domain::RequestContext,
    event::Actor,
};

/// A server that signs with the keys.
#[async_trait]
pub(in crate::auth) trait UsesKeys: Send + Sync {
    /// Rotates, and goes on with the new keys.
    async fn rotate_keys(
        self: Arc<Self>,
        rotation: KeyRotation,
        actor: Actor,
        context: &RequestContext,
    ) -> Result<Rotated, RotationError>;
}

/// The keys in the store, and the server of this process that uses them.
pub(in crate::auth) struct SharedKeys {
    pub(super) stored: SigningKeys,
    server: OnceLock<Weak<dyn UsesKeys>>,
}

impl SharedKeys {
    pub(super) fn new(config: &Config, parts: Parts) -> Self {
        Self {
            stored: SigningKeys::new(config, parts),
            server: OnceLock::new(),
        }
    }

    /// From now on `server` is told of each rotation, as long as it is there.
    pub(in crate::auth) fn are_used_by(&self, server: Weak<dyn UsesKeys>) {
        // These accounts are of one server, which calls this once.
        let _ = self.server.set(server);
    }

    /// That server, if it has not been dropped.
    pub(super) fn server(&self) -> Option<Arc<dyn UsesKeys>> {
        self.server.get().and_then(Weak::upgrade)
    }
}

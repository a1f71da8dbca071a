//! The keys in a store, and what each change of them needs: a new key, the write, the events.

use std::time::Duration;

use super::held::{self, Held, NewKey};
use crate::{
    auth::{Parts, StartError},
    clock::Timestamp,
    config::{Config, Origin, TokenConfig},
    domain::{KeyRing, RequestContext},
    event::{Actor, EventKind},
    store::{KeyMaterial, KeyRingUpdate},
    tokens::TokenKey,
};

/// The keys in a store, with the settings that apply to them.
pub(in crate::auth) struct SigningKeys {
    pub(super) parts: Parts,
    pub(super) settings: TokenConfig,
}

/// Who changes the keys, and by which request.
#[derive(Clone, Copy)]
pub(super) struct By<'a> {
    pub(super) actor: Actor,
    pub(super) context: &'a RequestContext,
}

/// Where a key comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// This server made it, and keeps it in its database.
    Made,
    /// The settings give it at every start.
    Given,
}

impl SigningKeys {
    /// The keys in any store.
    pub(in crate::auth) fn new(config: &Config, parts: Parts) -> Self {
        Self {
            parts,
            settings: config.token.clone(),
        }
    }

    /// The keys in the store, and the present moment.
    ///
    /// # Errors
    /// [`StartError::Store`].
    pub(in crate::auth) async fn list(&self) -> Result<(KeyRing<KeySource>, Timestamp), StartError> {
        let stored = self.parts.store.key_ring().await?;
        Ok((stored.keys.map(|key| source(&key.material)), self.parts.now()))
    }

    pub(super) async fn make(&self) -> Result<NewKey, StartError> {
        let settings = self.settings.clone();
        let made = tokio::task::spawn_blocking(move || held::make(&settings)).await;
        Ok(made.map_err(|_| StartError::Interrupted)??)
    }

    /// Makes `keys` durable, and then tells the listeners of the `event`. Returns `None` if the ring was changed meanwhile.
    pub(super) async fn keep(
        &self,
        keys: KeyRing<KeyMaterial>,
        instead_of: u64,
        event: Option<EventKind>,
        by: By<'_>,
    ) -> Result<Option<u64>, StartError> {
        match self.parts.store.keep_key_ring(keys, instead_of).await? {
            KeyRingUpdate::Kept(revision) => {
                if let Some(kind) = event {
                    self.parts.emit(kind, None, by.actor, by.context);
                }
                Ok(Some(revision))
            }
            KeyRingUpdate::ChangedMeanwhile => Ok(None),
        }
    }

    /// Ends every session, tells the listeners if there was one, and returns how many ended.
    pub(super) async fn end_every_session(&self, by: By<'_>) -> Result<usize, StartError> {
        let count = self.parts.store.close_every_session().await?;
        if count > 0 {
            let kind = EventKind::SessionsEnded { count };
            self.parts.emit(kind, None, by.actor, by.context);
        }
        Ok(count)
    }

    /// Revokes every API token, tells the listeners if there was one, and returns how many there were.
    pub(super) async fn revoke_every_api_token(&self, by: By<'_>) -> Result<usize, StartError> {
        let count = self.parts.store.remove_every_api_token().await?;
        if count > 0 {
            let kind = EventKind::ApiTokensRevoked { count };
            self.parts.emit(kind, None, by.actor, by.context);
        }
        Ok(count)
    }

    /// How long a new key waits before it signs. One that is never published does not wait.
    pub(super) fn ahead(&self) -> Duration {
        if self.settings.algorithm.has_public_keys() {
            self.settings.publish_ahead
        } else {
            Duration::ZERO
        }
    }

    /// Which setting gives the key that signs.
    pub(super) fn given_by(&self) -> Option<&Origin> {
        if self.settings.algorithm.has_public_keys() {
            self.settings.key_file.as_ref().map(|file| &file.origin)
        } else {
            self.settings.secret.as_ref().map(|secret| &secret.origin)
        }
    }
}

pub(super) fn source(material: &KeyMaterial) -> KeySource {
    match material.private {
        Some(_) => KeySource::Made,
        None => KeySource::Given,
    }
}

/// The keys that can be used. Tokens of a secret that the settings no longer have can't be verified.
pub(super) fn usable(keys: &KeyRing<Held>) -> KeyRing<TokenKey> {
    keys.clone().filter_map(|held| held.usable)
}

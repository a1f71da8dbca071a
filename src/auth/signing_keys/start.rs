//! The keys that a server starts with.

use super::{
    held::Held,
    keys::{By, KeySource, SigningKeys, source, usable},
    settle::Settled,
};
use crate::{
    auth::StartError,
    clock::Timestamp,
    config::Origin,
    domain::{Algorithm, KeyRing, RequestContext, RingKey},
    event::Actor,
    tokens::TokenKey,
};

/// What a start found.
#[derive(Clone, Debug)]
pub struct KeyStatus {
    /// The `kid` of the key that signs.
    pub id: String,
    /// Its algorithm.
    pub algorithm: Algorithm,
    /// Which setting gave it. `None` if this server made it and keeps it in its database.
    pub given_by: Option<Origin>,
    /// How many sessions ended because the key is another one than at the last start and no older token is accepted. `None` if the
    /// key is the same, the first, or came by rotation.
    pub replaced: Option<usize>,
    /// The key that waits to sign. `None` if none waits.
    pub next: Option<RingKey<KeySource>>,
}

impl SigningKeys {
    /// The keys to start with, and their status.
    pub(in crate::auth) async fn start(&self) -> Result<(KeyRing<TokenKey>, KeyStatus), StartError> {
        let by = By {
            actor: Actor::Server,
            context: &RequestContext::default(),
        };
        loop {
            let stored = self.parts.store.key_ring().await?;
            let now = self.parts.now();
            let mut settled = self.settle(&stored.keys, now, by).await?;
            settled.changed |= settled.keys.publish();
            let kept = settled.keys.map(|key| key.material.kept.clone());
            let event = settled.event();
            if !settled.changed || self.keep(kept, stored.revision, event, by).await?.is_some() {
                let status = self.status(&settled, now).ok_or(StartError::DamagedKey)?;
                return Ok((usable(&settled.keys), status));
            }
        }
    }

    fn status(&self, settled: &Settled, now: Timestamp) -> Option<KeyStatus> {
        let signing = settled.keys.signing(now)?;
        let given = |key: &RingKey<Held>| source(&key.material.kept) == KeySource::Given;
        let secret = self.settings.secret.as_ref().map(|secret| &secret.origin);
        let file = self.settings.key_file.as_ref().map(|file| &file.origin);
        let by = if signing.algorithm.has_public_keys() {
            file
        } else {
            secret
        };
        let sources = settled.keys.map(|key| source(&key.material.kept));
        Some(KeyStatus {
            id: signing.id.clone(),
            algorithm: signing.algorithm,
            given_by: by.filter(|_| given(signing)).cloned(),
            replaced: settled.ended,
            next: sources.next(now).cloned(),
        })
    }
}

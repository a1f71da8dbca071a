//! Which keys sign and verify tokens: those that the database keeps, brought in line with the settings. The rules are
//! [`KeyRing`]'s; here they meet the store. No key is used before the store has it.

mod held;
mod rotation;
mod settle;

use std::{sync::Arc, time::Duration};

pub use self::rotation::{KeyRotation, Rotated};
use self::{
    held::{Held, NewKey},
    settle::Settled,
};
use super::error::StartError;
use crate::{
    clock::{Clock, Timestamp},
    config::{Config, Origin, TokenConfig},
    domain::{Algorithm, KeyRing, RingKey},
    store::{KeyMaterial, KeyRingUpdate, Store, StoredRing},
    tokens::TokenKey,
};

/// How long before it signs a running server has a new key, at the least. Until the key is on the disk the old one signs, and
/// what it signs must not be later than its last moment.
const HAND_OVER: Duration = Duration::from_mins(1);

/// The keys in a database, and what the settings say of them.
pub struct SigningKeys {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    settings: TokenConfig,
}

/// What a start found.
#[derive(Clone, Debug)]
pub struct KeyStatus {
    /// The `kid` of the key that signs.
    pub id: String,
    /// Its algorithm.
    pub algorithm: Algorithm,
    /// What in the settings it came from; `None` if it was made by this server and lies in its database.
    pub given_by: Option<Origin>,
    /// Whether it is another key than at the last start in such a way that every token from before is dead: how many sessions
    /// that ended. `None` if it is the same, the first, or came by rotation.
    pub replaced: Option<usize>,
    /// The key that will sign next, if one waits.
    pub next: Option<RingKey<KeySource>>,
}

/// Where a key comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// It was made by this server and lies in its database.
    Made,
    /// It is given by the settings at every start.
    Given,
}

impl SigningKeys {
    /// The keys in the database that `config` names.
    ///
    /// # Errors
    /// [`StartError::Database`] if the directory can't be opened.
    pub async fn open(config: &Config) -> Result<Self, StartError> {
        let (store, clock) = super::open_store(config).await?;
        Ok(Self::new(config, store, clock))
    }

    /// The keys in any store.
    #[must_use]
    pub fn new(config: &Config, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            clock,
            settings: config.token.clone(),
        }
    }

    /// The keys as they are kept, and the present moment.
    ///
    /// # Errors
    /// [`StartError::Store`].
    pub async fn list(&self) -> Result<(KeyRing<KeySource>, Timestamp), StartError> {
        let stored = self.store.key_ring().await?;
        Ok((stored.keys.map(|key| source(&key.material)), self.clock.now()))
    }

    /// The present moment, by which their times are counted.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The keys to start with, and what is to be said of them.
    pub(super) async fn start(&self) -> Result<(KeyRing<TokenKey>, KeyStatus), StartError> {
        loop {
            let stored = self.store.key_ring().await?;
            let now = self.clock.now();
            let mut settled = self.settle(&stored.keys, now).await?;
            settled.changed |= settled.keys.publish();
            let kept = settled.keys.map(|key| key.material.kept.clone());
            if !settled.changed || self.keep(kept, stored.revision).await?.is_some() {
                let status = self.status(&settled, now).ok_or(StartError::DamagedKey)?;
                return Ok((usable(&settled.keys), status));
            }
        }
    }

    /// What is due at the moment: a new key if it is time for one, and those away whose last token has expired. The keys to
    /// go on with, if they are others than `known`.
    pub(super) async fn tend(
        &self,
        known: &KeyRing<TokenKey>,
    ) -> Result<Option<KeyRing<TokenKey>>, StartError> {
        let StoredRing { revision, mut keys } = self.store.key_ring().await?;
        let now = self.clock.now();
        let over = keys.drop_over(now);
        let ahead = self.ahead().max(HAND_OVER);
        let every = self.settings.rotate_every.filter(|_| self.given_by().is_none());
        let due = every.and_then(|every| keys.rotation_due(every, ahead, now));
        if let Some(signs_from) = due {
            let (id, algorithm, held) = self.make().await?;
            keys.add(
                (id, algorithm, held.kept),
                signs_from,
                self.settings.policy.lifetime,
                now,
            );
            keys.publish();
        }
        if over > 0 || due.is_some() {
            if self.keep(keys.clone(), revision).await?.is_none() {
                // Whoever was first has done it, and the next look finds that.
                return Ok(None);
            }
            let newest = keys.newest().map(|key| tracing::field::display(&key.id));
            tracing::info!(
                made = due.is_some(),
                dropped = over,
                newest,
                "the signing keys have changed"
            );
        }
        let same = keys.map(|_| ()) == known.map(|_| ());
        if same {
            return Ok(None);
        }
        Ok(Some(usable(&held::all(&keys, &self.settings)?)))
    }

    async fn make(&self) -> Result<NewKey, StartError> {
        let settings = self.settings.clone();
        let made = tokio::task::spawn_blocking(move || held::make(&settings)).await;
        Ok(made.map_err(|_| StartError::Interrupted)??)
    }

    /// Makes `keys` durable. `None` if somebody was faster.
    async fn keep(&self, keys: KeyRing<KeyMaterial>, instead_of: u64) -> Result<Option<u64>, StartError> {
        Ok(match self.store.keep_key_ring(keys, instead_of).await? {
            KeyRingUpdate::Kept(revision) => Some(revision),
            KeyRingUpdate::ChangedMeanwhile => None,
        })
    }

    /// How long a key waits before it signs. One that is never published has nothing to wait for.
    fn ahead(&self) -> Duration {
        if self.settings.algorithm.has_public_keys() {
            self.settings.publish_ahead
        } else {
            Duration::ZERO
        }
    }

    /// What in the settings gives the key that signs.
    fn given_by(&self) -> Option<&Origin> {
        if self.settings.algorithm.has_public_keys() {
            self.settings.key_file.as_ref().map(|file| &file.origin)
        } else {
            self.settings.secret.as_ref().map(|secret| &secret.origin)
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

fn source(material: &KeyMaterial) -> KeySource {
    match material.private {
        Some(_) => KeySource::Made,
        None => KeySource::Given,
    }
}

/// The keys that can be used. What an older secret signed is lost with it.
fn usable(keys: &KeyRing<Held>) -> KeyRing<TokenKey> {
    keys.clone().filter_map(|held| held.usable)
}

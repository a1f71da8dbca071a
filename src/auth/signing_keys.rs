//! Which keys sign and verify tokens: those that the database keeps, brought in line with the settings. The rules are
//! [`KeyRing`]'s; here they meet the store. No key is used before the store has it.
//!
//! | when the server starts and | then |
//! |---|---|
//! | there is no key | one is made, or taken from the settings, and signs at once |
//! | the settings ask for the key that signs | it goes on |
//! | they ask for another algorithm, or another key pair | that is a rotation: the new key signs after `token.publish_ahead`, or at once if the old one can't sign any more or the new one is never published |
//! | an HS256 secret of theirs has come, gone or changed, with HS256 before and after, or the one that signs is gone | every older token is dead, so every session ends |

mod held;

use std::{sync::Arc, time::Duration};

use self::held::{Held, NewKey};
use super::{
    error::{OpenError, RotationError},
    tokens::TokenKey,
};
use crate::{
    clock::{Clock, Timestamp},
    config::{Config, Origin, TokenConfig},
    domain::{Algorithm, KeyRing, RingKey},
    store::{KeyMaterial, KeyRingUpdate, Store, StoredRing},
};

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

/// When another key takes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// When it has been published for `token.publish_ahead`.
    Ahead,
    /// At once. What the old key signed is good to its end.
    Now,
    /// At once, and all that was signed by any other key is dead: every session ends.
    Revoke,
}

/// What a rotation did.
#[derive(Clone, Debug)]
pub struct Rotated {
    /// The keys as they are now.
    pub keys: KeyRing<KeySource>,
    /// Whether nothing was done, because a new key was waiting already.
    pub waiting: bool,
    /// How many sessions ended, if that was asked for.
    pub ended: Option<usize>,
}

/// The keys, brought in line with the settings.
struct Settled {
    keys: KeyRing<Held>,
    changed: bool,
    added: bool,
    ended: Option<usize>,
}

impl SigningKeys {
    /// The keys in the database that `config` names.
    ///
    /// # Errors
    /// [`OpenError::Database`] if the directory can't be opened.
    pub async fn open(config: &Config) -> Result<Self, OpenError> {
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
    /// [`OpenError::Store`].
    pub async fn list(&self) -> Result<(KeyRing<KeySource>, Timestamp), OpenError> {
        let stored = self.store.key_ring().await?;
        Ok((stored.keys.map(|key| source(&key.material)), self.clock.now()))
    }

    /// The present moment, by which their times are counted.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Adds a key that takes over from the one that signs.
    ///
    /// # Errors
    /// [`RotationError::NoKey`] before the first start, [`Given`](RotationError::Given) if the key comes from the settings,
    /// or a failure of the store.
    pub async fn rotate(&self, rotation: Rotation) -> Result<Rotated, RotationError> {
        if let Some(origin) = self.given_by() {
            return Err(RotationError::Given(origin.clone()));
        }
        loop {
            let stored = self.store.key_ring().await.map_err(OpenError::from)?;
            if stored.keys.newest().is_none() {
                return Err(RotationError::NoKey);
            }
            let now = self.clock.now();
            let mut settled = self.settle(&stored.keys, now).await?;
            let waiting = settled.keys.next(now).is_some();
            let add = match rotation {
                // Another algorithm in the settings is this rotation.
                Rotation::Ahead | Rotation::Now => !settled.added && !waiting,
                Rotation::Revoke => true,
            };
            if add {
                let from = match rotation {
                    Rotation::Ahead => now.plus(self.ahead()),
                    Rotation::Now | Rotation::Revoke => now,
                };
                let new = self.make().await?;
                settled.keys.add(new, from, self.settings.policy.lifetime, now);
            }
            match rotation {
                Rotation::Ahead => {}
                Rotation::Now => _ = settled.keys.promote_next(now),
                Rotation::Revoke => {
                    settled.keys.drop_older();
                    // Before the keys: if this is cut short, nobody holds a token of a session that no key vouches for.
                    let ended = self.store.close_every_session().await.map_err(OpenError::from)?;
                    settled.ended = Some(settled.ended.unwrap_or(0) + ended);
                }
            }
            let kept = settled.keys.map(|key| key.material.kept.clone());
            if self.keep(kept, stored.revision).await?.is_some() {
                return Ok(Rotated {
                    keys: settled.keys.map(|key| source(&key.material.kept)),
                    waiting: rotation == Rotation::Ahead && waiting && !settled.added,
                    ended: settled.ended,
                });
            }
        }
    }

    /// The keys to start with, and what is to be said of them.
    pub(super) async fn start(&self) -> Result<(KeyRing<TokenKey>, KeyStatus), OpenError> {
        loop {
            let stored = self.store.key_ring().await?;
            let now = self.clock.now();
            let mut settled = self.settle(&stored.keys, now).await?;
            settled.changed |= settled.keys.publish();
            let kept = settled.keys.map(|key| key.material.kept.clone());
            if !settled.changed || self.keep(kept, stored.revision).await?.is_some() {
                let status = self.status(&settled, now).ok_or(OpenError::DamagedKey)?;
                return Ok((usable(&settled.keys), status));
            }
        }
    }

    /// What is due at the moment: a new key if it is time for one, and those away whose last token has expired. The keys to
    /// go on with, if they are others than those of the revision `known`.
    pub(super) async fn tend(
        &self,
        known: &KeyRing<TokenKey>,
    ) -> Result<Option<KeyRing<TokenKey>>, OpenError> {
        let StoredRing { revision, mut keys } = self.store.key_ring().await?;
        let now = self.clock.now();
        let over = keys.drop_over(now);
        let due = self
            .settings
            .rotate_every
            .and_then(|every| keys.rotation_due(every, self.ahead(), now));
        if let Some(signs_from) = due {
            let (id, algorithm, held) = self.make().await?;
            tracing::info!(kid = id, %algorithm, %signs_from, "a new signing key was made");
            keys.add(
                (id, algorithm, held.kept),
                signs_from,
                self.settings.policy.lifetime,
                now,
            );
            keys.publish();
        }
        if over > 0 {
            tracing::info!(
                keys = over,
                "signing keys whose last token has expired were dropped"
            );
        }
        if (over > 0 || due.is_some()) && self.keep(keys.clone(), revision).await?.is_none() {
            // Whoever was first has done it, and the next look finds that.
            return Ok(None);
        }
        let same = keys.map(|_| ()) == known.map(|_| ());
        if same {
            return Ok(None);
        }
        Ok(Some(usable(&held::all(&keys, &self.settings)?)))
    }

    /// The stored keys, in line with the settings. Sessions that can't go on have ended; nothing else is written.
    async fn settle(&self, stored: &KeyRing<KeyMaterial>, now: Timestamp) -> Result<Settled, OpenError> {
        let settings = &self.settings;
        let mut keys = held::all(stored, settings)?;
        // First of all: the key before it is not over either, then.
        let mut settled_before = !keys.hold_back_unseen(self.ahead(), now);
        settled_before &= keys.drop_over(now) == 0;
        settled_before &= !keys.tokens_last(settings.policy.lifetime, now);
        let (is_first, mut ended, mut added) = (keys.newest().is_none(), None, false);

        if keys.signing(now).is_some_and(|signing| self.is_dead(signing)) {
            ended = Some(self.store.close_every_session().await?);
            if keys
                .newest()
                .is_some_and(|newest| held::is_wanted(newest, settings))
            {
                keys.drop_older();
            } else {
                keys.clear();
            }
        }
        if keys
            .newest()
            .is_none_or(|newest| !held::is_wanted(newest, settings))
        {
            if keys
                .signing(now)
                .is_some_and(|signing| held::is_wanted(signing, settings))
            {
                // The settings have been changed back before the new key signed.
                keys.withdraw_next(now);
            } else {
                let can_wait = keys.signing(now).is_some_and(|key| key.material.can_sign());
                let signs_from = if can_wait { now.plus(self.ahead()) } else { now };
                keys.add(self.make().await?, signs_from, settings.policy.lifetime, now);
                added = !is_first;
            }
            settled_before = false;
        }
        if keys.signing(now).is_some_and(|key| !key.material.can_sign()) {
            settled_before &= !keys.promote_next(now);
        }
        Ok(Settled {
            keys,
            changed: !settled_before || ended.is_some(),
            added,
            ended,
        })
    }

    /// Whether a key that signs, and what it signed, must be good no more.
    fn is_dead(&self, signing: &RingKey<Held>) -> bool {
        let lost = signing.material.usable.is_none();
        let both_hs256 = [signing.algorithm, self.settings.algorithm] == [Algorithm::Hs256; 2];
        lost || (both_hs256 && !held::is_wanted(signing, &self.settings))
    }

    async fn make(&self) -> Result<NewKey, OpenError> {
        let settings = self.settings.clone();
        let made = tokio::task::spawn_blocking(move || held::make(&settings)).await;
        Ok(made.map_err(|_| OpenError::Interrupted)??)
    }

    /// Makes `keys` durable. `None` if somebody was faster.
    async fn keep(&self, keys: KeyRing<KeyMaterial>, instead_of: u64) -> Result<Option<u64>, OpenError> {
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

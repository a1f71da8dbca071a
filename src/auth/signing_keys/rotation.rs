//! A rotation that is asked for: in a running server, or in the store while none runs.

use super::keys::{By, KeySource, SigningKeys, source, usable};
use crate::{
    auth::error::{RotationError, StartError},
    domain::{KeyRing, RequestContext},
    event::{Actor, EventKind},
    tokens::TokenKey,
};

/// When another key takes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRotation {
    /// When it has been published for `token.publish_ahead`.
    Ahead,
    /// At once. What the old key signed stays valid to its end.
    Now,
    /// At once, and no token of another key is accepted: every session ends.
    Revoke {
        /// Whether every API token of every user ends as well. No key signs those, but a thief of a session may have made some.
        api_tokens: bool,
    },
}

impl KeyRotation {
    /// Whether what the other keys signed is accepted no more.
    pub(in crate::auth) fn revokes(self) -> bool {
        matches!(self, Self::Revoke { .. })
    }
}

/// What a rotation did.
#[derive(Clone, Debug)]
pub struct Rotated {
    /// The keys as they are now.
    pub keys: KeyRing<KeySource>,
    /// Whether nothing was done, because a new key was waiting already.
    pub waiting: bool,
    /// How many sessions ended. `None` unless they were to end.
    pub ended: Option<usize>,
    /// How many API tokens ended. `None` unless they were to end.
    pub ended_api_tokens: Option<usize>,
}

impl SigningKeys {
    /// Adds a key that takes over from the one that signs, while no server runs: its next start publishes the key. The `actor`
    /// asks for it, by the request of `context`.
    ///
    /// # Errors
    /// [`RotationError::NoKey`] before the first start, [`Given`](RotationError::Given) if the key comes from the settings
    /// (unless another has been put there, and the old one is to be revoked), or a failure of the store.
    pub(in crate::auth) async fn rotate(
        &self,
        rotation: KeyRotation,
        actor: Actor,
        context: &RequestContext,
    ) -> Result<Rotated, RotationError> {
        let by = By { actor, context };
        let (rotated, _) = self.rotate_keys(rotation, false, by).await?;
        Ok(rotated)
    }

    /// As [`rotate`](Self::rotate), for a server that publishes the new key at once. Returns the keys to go on with as well.
    pub(in crate::auth) async fn rotate_in_use(
        &self,
        rotation: KeyRotation,
        actor: Actor,
        context: &RequestContext,
    ) -> Result<(Rotated, KeyRing<TokenKey>), RotationError> {
        self.rotate_keys(rotation, true, By { actor, context }).await
    }

    async fn rotate_keys(
        &self,
        rotation: KeyRotation,
        publishes: bool,
        by: By<'_>,
    ) -> Result<(Rotated, KeyRing<TokenKey>), RotationError> {
        let given = self.given_by();
        let mut ended_api_tokens = None;
        loop {
            let stored = self.parts.store.key_ring().await.map_err(StartError::from)?;
            let now = self.parts.now();
            let signing = stored.keys.signing(now).ok_or(RotationError::NoKey)?;
            // The server's settings may give a key that this command's do not. Then the command must not end its tokens.
            let from_settings = given.is_some() || source(&signing.material) == KeySource::Given;
            if from_settings && !rotation.revokes() {
                return Err(RotationError::Given(given.cloned()));
            }
            let mut settled = self.settle(&stored.keys, now, by).await?;
            // A key that waits has not signed. So it is not the one to revoke, and takes over at once.
            let waiting = settled.keys.next(now).is_some();
            if given.is_some() && !settled.added && !waiting {
                return Err(RotationError::Given(given.cloned()));
            }
            let add = match rotation {
                // If the settings have another algorithm, the settled ring has this rotation already.
                KeyRotation::Ahead | KeyRotation::Now => !settled.added && !waiting,
                KeyRotation::Revoke { .. } => true,
            };
            if add {
                let from = match rotation {
                    KeyRotation::Ahead => now.plus(self.ahead()),
                    KeyRotation::Now | KeyRotation::Revoke { .. } => now,
                };
                let new = self.make().await?;
                settled.keys.add(new, from, self.settings.policy.lifetime, now);
            }
            let promoted = rotation == KeyRotation::Now && settled.keys.promote_next(now);
            if let KeyRotation::Revoke { api_tokens } = rotation {
                settled.keys.drop_older();
                // Before the keys: after a crash in between, no session is left whose tokens no key verifies.
                let ended = self.end_every_session(by).await?;
                settled.ended = Some(settled.ended.unwrap_or(0) + ended);
                if api_tokens {
                    // After the sessions, because only a session makes one.
                    let revoked = self.revoke_every_api_token(by).await?;
                    ended_api_tokens = Some(ended_api_tokens.unwrap_or(0) + revoked);
                }
            }
            if publishes {
                settled.keys.publish();
            }
            let newest = settled.keys.newest().filter(|_| add || promoted || settled.added);
            let event = newest.map(|key| {
                let kid = key.id.clone();
                match rotation {
                    KeyRotation::Ahead | KeyRotation::Now => EventKind::SigningKeyRotated { kid },
                    KeyRotation::Revoke { .. } => EventKind::SigningKeyRevoked { kid },
                }
            });
            let kept = settled.keys.map(|key| key.material.kept.clone());
            if self.keep(kept, stored.revision, event, by).await?.is_some() {
                let rotated = Rotated {
                    keys: settled.keys.map(|key| source(&key.material.kept)),
                    waiting: rotation == KeyRotation::Ahead && waiting && !settled.added,
                    ended: settled.ended,
                    ended_api_tokens,
                };
                return Ok((rotated, usable(&settled.keys)));
            }
        }
    }
}

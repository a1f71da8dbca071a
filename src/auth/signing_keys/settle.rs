//! How a start brings the stored keys in line with the settings.
//!
//! | when the server starts and | then |
//! |---|---|
//! | there is no key | one is made, or taken from the settings, and signs at once |
//! | the settings ask for the key that signs | it goes on signing |
//! | they ask for another algorithm, or another key pair | that is a rotation: the new key signs after `token.publish_ahead`, or at once if the old one can no longer sign or the new one is never published |
//! | an HS256 secret in them was added, removed or changed, with HS256 before and after, or the secret that signs is gone | no older token is accepted, so every session ends |

use super::{
    held::{self, Held},
    keys::{By, SigningKeys},
};
use crate::{
    auth::error::StartError,
    clock::Timestamp,
    domain::{Algorithm, KeyRing, RingKey},
    event::EventKind,
    store::KeyMaterial,
};

/// The keys, brought in line with the settings.
pub(super) struct Settled {
    pub(super) keys: KeyRing<Held>,
    /// Whether they differ from the stored keys.
    pub(super) changed: bool,
    /// Whether it is the first key of this database.
    pub(super) is_first: bool,
    /// Whether a key was added by rotation.
    pub(super) added: bool,
    /// How many sessions ended. `None` if older tokens are still accepted.
    pub(super) ended: Option<usize>,
}

impl Settled {
    /// The event to emit. Returns `None` if there is no new key.
    pub(super) fn event(&self) -> Option<EventKind> {
        let kid = self.keys.newest()?.id.clone();
        if self.is_first {
            Some(EventKind::SigningKeyCreated { kid })
        } else if self.ended.is_some() {
            Some(EventKind::SigningKeyReplaced { kid })
        } else {
            self.added.then_some(EventKind::SigningKeyRotated { kid })
        }
    }
}

impl SigningKeys {
    /// Brings the stored keys in line with the settings. Sessions that can't go on have ended; nothing else is written.
    pub(super) async fn settle(
        &self,
        stored: &KeyRing<KeyMaterial>,
        now: Timestamp,
        by: By<'_>,
    ) -> Result<Settled, StartError> {
        let settings = &self.settings;
        let mut keys = held::all(stored, settings)?;
        // First: if the newest key is held back, the key before it stays valid as well.
        let mut settled_before = !keys.hold_back_unseen(self.ahead(), now);
        settled_before &= keys.drop_over(self.parts.settled()) == 0;
        settled_before &= !keys.tokens_last(settings.policy.lifetime, now);
        let (is_first, mut ended, mut added) = (keys.newest().is_none(), None, false);

        if keys.signing(now).is_some_and(|signing| self.is_dead(signing)) {
            ended = Some(self.end_every_session(by).await?);
            if keys
                .newest()
                .is_some_and(|newest| held::is_wanted(newest, settings))
            {
                keys.drop_older();
                keys.promote_next(now);
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
                // The settings were changed back before the new key signed.
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
            is_first,
            added,
            ended,
        })
    }

    /// Whether the key that signs must be revoked, with what it signed.
    fn is_dead(&self, signing: &RingKey<Held>) -> bool {
        let lost = signing.material.usable.is_none();
        let both_hs256 = [signing.algorithm, self.settings.algorithm] == [Algorithm::Hs256; 2];
        lost || (both_hs256 && !held::is_wanted(signing, &self.settings))
    }
}

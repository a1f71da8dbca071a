//! What a running server does with its keys from time to time.

use std::time::Duration;

use super::{
    held,
    keys::{By, SigningKeys, usable},
};
use crate::{
    auth::StartError,
    domain::{KeyRing, RequestContext},
    event::{Actor, EventKind},
    store::StoredRing,
    tokens::TokenKey,
};

/// How long before it signs a running server has a new key, at the least. Until the key is on the disk the old one signs, and
/// what it signs must not be later than its last moment.
const HAND_OVER: Duration = Duration::from_mins(1);

impl SigningKeys {
    /// What is due at the moment: a new key if it is time for one, and those away whose last token has expired. The keys to
    /// go on with, if they are others than `known`.
    pub(in crate::auth) async fn tend(
        &self,
        known: &KeyRing<TokenKey>,
    ) -> Result<Option<KeyRing<TokenKey>>, StartError> {
        let StoredRing { revision, mut keys } = self.parts.store.key_ring().await?;
        let now = self.parts.now();
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
            let by = By {
                actor: Actor::Server,
                context: &RequestContext::default(),
            };
            let event = due
                .and(keys.newest())
                .map(|new| EventKind::SigningKeyRotated { kid: new.id.clone() });
            if self.keep(keys.clone(), revision, event, by).await?.is_none() {
                // Another process has done it, and the next look finds that.
                return Ok(None);
            }
            if over > 0 {
                tracing::info!(
                    dropped = over,
                    "signing keys whose last token has expired were dropped"
                );
            }
        }
        let same = keys.map(|_| ()) == known.map(|_| ());
        if same {
            return Ok(None);
        }
        Ok(Some(usable(&held::all(&keys, &self.settings)?)))
    }
}

//! The regular upkeep of the keys in a running server.

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

/// The least time between the addition of a key in a running server and its first signature. Until the store has the key, the
/// old one signs, and must not sign after its last moment.
const HAND_OVER: Duration = Duration::from_mins(1);

impl SigningKeys {
    /// Adds a new key if it is due, and drops the keys whose last token has expired. Returns the keys to go on with if they differ
    /// from `known`.
    pub(in crate::auth) async fn tend(
        &self,
        known: &KeyRing<TokenKey>,
    ) -> Result<Option<KeyRing<TokenKey>>, StartError> {
        let StoredRing { revision, mut keys } = self.parts.store.key_ring().await?;
        // Neither is lost nor made by a clock that is in doubt.
        let (now, settled) = (self.parts.now(), self.parts.settled());
        let over = keys.drop_over(settled);
        let ahead = self.ahead().max(HAND_OVER);
        let every = self.settings.rotate_every.filter(|_| self.given_by().is_none());
        let due = every.and_then(|every| keys.rotation_due(every, ahead, settled));
        let due = due.map(|due| due.max(now.plus(ahead)));
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
                // Another process changed the ring. The next call finds that.
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

//! The keys when the time goes back.

use super::{
    held,
    keys::{By, SigningKeys, usable},
};
use crate::{
    auth::StartError,
    clock::Timestamp,
    domain::{KeyRing, RequestContext},
    event::Actor,
    tokens::TokenKey,
};

impl SigningKeys {
    /// Ends every session, and moves the moments of the keys that a wrong clock showed back from `from` to `to`. Returns the keys
    /// to go on with, and how many sessions ended.
    pub(in crate::auth) async fn go_back(
        &self,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<(KeyRing<TokenKey>, usize), StartError> {
        let by = By {
            actor: Actor::Server,
            context: &RequestContext::default(),
        };
        let ended = self.end_every_session(by).await?;
        loop {
            let mut stored = self.parts.store.key_ring().await?;
            stored.keys.go_back(from, to);
            let kept = self.keep(stored.keys.clone(), stored.revision, None, by).await?;
            if kept.is_some() {
                return Ok((usable(&held::all(&stored.keys, &self.settings)?), ended));
            }
        }
    }
}

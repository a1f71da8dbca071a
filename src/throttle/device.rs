//! Clients that present a device token of the user. Their failures count against that token alone, and no failure of another
//! client counts against them. A hundred in a row make the token worth nothing, until a day without an attempt has passed.

use super::{
    attempt::{Attempt, Standing},
    counters::Counters,
    known::is_known,
    places::Kind,
};
use crate::{
    domain::{DeviceTokenHash, User},
    store::StoreError,
};

impl Counters {
    /// Permission to check a password that a client gives for `user` together with a device token. Returns `None` if that is no
    /// token of the user, if it was not used for too long, or if it has failed too often: then the client is as any other.
    ///
    /// # Errors
    /// A failure of the store.
    pub(super) async fn admit_device(
        &self,
        user: Option<&User>,
        token: Option<DeviceTokenHash>,
    ) -> Result<Option<Attempt<'_>>, StoreError> {
        let (Some(user), Some(token)) = (user, token) else {
            return Ok(None);
        };
        let seen = self.store.last_sign_in_with(user.id, token).await?;
        if !seen.is_some_and(|seen| is_known(seen, self.clock.now())) {
            return Ok(None);
        }
        let text: String = token.as_bytes().iter().map(|byte| char::from(*byte)).collect();
        let place = self.place(Kind::Device, &text, None);
        let attempt = Attempt {
            counters: self,
            standing: Standing::Device { place },
        };
        Ok(self.count_own(place).then_some(attempt))
    }
}

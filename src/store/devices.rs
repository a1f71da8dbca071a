//! What a store does for devices: it remembers the hashes of the device tokens with which a user signs in. It never sees a
//! token. A sign-in notes its own ([`open_session`](super::Sessions::open_session)), and so does a new password.

use async_trait::async_trait;

use super::error::StoreError;
use crate::{
    clock::Timestamp,
    domain::{DeviceTokenHash, UserId},
};

/// The devices of each user.
#[async_trait]
pub trait Devices: Send + Sync + 'static {
    /// Returns when `user` last signed in with the device token that has this hash. Returns `None` if the token is not theirs or
    /// has ended: by a new password, by the end of the sessions, or because the user has too many of them.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn last_sign_in_with(
        &self,
        user: UserId,
        token: DeviceTokenHash,
    ) -> Result<Option<Timestamp>, StoreError>;
}

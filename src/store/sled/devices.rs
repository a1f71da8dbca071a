//! The devices of a [`SledStore`].

use async_trait::async_trait;

use super::SledStore;
use crate::{
    clock::Timestamp,
    domain::{DeviceTokenHash, UserId},
    store::{devices::Devices, error::StoreError},
};

#[async_trait]
impl Devices for SledStore {
    async fn last_sign_in_with(
        &self,
        user: UserId,
        token: DeviceTokenHash,
    ) -> Result<Option<Timestamp>, StoreError> {
        self.committer.read(|trees| trees.last_sign_in_with(user, token))
    }
}

//! The keys of a [`SledStore`].

use async_trait::async_trait;
use secrecy::SecretSlice;

use super::{SledStore, trees::Trees};
use crate::{
    domain::KeyRing,
    store::{
        error::StoreError,
        keys::{KeyMaterial, KeyRingUpdate, Keys, StoredRing},
    },
};

#[async_trait]
impl Keys for SledStore {
    async fn refresh_key(&self, fresh: SecretSlice<u8>) -> Result<SecretSlice<u8>, StoreError> {
        if let Some(kept) = self.committer.read(Trees::refresh_key)? {
            return Ok(kept);
        }
        self.committer
            .commit_independent(|trees| trees.keep_refresh_key(fresh))
            .await
    }

    async fn key_ring(&self) -> Result<StoredRing, StoreError> {
        self.committer.read(Trees::key_ring)
    }

    async fn keep_key_ring(
        &self,
        keys: KeyRing<KeyMaterial>,
        instead_of: u64,
    ) -> Result<KeyRingUpdate, StoreError> {
        self.committer
            .commit_independent(move |trees| {
                // Writes are applied one after the other, so no other one comes in between.
                if trees.key_ring()?.revision != instead_of {
                    return Ok(KeyRingUpdate::ChangedMeanwhile);
                }
                let revision = instead_of + 1;
                trees.put_key_ring(&StoredRing { revision, keys })?;
                Ok(KeyRingUpdate::Kept(revision))
            })
            .await
    }
}

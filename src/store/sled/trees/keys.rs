//! Reads and writes of the keys, which lie in `meta`.

use secrecy::{ExposeSecret, SecretSlice};

use super::Trees;
use crate::store::{error::StoreError, keys::StoredRing, records::key_ring::KeyRingRecord};

const SIGNING_KEY: &[u8] = b"signing_key";
const REFRESH_KEY: &[u8] = b"refresh_key";

impl Trees {
    pub(crate) fn refresh_key(&self) -> Result<Option<SecretSlice<u8>>, StoreError> {
        let bytes = self.meta.get(REFRESH_KEY).map_err(StoreError::failed)?;
        Ok(bytes.map(|bytes| bytes.to_vec().into()))
    }

    /// Returns the key that is kept. If there is none, keeps `fresh` and returns it.
    pub(crate) fn keep_refresh_key(&self, fresh: SecretSlice<u8>) -> Result<SecretSlice<u8>, StoreError> {
        if let Some(kept) = self.refresh_key()? {
            return Ok(kept);
        }
        super::put(&self.meta, REFRESH_KEY, fresh.expose_secret())?;
        Ok(fresh)
    }

    pub(crate) fn forget_refresh_key(&self) -> Result<(), StoreError> {
        let removed = self.meta.remove(REFRESH_KEY);
        removed.map(|_| ()).map_err(StoreError::failed)
    }

    pub(crate) fn key_ring(&self) -> Result<StoredRing, StoreError> {
        let bytes = self.meta.get(SIGNING_KEY).map_err(StoreError::failed)?;
        bytes.map_or_else(|| Ok(StoredRing::default()), |bytes| KeyRingRecord::read(&bytes))
    }

    pub(crate) fn put_key_ring(&self, ring: &StoredRing) -> Result<(), StoreError> {
        super::put(&self.meta, SIGNING_KEY, &KeyRingRecord::write(ring)?)
    }
}

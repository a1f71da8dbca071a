//! Reads and writes of the tree of failed attempts.

use sled::Batch;

use super::Trees;
use crate::{
    domain::FailedAttempts,
    store::{
        attempts::KeptAttempts,
        error::StoreError,
        records::{attempts::AttemptsRecord, format},
    },
};

const ATTEMPTS_KEY: &[u8] = b"attempts_key";

impl Trees {
    pub(crate) fn attempts(&self) -> Result<Option<KeptAttempts>, StoreError> {
        let Some(hash_key) = self.meta.get(ATTEMPTS_KEY).map_err(StoreError::failed)? else {
            return Ok(None);
        };
        let mut places = Vec::new();
        for entry in &self.attempts {
            let (place, bytes) = entry.map_err(StoreError::failed)?;
            let place = u32::from_be_bytes(format::fixed(&place, "place of attempts")?);
            places.push((place, AttemptsRecord::read(&bytes)?));
        }
        let hash_key = format::fixed(&hash_key, "key of attempts")?;
        Ok(Some(KeptAttempts { hash_key, places }))
    }

    pub(crate) fn keep_attempts(&self, changed: &KeptAttempts) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        for (place, attempts) in &changed.places {
            let place = place.to_be_bytes();
            if *attempts == FailedAttempts::default() {
                batch.remove(place.as_slice());
            } else {
                batch.insert(place.as_slice(), AttemptsRecord::write(*attempts).as_slice());
            }
        }
        // Attempts mean nothing without the key, so the key is written first.
        super::put(&self.meta, ATTEMPTS_KEY, &changed.hash_key)?;
        self.attempts.apply_batch(batch).map_err(StoreError::failed)
    }
}

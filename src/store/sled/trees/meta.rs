//! What the database says of itself: its schema, how many groups of writes it has, and the time.

use sled::Batch;

use super::Trees;
use crate::{
    clock::Timestamp,
    store::{error::StoreError, records::format},
};

const SCHEMA: &[u8] = b"schema";
const COMMITS: &[u8] = b"commits";
const LATEST: &[u8] = b"latest";

impl Trees {
    pub(crate) fn schema(&self) -> Result<Option<u32>, StoreError> {
        let bytes = self.meta.get(SCHEMA).map_err(StoreError::failed)?;
        bytes
            .map(|bytes| format::fixed(&bytes, "schema version").map(u32::from_be_bytes))
            .transpose()
    }

    pub(crate) fn put_schema(&self, version: u32) -> Result<(), StoreError> {
        super::put(&self.meta, SCHEMA, &version.to_be_bytes())
    }

    /// How many groups of writes are durable.
    pub(crate) fn commits(&self) -> Result<u64, StoreError> {
        let bytes = self.meta.get(COMMITS).map_err(StoreError::failed)?;
        format::counter(bytes.as_deref())
    }

    /// Counts a group of writes. `latest` is the latest moment that the store has been told of.
    pub(crate) fn put_commits(&self, commits: u64, latest: Timestamp) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        batch.insert(COMMITS, commits.to_be_bytes().as_slice());
        batch.insert(LATEST, latest.as_secs().to_be_bytes().as_slice());
        self.meta.apply_batch(batch).map_err(StoreError::failed)
    }

    /// The latest moment that any group of writes knew of.
    pub(crate) fn latest(&self) -> Result<Timestamp, StoreError> {
        let bytes = self.meta.get(LATEST).map_err(StoreError::failed)?;
        format::counter(bytes.as_deref()).map(Timestamp::from_secs)
    }
}

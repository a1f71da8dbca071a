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
const SETTLED: &[u8] = b"settled";

/// What a group of writes knows of the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moments {
    /// The latest moment that the store was told of.
    pub(crate) latest: Timestamp,
    /// The moment up to which what has expired may be deleted.
    pub(crate) settled: Timestamp,
}

#[cfg(test)]
impl Moments {
    /// A moment that is in no doubt.
    pub(crate) const fn at(moment: Timestamp) -> Self {
        Self {
            latest: moment,
            settled: moment,
        }
    }
}

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

    /// Counts a group of writes, which was made at these moments.
    pub(crate) fn put_commits(&self, commits: u64, moments: Moments) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        batch.insert(COMMITS, commits.to_be_bytes().as_slice());
        batch.insert(LATEST, moments.latest.as_secs().to_be_bytes().as_slice());
        batch.insert(SETTLED, moments.settled.as_secs().to_be_bytes().as_slice());
        self.meta.apply_batch(batch).map_err(StoreError::failed)
    }

    /// What the last group of writes knew of the time. Returns `None` if there was no group.
    pub(crate) fn moments(&self) -> Result<Option<Moments>, StoreError> {
        let moment = |key| {
            let bytes = self.meta.get(key).map_err(StoreError::failed)?;
            let moment = bytes.map(|bytes| format::counter(Some(&bytes)).map(Timestamp::from_secs));
            moment.transpose()
        };
        let Some(latest) = moment(LATEST)? else {
            return Ok(None);
        };
        // A database of an earlier version has no other.
        let settled = moment(SETTLED)?.unwrap_or(latest);
        Ok(Some(Moments { latest, settled }))
    }
}

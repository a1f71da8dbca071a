//! What records are made of: JSON, fixed numbers of bytes, and the error that says a record can't be read.

use serde::{Serialize, de::DeserializeOwned};

use crate::store::error::StoreError;

/// The number that `bytes` hold; none yet is zero.
pub(crate) fn counter(bytes: Option<&[u8]>) -> Result<u64, StoreError> {
    bytes.map_or(Ok(0), |bytes| fixed(bytes, "counter").map(u64::from_be_bytes))
}

/// `bytes`, if there are exactly `N` of them.
pub(crate) fn fixed<const N: usize>(bytes: &[u8], what: &str) -> Result<[u8; N], StoreError> {
    bytes.try_into().map_err(|_| unreadable(&format!("a {what}")))
}

pub(crate) fn unreadable(what: &str) -> StoreError {
    StoreError::Unreadable(what.to_owned())
}

pub(crate) fn to_json(record: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(record).map_err(StoreError::failed)
}

/// What a parser would say of a damaged record helps nobody, and might quote a hash.
pub(crate) fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    serde_json::from_slice(bytes).ok()
}

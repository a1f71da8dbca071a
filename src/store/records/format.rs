//! What records are made of: JSON with a version, fixed numbers of bytes, and the errors that say why one can't be read.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::store::error::StoreError;

/// The version of a record's form, its field `v`. The default is the first: records written before there were versions have no
/// such field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Version(u32);

impl Version {
    pub(crate) const FIRST: Self = Self(1);
}

impl Default for Version {
    fn default() -> Self {
        Self::FIRST
    }
}

/// A record in JSON.
///
/// A field that may be absent needs no new version. A version that an older server must not read needs one: that server then
/// refuses the record, instead of guessing what it means.
pub(crate) trait Record: Serialize + DeserializeOwned {
    /// The latest version that this server knows, which is the one it writes.
    const LATEST: Version = Version::FIRST;

    /// The version of this record.
    fn version(&self) -> Version;
}

/// What every version of every record has.
#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    v: Version,
}

pub(crate) fn to_json(record: &impl Record) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(record).map_err(StoreError::failed)
}

/// Reads the record that `what` names.
///
/// # Errors
/// [`StoreError::NewerRecord`] if a newer server wrote it, [`StoreError::Unreadable`] if it makes no sense.
pub(crate) fn from_json<T: Record>(bytes: &[u8], what: impl FnOnce() -> String) -> Result<T, StoreError> {
    let record: Option<T> = serde_json::from_slice(bytes).ok();
    let version = match &record {
        Some(record) => Some(record.version()),
        // A newer form may have other fields than the known one. The parser's own error is dropped: it might quote a hash.
        None => serde_json::from_slice(bytes).map(|head: Head| head.v).ok(),
    };
    match (version, record) {
        (Some(Version(found)), _) if found > T::LATEST.0 => Err(StoreError::NewerRecord {
            what: what(),
            found,
            known: T::LATEST.0,
        }),
        (Some(version), Some(record)) if version >= Version::FIRST => Ok(record),
        _ => Err(unreadable(what())),
    }
}

/// Reads a number; zero if there is none yet.
pub(crate) fn counter(bytes: Option<&[u8]>) -> Result<u64, StoreError> {
    bytes.map_or(Ok(0), |bytes| fixed(bytes, "counter").map(u64::from_be_bytes))
}

/// Returns `bytes` if there are exactly `N` of them.
pub(crate) fn fixed<const N: usize>(bytes: &[u8], what: &str) -> Result<[u8; N], StoreError> {
    bytes.try_into().map_err(|_| unreadable(format!("a {what}")))
}

pub(crate) fn unreadable(what: impl Into<String>) -> StoreError {
    StoreError::Unreadable(what.into())
}

//! What a store does for the throttle: it remembers failed attempts across a restart. It does not know whose they are: each
//! stands at a numbered place.

use async_trait::async_trait;

use super::error::StoreError;
use crate::domain::FailedAttempts;

/// The failed attempts that the throttle remembers.
#[async_trait]
pub trait Attempts: Send + Sync + 'static {
    /// Returns every failed attempt that is kept; `None` if none was ever kept.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn attempts(&self) -> Result<Option<KeptAttempts>, StoreError>;

    /// Keeps what has changed. A place whose attempts are the default is removed.
    ///
    /// # Errors
    /// [`StoreError`]; some of the changes may or may not be kept then.
    async fn keep_attempts(&self, changed: KeptAttempts) -> Result<(), StoreError>;
}

/// Failed attempts, at numbered places that a keyed hash of their subject picks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptAttempts {
    /// The key of that hash.
    pub hash_key: [u8; 16],
    /// Each place, and what is remembered there.
    pub places: Vec<(u32, FailedAttempts)>,
}

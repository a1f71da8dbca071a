//! What a backend implements: a trait for each noun, and [`Store`], which is all of them.

use async_trait::async_trait;

use super::{
    api_tokens::ApiTokens, attempts::Attempts, devices::Devices, error::StoreError, imports::Imports,
    keys::Keys, one_time_codes::OneTimeCodes, sessions::Sessions, trail::AuditTrail, users::Users,
};
use crate::clock::Timestamp;

/// Everything that the server remembers.
#[async_trait]
pub trait Store:
    Users
    + Sessions
    + Devices
    + ApiTokens
    + OneTimeCodes
    + Keys
    + Attempts
    + Imports
    + AuditTrail
    + Send
    + Sync
    + 'static
{
    /// Returns the latest moment that this store has been told of, by this process or by an earlier one. A clock that shows an
    /// earlier moment has been set back, and would let expired tokens live again: it must go on from this moment.
    fn latest(&self) -> Timestamp;

    /// Returns the moment up to which this process or an earlier one could delete what had expired, by
    /// [`note_time`](Self::note_time). A moment that is far later may be a wrong clock's.
    fn settled(&self) -> Timestamp;

    /// Takes note of the present moment, and of the moment up to which what has expired may be deleted. They are durable with the
    /// next write.
    fn note_time(&self, now: Timestamp, settled: Timestamp);

    /// Makes `to` the latest moment that this store has been told of, instead of `from`, which a wrong clock showed. API tokens
    /// that were made after `to` are moved back by the difference. Invitations that were made after `to` end, and so does every
    /// reset code. The caller has ended every session and opens none meanwhile.
    ///
    /// # Errors
    /// [`StoreError`]; then the caller must try again.
    async fn go_back(&self, from: Timestamp, to: Timestamp) -> Result<(), StoreError>;

    /// Returns how many users and live sessions there are.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn count(&self) -> Result<StoreCounts, StoreError>;
}

/// How many users and sessions a store has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreCounts {
    /// Users, disabled ones included.
    pub users: u64,
    /// Sessions that have not been ended or pruned. `None` while a store that has just been opened is loading them.
    pub sessions: Option<usize>,
}

//! What a store does for the audit trail: it keeps events, in an order that no clock can change.

use async_trait::async_trait;

use super::error::StoreError;
use crate::event::{Event, TrailBounds, TrailPage, TrailQuery};

/// The audit trail. It is only ever added to, and pruned at its old end.
///
/// Each entry has the names that its users have at the time, also that of a user who has been deleted just before.
#[async_trait]
pub trait AuditTrail: Send + Sync + 'static {
    /// Takes an event, and writes it with the next write of another method, or with [`keep_events`](Self::keep_events), or
    /// when the store is closed. It waits for nothing. A refusal always waits for one of the latter two; meanwhile it is
    /// counted with others of the same kind, user, actor and network.
    ///
    /// The number of events that wait is bounded. One too many is left out, and the trail says how many were.
    fn append(&self, event: &Event);

    /// Writes every event that waits. The caller calls it each second: that is how much of the trail a crash can lose.
    ///
    /// # Errors
    /// [`StoreError`]; then the events go on waiting.
    async fn keep_events(&self) -> Result<(), StoreError>;

    /// Returns a page of the entries that `query` asks for. It shows only what is durable.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn events(&self, query: TrailQuery) -> Result<TrailPage, StoreError>;

    /// Removes up to `at_most` entries that the trail does not have by `bounds`, the oldest first, and returns how many. Fewer mean
    /// that no more are left.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn prune_events(&self, bounds: TrailBounds, at_most: usize) -> Result<usize, StoreError>;
}

//! The audit trail of a [`SledStore`].

use async_trait::async_trait;

use super::{
    SledStore, blocking,
    commit::group::{BATCH, Effect},
    trees::Trees,
};
use crate::{
    event::{Event, TrailBounds, TrailPage, TrailQuery},
    store::{error::StoreError, trail::AuditTrail},
};

/// How many entries one write removes. No caller waits for their removal, but every write meanwhile waits for that one.
const PRUNED_AT_ONCE: usize = 100;

#[async_trait]
impl AuditTrail for SledStore {
    fn append(&self, event: &Event) {
        self.index.waiting.add(event);
    }

    async fn keep_events(&self) -> Result<(), StoreError> {
        let waiting = self.index.waiting.release_refusals();
        for _ in 0..waiting.div_ceil(BATCH) {
            // Each group of writes takes some of the events.
            self.committer.commit_independent(|_| Ok(())).await?;
        }
        Ok(())
    }

    async fn events(&self, query: TrailQuery) -> Result<TrailPage, StoreError> {
        let durable = self.index.waiting.durable();
        // A page may lie in many places of the disk.
        let read = self
            .committer
            .deferred_read(move |trees| trees.events(&query, durable));
        blocking(read).await?
    }

    async fn prune_events(&self, bounds: TrailBounds, at_most: usize) -> Result<usize, StoreError> {
        let mut pruned = 0;
        let has_old = move |trees: &Trees| trees.has_old_events(bounds);
        while pruned < at_most && self.committer.read(has_old)? {
            let part = PRUNED_AT_ONCE.min(at_most - pruned);
            let removed = self
                .committer
                .commit(move |trees, _| Ok((trees.remove_old_events(bounds, part)?, Effect::None)))
                .await?;
            pruned += removed;
            if removed < part {
                break;
            }
        }
        Ok(pruned)
    }
}

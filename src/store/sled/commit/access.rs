//! How callers reach the database, or why they can't at the moment.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::mpsc::Sender;

use super::{group::Write, queue::WriteQueue};
use crate::store::{
    error::StoreError,
    sled::{file::database::Database, trees::Trees},
};

/// The trees for reading and the queue for writing, or the error with which each is refused.
pub(crate) struct Access {
    pub(crate) trees: Result<Trees, StoreError>,
    pub(crate) queue: Result<Sender<Write>, StoreError>,
}

/// The access that callers have at present. The committing thread replaces it.
pub(crate) struct SharedAccess(RwLock<Access>);

impl Access {
    /// Access to `database`, and the end of its queue for the committing thread.
    pub(crate) fn to(database: &Database) -> (Self, WriteQueue<Write>) {
        let (queue, writes) = WriteQueue::new();
        let access = Self {
            trees: Ok(database.trees.clone()),
            queue: Ok(queue),
        };
        (access, writes)
    }

    /// No access: each read and write fails with `error`.
    pub(crate) fn refused(error: StoreError) -> Self {
        Self {
            trees: Err(error.clone()),
            queue: Err(error),
        }
    }
}

impl SharedAccess {
    pub(crate) fn new(access: Access) -> Self {
        Self(RwLock::new(access))
    }

    pub(crate) fn get(&self) -> RwLockReadGuard<'_, Access> {
        // It is only ever replaced, so a panic of its holder leaves it whole.
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn change(&self) -> RwLockWriteGuard<'_, Access> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses each read and write with `error` from now on, including what is in the queue once its end is dropped.
    pub(crate) fn refuse(&self, error: StoreError) {
        *self.change() = Access::refused(error);
    }

    /// Runs `read` on the trees.
    pub(crate) fn read<T>(
        &self,
        read: impl FnOnce(&Trees) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        read(self.get().trees.as_ref().map_err(Clone::clone)?)
    }
}

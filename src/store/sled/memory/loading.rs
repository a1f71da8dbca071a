//! Whether the index is filled. With a million sessions filling it takes seconds, and token checks do not wait for it.
//!
//! The committing thread fills it before it writes anything of sessions, except that it removes expired ones. So meanwhile the
//! trees have what the disk has, and a token whose session is not in the index yet is looked up there. After such a lookup the
//! caller checks that the index is still being filled: once it is whole, the trees may be ahead of the disk. Everything else that
//! needs the index waits.

use tokio::sync::SetOnce;

use crate::store::error::StoreError;

/// How filling the index ended, once it has.
#[derive(Default)]
pub(crate) struct Loading(SetOnce<Result<(), StoreError>>);

impl Loading {
    /// Whether the index is whole.
    ///
    /// # Errors
    /// It will never be.
    pub(crate) fn is_whole(&self) -> Result<bool, StoreError> {
        match self.0.get() {
            None => Ok(false),
            Some(Ok(())) => Ok(true),
            Some(Err(error)) => Err(error.clone()),
        }
    }

    /// Waits until the index is whole.
    ///
    /// # Errors
    /// It will never be.
    pub(crate) async fn whole(&self) -> Result<(), StoreError> {
        self.0.wait().await.clone()
    }

    /// Says how filling it ended. Called once.
    pub(crate) fn end(&self, outcome: Result<(), StoreError>) {
        // The only caller calls it once, so it is not set yet.
        let _ = self.0.set(outcome);
    }
}

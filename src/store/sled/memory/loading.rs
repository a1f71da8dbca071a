//! Filling the index while others are served already: with a million sessions that takes seconds, and nobody should have
//! to wait for it who has a token.
//!
//! The committing thread does it before it writes anything that is in the index, so nothing of that changes meanwhile but that
//! what has run out is removed: what the trees say of it is what the disk has, and a token whose session is not in the index
//! yet is looked up there. Whatever else asks the index waits until it is whole. Before anybody trusts an answer from the
//! trees they see that it is still being filled: once it is whole, the trees may be ahead of the disk.

use tokio::sync::SetOnce;

use crate::store::error::StoreError;

/// Whether the index is being filled.
#[derive(Default)]
pub(crate) struct Loading(SetOnce<Result<(), StoreError>>);

impl Loading {
    /// Whether it is whole by now.
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

    /// Waits until it is whole.
    ///
    /// # Errors
    /// It will never be.
    pub(crate) async fn whole(&self) -> Result<(), StoreError> {
        self.0.wait().await.clone()
    }

    /// Says how it has ended, once.
    pub(crate) fn end(&self, outcome: Result<(), StoreError>) {
        // It has one caller at a time, and nobody says it twice.
        let _ = self.0.set(outcome);
    }
}

//! The audit trail, for its readers.

use super::Accounts;
use crate::{
    auth::AuthError,
    event::{TrailPage, TrailQuery},
};

impl Accounts {
    /// Returns a page of the events that `query` asks for.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn events(&self, query: TrailQuery) -> Result<TrailPage, AuthError> {
        Ok(self.parts.store.events(query).await?)
    }
}

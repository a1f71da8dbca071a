//! The failed attempts of a [`SledStore`].

use async_trait::async_trait;

use super::{RECORDS, SledStore, commit::group::Effect, trees::Trees};
use crate::store::{
    attempts::{Attempts, KeptAttempts},
    error::StoreError,
};

#[async_trait]
impl Attempts for SledStore {
    async fn attempts(&self) -> Result<Option<KeptAttempts>, StoreError> {
        self.committer.read(Trees::attempts)
    }

    async fn keep_attempts(&self, changed: KeptAttempts) -> Result<(), StoreError> {
        let KeptAttempts { hash_key, mut places } = changed;
        loop {
            let rest = places.split_off(places.len().min(RECORDS));
            let some = KeptAttempts { hash_key, places };
            self.committer
                .commit(move |trees, _| Ok((trees.keep_attempts(&some)?, Effect::None)))
                .await?;
            if rest.is_empty() {
                return Ok(());
            }
            places = rest;
        }
    }
}

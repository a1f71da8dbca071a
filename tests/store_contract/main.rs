//! The [contract](jwt_server::store::contract) of a store, for the backend that `store::open` picks.

#![expect(
    clippy::unwrap_used,
    reason = "a test that can't go on should say where it stopped"
)]

use std::sync::Arc;

use jwt_server::{
    clock::Timestamp,
    config::StoreConfig,
    event::Listeners,
    store::{self, Store, contract::Backend},
};
use tempfile::TempDir;

struct Embedded(TempDir);

impl Backend for Embedded {
    async fn fresh() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    async fn open(&self, now: Timestamp) -> Arc<dyn Store> {
        let config = StoreConfig {
            path: self.0.path().to_owned(),
            cache: 1 << 20,
        };
        store::open(&config, now, Listeners::default()).await.unwrap()
    }
}

jwt_server::store_contract!(Embedded);

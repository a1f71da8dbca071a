//! The way in: picks the backend. The only file outside a backend that names one.

use std::sync::Arc;

use super::sled::SledStore;
use super::{backend::Store, error::OpenError};
use crate::{clock::Timestamp, config::StoreConfig, event::Listeners};

/// Opens the store that `config` names, and removes what has expired by `now`, unless that moment is in doubt. The store tells `listeners` when an outage begins
/// and ends. It closes when the last handle is dropped, which waits until that is done.
///
/// The clock of the caller continues from [`Store::latest`] and [`Store::settled`].
///
/// # Errors
/// [`OpenError`]. A store that can't be opened is left as it was, unless the error says otherwise.
pub async fn open(
    config: &StoreConfig,
    now: Timestamp,
    listeners: Listeners,
) -> Result<Arc<dyn Store>, OpenError> {
    config.check()?;
    let config = config.clone();
    let opened = tokio::task::spawn_blocking(move || SledStore::open(&config, now, listeners)).await;
    Ok(Arc::new(opened.map_err(|_| OpenError::Interrupted)??))
}

/// Whether a store has been made where `config` says. Nothing is made or changed.
///
/// # Errors
/// [`OpenError::Inaccessible`] if that can't be told.
pub fn exists(config: &StoreConfig) -> Result<bool, OpenError> {
    SledStore::exists(config)
}

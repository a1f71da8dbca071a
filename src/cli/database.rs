//! The database of a command: it must be there already, because a command that is started in the wrong directory would make an
//! empty one there and report success.

use std::{fs, path};

use super::failure::Failure;
use crate::{config::Config, store};

/// Fails with `advice` unless there is a database.
pub(super) fn must_exist(config: &Config, advice: &str) -> Result<(), Failure> {
    match store::exists(&config.store) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::Other(format!(
            "there is no database in {}; name its directory with --store.path{advice}",
            name(config)
        ))),
        Err(error) => Err(Failure::Open(error.into())),
    }
}

/// The whole path of its directory.
pub(super) fn name(config: &Config) -> String {
    let path = &config.store.path;
    let whole = fs::canonicalize(path).or_else(|_| path::absolute(path));
    let whole = whole.as_ref().unwrap_or(path);
    whole.to_string_lossy().escape_debug().to_string()
}

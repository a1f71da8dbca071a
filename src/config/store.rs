//! `[store]`: the database.

use std::path::PathBuf;

use super::{
    error::ConfigError,
    setting::{Kind, Setting},
    source::Settings,
    value::{bytes, text},
};

const PATH: Setting = Setting {
    key: "store.path",
    default: "\"data\"",
    kind: Kind::Text,
    accepts: "the path of a directory",
    help: "The database's directory. It is made, readable by this user only, if it is not there.",
};
const CACHE: Setting = Setting {
    key: "store.cache",
    default: "\"4MiB\"",
    kind: Kind::Text,
    accepts: "a size of 1MiB or more, such as 16MiB",
    help: "How much memory the database may use to keep what it has read.",
};

pub(super) const SETTINGS: &[Setting] = &[PATH, CACHE];

/// The database.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// Its directory.
    pub path: PathBuf,
    /// How much memory it may use for what it has read, in bytes.
    pub cache: u64,
}

impl StoreConfig {
    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let path = |text: &str| (!text.is_empty()).then(|| text.into());
        Ok(Self {
            path: settings.read(&PATH, |raw| text(raw).and_then(path))?,
            cache: settings.read(&CACHE, |raw| bytes(raw).filter(|size| *size >= 1 << 20))?,
        })
    }
}

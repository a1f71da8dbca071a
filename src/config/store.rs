//! `[store]`: the database.

use std::path::PathBuf;

use super::{
    accepts::{Size, Text},
    section::section,
};

section! {
    /// The database. Sizes are in bytes.
    pub struct StoreConfig in "store" {
        /// The database's directory. If it does not exist, the server creates it, readable by its own user only.
        path: PathBuf = "data", Text {
            what: "the path of a directory",
            parse: |text| (!text.is_empty()).then(|| text.into()),
            valid: |path: &PathBuf| !path.as_os_str().is_empty(),
        };
        /// How much memory the database may use to keep what it has read.
        cache: u64 = "4MiB", Size(1 << 20..=u64::MAX);
    }
}

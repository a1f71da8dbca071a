//! What is wrong with the settings, where, and what would be right.

use std::{io, path::PathBuf};

use super::{origin::Origin, setting::SECRET_VARIABLE};

/// Settings that can't be run. Each message fits one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file named with `--config` can't be read.
    #[error("{}: the configuration file can't be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("{file}, line {line}: {message}")]
    Syntax {
        /// The file.
        file: String,
        /// Counted from 1.
        line: usize,
        /// What the TOML reader said.
        message: String,
    },
    /// No setting has this name.
    #[error("{origin}: there is no setting {key}{}", nearest.map(|n| format!("; did you mean {n}?")).unwrap_or_default())]
    Unknown {
        /// Where the name stands.
        origin: Origin,
        /// The name.
        key: String,
        /// The known name that is nearest to it, if one is near.
        nearest: Option<&'static str>,
    },
    /// The value is not one that the setting takes.
    #[error("{origin}: {key} can't be {value}; accepted: {accepts}")]
    BadValue {
        /// Where the value stands.
        origin: Origin,
        /// The setting.
        key: &'static str,
        /// The value, as it was written.
        value: String,
        /// What would be right.
        accepts: String,
    },
    /// Two settings contradict each other.
    #[error("{0}")]
    Conflict(String),
    /// A secret stands in the file.
    #[error(
        "{origin}: a secret is never read from the configuration file; put it in a file of its own and name that with token.secret_file, or set {}",
        SECRET_VARIABLE
    )]
    SecretInFile {
        /// Where it stands.
        origin: Origin,
    },
    /// The secret is not usable. What it is stays unsaid.
    #[error("{origin}: {problem}")]
    BadSecret {
        /// Where it comes from.
        origin: Origin,
        /// What is wrong with it.
        problem: String,
    },
}

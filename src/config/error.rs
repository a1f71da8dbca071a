//! What is wrong with the settings, where, and what is accepted instead.

use std::{io, path::PathBuf};

use super::origin::{Origin, SECRET_VARIABLE};

/// Why the settings can't be used. Each message is one line, and that of [`Several`](Self::Several) a line for each error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The configuration file can't be read.
    #[error("{}: the configuration file can't be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("{file}, line {line}: {message}")]
    Syntax {
        /// The file.
        file: String,
        /// Counted from 1.
        line: usize,
        /// The TOML parser's message.
        message: String,
    },
    /// No setting has this name.
    #[error("{origin}: there is no setting {key}{}", nearest.map(|n| format!("; did you mean {n}?")).unwrap_or_default())]
    Unknown {
        /// Where the name was written.
        origin: Origin,
        /// The name.
        key: String,
        /// The most similar name of a setting, if one is similar.
        nearest: Option<&'static str>,
    },
    /// The setting does not accept the value.
    #[error("{origin}: {key} can't be {value}; accepted: {accepts}")]
    BadValue {
        /// Where the value was written.
        origin: Origin,
        /// The setting.
        key: &'static str,
        /// The value, as it was written.
        value: String,
        /// What the setting accepts.
        accepts: String,
    },
    /// Two settings contradict each other.
    #[error("{0}")]
    Conflict(String),
    /// The configuration file contains a secret.
    #[error(
        "{origin}: a secret is never read from the configuration file; put it in a file of its own and name that with token.secret_file, or set {}",
        SECRET_VARIABLE
    )]
    SecretInFile {
        /// Where it was written.
        origin: Origin,
    },
    /// The secret or the private key can't be used. The message never contains it.
    #[error("{origin}: {problem}")]
    BadSecret {
        /// Where it comes from.
        origin: Origin,
        /// Why it can't be used.
        problem: String,
    },
    /// More than one error, none of which is `Several`.
    #[error("{}", lines(.0))]
    Several(Vec<ConfigError>),
}

impl ConfigError {
    /// Where the bad text was written, if that is one place.
    pub(super) fn origin(&self) -> Option<&Origin> {
        match self {
            Self::Unknown { origin, .. }
            | Self::BadValue { origin, .. }
            | Self::SecretInFile { origin }
            | Self::BadSecret { origin, .. } => Some(origin),
            Self::Unreadable { .. } | Self::Syntax { .. } | Self::Conflict(_) | Self::Several(_) => None,
        }
    }
}

fn lines(errors: &[ConfigError]) -> String {
    let lines: Vec<_> = errors.iter().map(ConfigError::to_string).collect();
    lines.join("\n")
}

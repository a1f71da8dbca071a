//! Where a setting's value comes from.

use std::fmt;

/// What the names of environment variables begin with.
pub(super) const PREFIX: &str = "JWT_SERVER__";

/// The environment variable that holds the signing secret. It is no setting, so that the file never holds the secret.
pub const SECRET_VARIABLE: &str = "JWT_SERVER__TOKEN__SECRET";

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// It is the default.
    Default,
    /// A program set it in its code.
    Code,
    /// A line of the configuration file.
    File {
        /// Its name, as the user gave it.
        file: String,
        /// Counted from 1.
        line: usize,
    },
    /// An environment variable.
    Environment(String),
    /// A flag on the command line.
    Flag(String),
    /// The secret in this file.
    SecretFile(String),
    /// The private key in this file.
    KeyFile(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Code => f.write_str("set in code"),
            Self::File { file, line } => write!(f, "{file}, line {line}"),
            Self::Environment(variable) => write!(f, "environment variable {variable}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
            Self::SecretFile(file) => write!(f, "secret file {file}"),
            Self::KeyFile(file) => write!(f, "key file {file}"),
        }
    }
}

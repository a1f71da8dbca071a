//! Where a setting's value stands.

use std::fmt;

/// Where a value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// Nowhere: it is the default.
    Default,
    /// A program set it in its code.
    Code,
    /// In a file.
    File {
        /// Its name, as it was given.
        file: String,
        /// Counted from 1.
        line: usize,
    },
    /// In an environment variable.
    Environment(String),
    /// In a flag on the command line.
    Flag(String),
    /// It is the content of this file.
    SecretFile(String),
    /// It is the private key in this file.
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

//! Why a command failed, and the exit code that says so.

use std::io;

use crate::{
    auth::{RotationError, StartError},
    config::{ConfigError, Origin},
};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Open(#[from] StartError),
    #[error(transparent)]
    Rotation(#[from] RotationError),
    /// A bad argument.
    #[error("{0}")]
    Argument(String),
    #[error("{0}")]
    Other(String),
}

impl Failure {
    /// What failed, and the system's error.
    pub(super) fn io(what: &str, error: &io::Error) -> Self {
        Self::Other(format!("{what}: {error}"))
    }

    /// 2 for a bad argument, 1 for any other failure.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Argument(_)
            | Self::Config(ConfigError::BadValue {
                origin: Origin::Flag(_),
                ..
            }) => 2,
            Self::Config(_) | Self::Open(_) | Self::Rotation(_) | Self::Other(_) => 1,
        }
    }
}

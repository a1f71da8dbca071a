//! Why a command failed, and the exit code that says so.

use std::io;

use crate::{
    auth::StartError,
    config::{ConfigError, Origin},
    server::ListenError,
};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Open(#[from] StartError),
    #[error(transparent)]
    Listen(#[from] ListenError),
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
            Self::Argument(_) => 2,
            Self::Config(error) if is_an_argument(error) => 2,
            Self::Config(_) | Self::Open(_) | Self::Listen(_) | Self::Other(_) => 1,
        }
    }
}

/// Whether `error` is about the command line alone.
fn is_an_argument(error: &ConfigError) -> bool {
    match error {
        ConfigError::BadValue { origin, .. } => matches!(origin, Origin::Flag(_)),
        ConfigError::Several(errors) => errors.iter().all(is_an_argument),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_argument_exits_with_2_and_any_other_failure_with_1() {
        let bad_value = |origin| ConfigError::BadValue {
            origin,
            key: "token.lifetime",
            value: "0s".into(),
            accepts: "more".into(),
        };
        let flag = || bad_value(Origin::Flag("--token.lifetime".into()));
        let several = |errors| Failure::Config(ConfigError::Several(errors));
        for (failure, code) in [
            (Failure::Argument("no user".into()), 2),
            (Failure::Config(flag()), 2),
            (Failure::Config(bad_value(Origin::Default)), 1),
            (several(vec![flag(), flag()]), 2),
            (several(vec![flag(), bad_value(Origin::Default)]), 1),
            (Failure::Config(ConfigError::Conflict("two settings".into())), 1),
            (Failure::io("standard input", &io::Error::other("gone")), 1),
        ] {
            assert_eq!(failure.exit_code(), code, "{failure}");
        }
    }
}

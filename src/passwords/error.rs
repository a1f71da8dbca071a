//! Why a password is not hashed or verified.

use std::time::Duration;

/// Why a password is not hashed or verified.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HashingError {
    /// The new password is not good enough.
    #[error(transparent)]
    Rejected(#[from] PasswordRejection),
    /// Too many passwords wait to be hashed.
    #[error("too many passwords are waiting to be hashed")]
    Busy {
        /// After what time the caller may try again.
        retry_after: Duration,
    },
    /// bcrypt or a hashing thread failed.
    #[error("{0}")]
    Internal(String),
}

/// Why a new password is not good enough.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordRejection {
    /// It has too few characters.
    #[error("A password has at least {minimum} characters.")]
    TooShort {
        /// How many characters it needs.
        minimum: usize,
    },
    /// It is too easy to guess.
    #[error(
        "This password is too easy to guess. Longer helps most: a few words that do not belong together, without names or dates."
    )]
    TooWeak,
    /// It is the password that must be changed.
    #[error("This is the password that you have to change. Choose another one.")]
    Unchanged,
}

//! Why an attempt is not admitted.

use std::time::Duration;

use crate::{domain::UserId, store::StoreError};

/// Why an attempt is not admitted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ThrottleError {
    /// Too many attempts have failed, or a budget is spent.
    #[error("{axis}")]
    TooMany {
        /// Where they are counted.
        axis: Axis,
        /// After what time the next attempt is admitted, in whole seconds.
        retry_after: Duration,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

pub(super) fn too_many(axis: Axis, retry_after: Duration) -> ThrottleError {
    ThrottleError::TooMany { axis, retry_after }
}

/// What was too much, and where it is counted. For the log only: it would tell a client whether others try the account as well.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Axis {
    /// Wrong passwords, by the client's network.
    #[error("too many failed attempts from the address")]
    Address,
    /// Wrong passwords, by the account, over every client that has never signed in to it.
    #[error("too many failed attempts at the account")]
    Account,
    /// Foreign tokens, by the user who introspects them.
    #[error("too many failed attempts to name a token of this server")]
    Caller(UserId),
    /// Sign-ups, by the client's network.
    #[error("too many sign-ups from the address")]
    SignUps,
    /// Tokens with a wrong signature, by the client's network.
    #[error("too many forged tokens from the address")]
    ForgedTokens,
    /// Durable changes, by the session and its user.
    #[error("too many changes by the session or its user")]
    Changes(UserId),
    /// Refreshes, by the session.
    #[error("too many refreshes of the session")]
    Refreshes,
}

//! Why an attempt is not admitted.

use std::time::Duration;

use crate::{domain::UserId, store::StoreError};

/// Why an attempt is not admitted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ThrottleError {
    /// Too many attempts have failed.
    #[error("too many failed attempts {axis}")]
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

/// Where failed attempts are counted. For the log only: it would tell a client whether others try the account as well.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Axis {
    /// By the client's network.
    #[error("from the address")]
    Address,
    /// By the account, over every client that has never signed in to it.
    #[error("at the account")]
    Account,
    /// By the user who introspects tokens.
    #[error("to name a token of this server")]
    Caller(UserId),
}

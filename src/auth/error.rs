//! What can go wrong in `auth`. The reasons are for the log; `http` decides what a client is told.

use std::time::Duration;

use crate::{
    config::Origin,
    domain::{Role, UserId},
    keys::KeyError,
    passwords::{HashingError, PasswordRejection},
    store::{self, StoreError},
    throttle::{Axis, ThrottleError},
    tokens::{SigningError, TokenRefusal},
};

/// Why a request was not granted.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// Nobody may sign up.
    #[error("sign-up is closed")]
    SignupClosed,
    /// Somebody has the username.
    #[error("the username is taken")]
    UsernameTaken,
    /// A new password is not good enough.
    #[error(transparent)]
    PasswordRejected(#[from] PasswordRejection),
    /// No such user, or not their password.
    #[error("wrong credentials: {0}")]
    InvalidCredentials(CredentialsRefusal),
    /// The current password of somebody who is signed in is another one.
    #[error("not the current password")]
    WrongPassword(UserId),
    /// The account was deleted while something was done with it.
    #[error("the account is gone")]
    AccountGone,
    /// The password was right, but the user has been shut out.
    #[error("the account is disabled")]
    AccountDisabled(UserId),
    /// Too many passwords are waiting to be hashed.
    #[error("too many passwords are waiting to be hashed")]
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
    /// Too many passwords were wrong, or too many tokens were no tokens of this server.
    #[error("too many failed attempts {axis}")]
    TooManyAttempts {
        /// Where they were counted.
        axis: Axis,
        /// When the next one is let through, in whole seconds.
        retry_after: Duration,
    },
    /// Only somebody who has signed in may do this, and no API token.
    #[error("an API token may not do this")]
    SessionRequired(UserId),
    /// An API token that was asked for can't be had.
    #[error("not an API token that can be made")]
    ApiTokenRejected(Vec<ApiTokenRejection>),
    /// The user has as many API tokens as one may have.
    #[error("too many API tokens")]
    TooManyApiTokens {
        /// How many a user may have.
        at_most: usize,
    },
    /// The token is not good.
    #[error("the token was refused: {0}")]
    TokenRefused(#[from] TokenRefusal),
    /// The user has none of these roles.
    #[error("none of the roles")]
    MissingRole(Vec<Role>),
    /// The store broke.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something that can't happen did.
    #[error("internal error: {0}")]
    Internal(String),
}

impl From<HashingError> for AuthError {
    fn from(error: HashingError) -> Self {
        match error {
            HashingError::Rejected(why) => Self::PasswordRejected(why),
            HashingError::Busy { retry_after } => Self::Busy { retry_after },
            HashingError::Internal(cause) => Self::Internal(cause),
        }
    }
}

impl From<ThrottleError> for AuthError {
    fn from(error: ThrottleError) -> Self {
        match error {
            ThrottleError::TooMany { axis, retry_after } => Self::TooManyAttempts { axis, retry_after },
            ThrottleError::Store(error) => Self::Store(error),
        }
    }
}

impl From<SigningError> for AuthError {
    fn from(error: SigningError) -> Self {
        Self::Internal(error.to_string())
    }
}

/// What was wrong with a username and password: for the log alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsRefusal {
    /// The name can't be anybody's, or the password can't.
    #[error("malformed")]
    Malformed,
    /// Nobody has the name.
    #[error("no such user")]
    NoSuchUser,
    /// Somebody has it, but not the password.
    #[error("not the password")]
    WrongPassword(UserId),
    /// Both were right, but the user was deleted, disabled or given another password meanwhile.
    #[error("changed meanwhile")]
    ChangedMeanwhile,
}

/// Why an API token that was asked for can't be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiTokenRejection {
    /// It would be for nothing.
    #[error("An API token has at least one role.")]
    NoRole,
    /// It would be more than its user is.
    #[error("You have not got all of these roles yourself.")]
    NotTheirRole,
    /// It would have no end, or a late one.
    #[error("An API token lasts for 1 to {longest} seconds.")]
    Lifetime {
        /// The longest one, in seconds.
        longest: u64,
    },
}

/// Why the server can't start, or look after its keys.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database directory can't be opened.
    #[error(transparent)]
    Database(#[from] store::OpenError),
    /// The database is open but can't be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The signing key in the database can't be used.
    #[error("the signing key in the database is damaged; put a backup of the database in its place")]
    DamagedKey,
    /// A signing key could not be made.
    #[error("the server has no signing key: {0}")]
    NoKey(#[from] KeyError),
    /// The runtime stopped meanwhile.
    #[error("the start was interrupted")]
    Interrupted,
}

/// Why no other key takes over.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// The settings say which key signs, those of this command or those of the last start.
    #[error(
        "the signing key comes from the settings{}, so it is changed there: put another one in its place and start the server; if the old one was stolen, run key rotate --revoke before that",
        .0.as_ref().map(|origin| format!(" ({origin})")).unwrap_or_default()
    )]
    Given(Option<Origin>),
    /// No server has been started yet.
    #[error("there is no signing key yet; the server makes one when it starts")]
    NoKey,
    /// The keys can't be read or written.
    #[error(transparent)]
    Open(#[from] StartError),
}

//! Why a verb fails. The reasons are for the log; `http` decides what a client is told.

use std::time::Duration;

use secrecy::SecretString;

use super::import_report::ImportReport;
use crate::{
    config::{ConfigError, Origin},
    domain::{AttributeError, Role, UserId},
    keys::KeyError,
    passwords::{HashingError, PasswordRejection},
    store::{self, StoreError},
    throttle::{Axis, ThrottleError},
    tokens::{SigningError, TokenRefusal},
};

/// Why a verb refuses a request, or fails.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// The settings close sign-up.
    #[error("sign-up is closed")]
    SignupClosed,
    /// The invitation is unknown, used or revoked, or has expired.
    #[error("the invitation is not accepted")]
    InvitationRefused,
    /// The invitation is for another username.
    #[error("the invitation is for another username")]
    NotInvited,
    /// The reset code is unknown, used or replaced, or has expired or ended.
    #[error("the reset code is not accepted")]
    ResetCodeRefused,
    /// Another user has the username.
    #[error("the username is taken")]
    UsernameTaken,
    /// A new password is not good enough.
    #[error(transparent)]
    PasswordRejected(#[from] PasswordRejection),
    /// No such user, or not their password.
    #[error("wrong credentials: {0}")]
    InvalidCredentials(CredentialsRefusal),
    /// A user who is signed in gave another password than their current one.
    #[error("not the current password")]
    WrongPassword(UserId),
    /// The account was deleted meanwhile.
    #[error("the account is gone")]
    AccountGone,
    /// The password was right, but the user is disabled.
    #[error("the account is disabled")]
    AccountDisabled(UserId),
    /// The password was right, but the user must change it before anything else.
    #[error("the password must be changed")]
    PasswordChangeRequired {
        /// The user.
        user: UserId,
        /// The reset code with which they can.
        code: SecretString,
        /// How long that lasts.
        expires_in: Duration,
    },
    /// The user is disabled, so nothing can be made for them.
    #[error("the user is disabled")]
    UserDisabled(UserId),
    /// The session's user has not given their password recently enough.
    #[error("the password was given too long ago")]
    ConfirmationRequired(UserId),
    /// Too many passwords are waiting to be hashed.
    #[error("too many passwords are waiting to be hashed")]
    Busy {
        /// After what time the client may try again.
        retry_after: Duration,
        /// The user whose password it would be, if there is one. For the log only.
        user: Option<UserId>,
    },
    /// Too many passwords were wrong, too many tokens were not issued by this server, or a budget is spent.
    #[error("{axis}")]
    TooManyAttempts {
        /// What was too much, and where it is counted.
        axis: Axis,
        /// After what time the next attempt is admitted, in whole seconds.
        retry_after: Duration,
        /// The user whom the attempt is about, if there is one. For the log only.
        user: Option<UserId>,
    },
    /// The verb takes a session, and an API token was presented.
    #[error("an API token may not do this")]
    SessionRequired(UserId),
    /// A user can't have an attribute.
    #[error(transparent)]
    AttributeRejected(#[from] AttributeError),
    /// The wanted API token can't be made.
    #[error("not an API token that can be made")]
    ApiTokenRejected(Vec<ApiTokenRejection>),
    /// The user has as many API tokens as the settings allow.
    #[error("too many API tokens")]
    TooManyApiTokens {
        /// How many a user may have.
        at_most: usize,
    },
    /// There are [as many invitations](crate::domain::MAX_INVITATIONS) as there can be.
    #[error("too many invitations")]
    TooManyInvitations,
    /// The token is refused.
    #[error("the token was refused: {0}")]
    TokenRefused(#[from] TokenRefusal),
    /// No administrator would be left.
    #[error("the last administrator")]
    LastAdministrator,
    /// The signing key can't be replaced.
    #[error(transparent)]
    Rotation(RotationError),
    /// Lines of an import are bad, or users are in the way. Nothing was imported.
    #[error("{} lines of an import are bad, and {} users are in the way", .0.bad, .0.conflicts)]
    ImportRefused(Box<ImportReport>),
    /// An import can't be read, for this reason. Nothing was imported.
    #[error("an import can't be read: {0}")]
    ImportUnreadable(String),
    /// An import is decided, and the store failed before each of its users was there. The next start of the store does the rest.
    #[error("an import is decided and not finished: {0}")]
    ImportUnfinished(StoreError),
    /// Another import is going on.
    #[error("another import is going on")]
    ImportInProgress,
    /// The user has none of these roles.
    #[error("none of the roles")]
    MissingRole(Vec<Role>),
    /// The API token of this user was not made for the administration.
    #[error("an API token without the scope admin")]
    MissingScope(UserId),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An invariant does not hold.
    #[error("internal error: {0}")]
    Internal(String),
}

impl From<HashingError> for AuthError {
    fn from(error: HashingError) -> Self {
        match error {
            HashingError::Rejected(why) => Self::PasswordRejected(why),
            HashingError::Busy { retry_after } => Self::Busy {
                retry_after,
                user: None,
            },
            HashingError::Internal(cause) => Self::Internal(cause),
        }
    }
}

impl From<ThrottleError> for AuthError {
    fn from(error: ThrottleError) -> Self {
        match error {
            ThrottleError::TooMany { axis, retry_after } => Self::TooManyAttempts {
                axis,
                retry_after,
                user: None,
            },
            ThrottleError::Store(error) => Self::Store(error),
        }
    }
}

impl AuthError {
    /// The same about `whom`, if the log says of such an error whom it is about and does not know yet.
    pub(super) fn about(mut self, whom: Option<UserId>) -> Self {
        if let Self::Busy { user, .. } | Self::TooManyAttempts { user, .. } = &mut self {
            *user = user.or(whom);
        }
        self
    }
}

impl From<SigningError> for AuthError {
    fn from(error: SigningError) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<StartError> for AuthError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Store(error) => Self::Store(error),
            error => Self::Internal(error.to_string()),
        }
    }
}

impl From<RotationError> for AuthError {
    fn from(error: RotationError) -> Self {
        match error {
            RotationError::Open(error) => error.into(),
            error @ (RotationError::Given(_) | RotationError::NoKey) => Self::Rotation(error),
        }
    }
}

/// What was wrong with a username and password. For the log only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsRefusal {
    /// No user can have the name, or no user can have the password. With the user who has the name, if there is one.
    #[error("malformed")]
    Malformed(Option<UserId>),
    /// No user has the name.
    #[error("no such user")]
    NoSuchUser,
    /// The user with the name has another password.
    #[error("not the password")]
    WrongPassword(UserId),
    /// Both were right, but the user was deleted, disabled or given another password meanwhile.
    #[error("changed meanwhile")]
    ChangedMeanwhile(UserId),
}

/// Why a wanted API token can't be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiTokenRejection {
    /// It has no role.
    #[error("An API token has at least one role.")]
    NoRole,
    /// Its user lacks one of its roles.
    #[error("You have not got all of these roles yourself.")]
    NotTheirRole,
    /// It would have the scope `admin` without the role ADMIN.
    #[error("The scope admin needs the role ADMIN among the roles of the token.")]
    NoAdministrator,
    /// It would last less than a second, or too long.
    #[error("An API token lasts for 1 to {longest} seconds.")]
    Lifetime {
        /// The longest lifetime, in seconds.
        longest: u64,
    },
}

/// Why the server can't start, or tend its keys.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A value of the configuration is not accepted, or two contradict each other.
    #[error(transparent)]
    Config(#[from] ConfigError),
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

/// Why a rotation is refused, or fails.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// The settings give the key that signs: those of this command, or those of the last start.
    #[error(
        "the signing key comes from the settings{}, so it is changed there: put another one in its place and start the server; if the old one was stolen, run key rotate --revoke before that",
        .0.as_ref().map(|origin| format!(" ({origin})")).unwrap_or_default()
    )]
    Given(Option<Origin>),
    /// No server has started on this database yet.
    #[error("there is no signing key yet; the server makes one when it starts")]
    NoKey,
    /// The keys can't be read or written.
    #[error(transparent)]
    Open(#[from] StartError),
}

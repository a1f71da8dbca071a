//! What a store does for users: it keeps them by id and by username, and knows the networks from which they sign in.

use std::sync::Arc;

use async_trait::async_trait;

use super::error::StoreError;
use crate::{
    clock::Timestamp,
    domain::{
        DeviceTokenHash, Network, PasswordHash, Session, User, UserChange, UserId, UserPage, UserQuery,
        Username,
    },
};

/// How many networks a store remembers for each user.
pub const MAX_NETWORKS: usize = 64;

/// The users, and the networks from which they sign in.
#[async_trait]
pub trait Users: Send + Sync + 'static {
    /// Adds `user`, who signed up from `network` if that is known, unless another user has the username.
    ///
    /// # Errors
    /// [`StoreError`]; the user may or may not exist then.
    async fn create_user(&self, user: User, network: Option<Network>) -> Result<UserCreation, StoreError>;

    /// Returns the user with this username.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn user_by_name(&self, name: &Username) -> Result<Option<Arc<User>>, StoreError>;

    /// Returns the user with this id.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn user(&self, id: UserId) -> Result<Option<Arc<User>>, StoreError>;

    /// Returns a page of the users whom `query` asks for, as they are at `now`, in the order of their usernames. It reads no
    /// more than belongs to the page, whatever the query, so the time does not depend on how many users there are.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn list_users(&self, query: UserQuery, now: Timestamp) -> Result<UserPage, StoreError>;

    /// Changes one user and returns the user as changed. The change holds at once for every live token of the user. A new
    /// password ends every session and every API token of the user, and the store forgets from where and with which device
    /// tokens the user has signed in. A user who is disabled has no session: to disable one ends them, and to enable one brings
    /// none back. A change that leaves no administrator is refused, by the rule of
    /// [`User::stops_administering`], however many callers ask at once.
    ///
    /// # Errors
    /// [`StoreError`]; the change may or may not have happened then.
    async fn change_user(&self, id: UserId, change: UserChange) -> Result<UserUpdate, StoreError>;

    /// Gives the user of `change.session` another password, ends every other session of theirs, and starts that one. Ends
    /// their API tokens too, unless the change keeps them. Of the networks from which the user has signed in and of their
    /// device tokens, only those of the new session are remembered. Returns the user as changed. Returns `None` and changes nothing if the user is deleted or
    /// disabled, or if `change.verified` is not the version of the user's present password.
    ///
    /// # Errors
    /// [`StoreError`]; either all of the change or none of it has happened then.
    async fn change_password(&self, change: PasswordReplacement) -> Result<Option<Arc<User>>, StoreError>;

    /// Gives a user a password that another person chose, and returns the user as changed; `None` if there is no such user. Ends
    /// every session of the user and, unless the reset keeps them, every API token, and forgets from where and with which
    /// device tokens the user has signed in.
    ///
    /// # Errors
    /// [`StoreError`]; either all of the change or none of it has happened then.
    async fn reset_password(&self, id: UserId, reset: PasswordReset)
    -> Result<Option<Arc<User>>, StoreError>;

    /// Deletes a user with every session and API token, and frees the username. Refuses it if `verified` is a version and not
    /// that of the user's present password, or if the user is the last administrator, however many callers ask at once.
    ///
    /// # Errors
    /// [`StoreError`]; either all of the deletion or none of it has happened then.
    async fn delete_user(&self, id: UserId, verified: Option<u32>) -> Result<UserDeletion, StoreError>;

    /// Returns when `user` last signed in or signed up from `network`, if the store remembers that. The moment may be up to a
    /// day older. Of more than [`MAX_NETWORKS`] networks of one user, the store forgets the one least recently noted.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn last_sign_in(&self, user: UserId, network: Network) -> Result<Option<Timestamp>, StoreError>;
}

/// Another password for a user, and the session that starts with it.
#[derive(Clone, Debug)]
pub struct PasswordReplacement {
    /// The version of the password that was verified.
    pub verified: u32,
    /// The hash of the new password.
    pub to: PasswordHash,
    /// Whether the user's API tokens stay.
    pub keeps_api_tokens: bool,
    /// The session, which says whose password it is and from which network it is changed.
    pub session: Session,
    /// The device token that the client of the session is given; `None` if it keeps none.
    pub device: Option<DeviceTokenHash>,
}

/// A password that another person chose for a user.
#[derive(Clone, Debug)]
pub struct PasswordReset {
    /// The hash of the new password.
    pub to: PasswordHash,
    /// Whether the user must change it before anything else.
    pub must_change: bool,
    /// Whether the user's API tokens stay.
    pub keeps_api_tokens: bool,
}

/// The outcome of [`change_user`](Users::change_user).
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserUpdate {
    /// This is the user now.
    Changed(Arc<User>),
    /// There is no such user.
    NoSuchUser,
    /// No administrator would be left; nothing was changed.
    LastAdministrator,
}

impl UserUpdate {
    /// Returns the user if it was changed.
    #[must_use]
    pub fn changed(self) -> Option<Arc<User>> {
        match self {
            Self::Changed(user) => Some(user),
            Self::NoSuchUser | Self::LastAdministrator => None,
        }
    }
}

/// The outcome of [`delete_user`](Users::delete_user).
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserDeletion {
    /// The user is deleted.
    Deleted,
    /// There is no such user, or the password was changed since it was verified; nothing was changed.
    NoSuchUser,
    /// No administrator would be left; nothing was changed.
    LastAdministrator,
}

/// The outcome of [`create_user`](Users::create_user).
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserCreation {
    /// The user exists.
    Created,
    /// Another user has the username; nothing was changed.
    UsernameTaken,
}

//! A user, and what can change about one.

use std::{fmt, ops::Deref, sync::Arc};

use super::{DisplayName, PasswordHash, Roles, UserId, Username};
use crate::clock::Timestamp;

/// Somebody who signed up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Names the user for ever.
    pub id: UserId,
    /// What they sign in with.
    pub username: Username,
    /// What is kept of their password.
    pub password_hash: PasswordHash,
    /// Which password of theirs that is: one more with each change. The same password under another cost is the same.
    pub password_version: u32,
    /// What they may be.
    pub roles: Roles,
    /// A disabled user can't sign in, and no token speaks for them.
    pub disabled: bool,
    /// What to call them, if they said.
    pub display_name: Option<DisplayName>,
    /// When they signed up.
    pub created_at: Timestamp,
}

/// One change to one user.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserChange {
    /// Another password.
    Password(PasswordHash),
    /// The same password under another cost: takes effect only while the hash is still `from`, so that a rehash never
    /// undoes a password change that came between.
    Rehash {
        /// The hash that was verified.
        from: PasswordHash,
        /// The new hash of the same password.
        to: PasswordHash,
    },
    /// Other roles.
    Roles(Roles),
    /// Shut out, or let in again.
    Disabled(bool),
    /// Another name to be called by, or none.
    DisplayName(Option<DisplayName>),
}

impl User {
    /// This user after `change`.
    #[must_use]
    pub fn with(mut self, change: UserChange) -> Self {
        match change {
            UserChange::Password(hash) => {
                self.password_hash = hash;
                self.password_version = self.password_version.wrapping_add(1);
            }
            UserChange::Rehash { from, to } if self.password_hash == from => self.password_hash = to,
            UserChange::Rehash { .. } => {}
            UserChange::Roles(roles) => self.roles = roles,
            UserChange::Disabled(disabled) => self.disabled = disabled,
            UserChange::DisplayName(name) => self.display_name = name,
        }
        self
    }
}

impl AsRef<Self> for User {
    fn as_ref(&self) -> &Self {
        self
    }
}

/// A user, who may lie in one piece of memory with something else, so that there is one place less to look at. Cheap to clone.
#[derive(Clone)]
pub struct SharedUser(Arc<dyn AsRef<User> + Send + Sync>);

impl<T: AsRef<User> + Send + Sync + 'static> From<Arc<T>> for SharedUser {
    fn from(holder: Arc<T>) -> Self {
        Self(holder)
    }
}

impl Deref for SharedUser {
    type Target = User;

    fn deref(&self) -> &User {
        (*self.0).as_ref()
    }
}

impl PartialEq for SharedUser {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for SharedUser {}

impl fmt::Debug for SharedUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
impl User {
    /// Somebody without roles, whose password nobody knows.
    pub(crate) fn somebody(username: &str, created_at: Timestamp) -> Self {
        let hash = format!("$2b$04${}", ".".repeat(53));
        Self {
            id: UserId::generate(created_at),
            username: Username::parse(username).unwrap(),
            password_hash: PasswordHash::parse(&hash).unwrap(),
            password_version: 0,
            roles: Roles::default(),
            disabled: false,
            display_name: None,
            created_at,
        }
    }
}

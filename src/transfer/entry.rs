//! One user of an import, checked.

use crate::{
    clock::Timestamp,
    domain::{DisplayName, PasswordHash, Roles, UserId, Username},
};

/// One user of an import. What is `None` is for the importing server to choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The id that the user had; an export has it.
    pub id: Option<UserId>,
    /// The name that the user signs in with.
    pub username: Username,
    /// The bcrypt hash of their password, as it came.
    pub password_hash: PasswordHash,
    /// Their roles. Not an empty set, unless the line says so.
    pub roles: Option<Roles>,
    /// Whether the user is disabled.
    pub disabled: bool,
    /// The name under which they are shown.
    pub display_name: Option<DisplayName>,
    /// When the user was created.
    pub created_at: Option<Timestamp>,
}

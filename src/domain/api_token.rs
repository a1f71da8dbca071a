//! An API token: what a service presents instead of a person's password. It speaks for the user who made it, with some of
//! their roles, until a moment that was set when it was made. The text of it is not here: see `auth`.

use std::fmt;

use super::{ApiTokenId, ApiTokenName, Roles, User, UserId};
use crate::clock::Timestamp;

/// An API token, as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiToken {
    /// Names it, to list and to revoke it.
    pub id: ApiTokenId,
    /// Who made it, and whom it speaks for.
    pub user: UserId,
    /// What is kept of its text.
    pub hash: ApiTokenHash,
    /// What its user calls it.
    pub name: ApiTokenName,
    /// What it may be at the most.
    pub roles: Roles,
    /// When it was made.
    pub created_at: Timestamp,
    /// The first second at which it is no longer good.
    pub expires_at: Timestamp,
    /// When it was used last, as far as that is known.
    pub used_at: Option<Timestamp>,
}

impl ApiToken {
    /// What it may be, now that `user` is this: never more than they are, so that a role that is taken from them is taken
    /// from their tokens.
    #[must_use]
    pub fn roles_as_of(&self, user: &User) -> Roles {
        self.roles.shared_with(&user.roles)
    }
}

#[cfg(test)]
impl ApiToken {
    /// One of `user`'s, without roles, whose text nobody knows.
    pub(crate) fn somebodys(user: UserId, created_at: Timestamp) -> Self {
        Self {
            id: ApiTokenId::generate(created_at),
            user,
            hash: ApiTokenHash(super::random()),
            name: ApiTokenName::parse("deploy").unwrap(),
            roles: Roles::default(),
            created_at,
            expires_at: created_at.plus(std::time::Duration::from_hours(24)),
            used_at: None,
        }
    }
}

/// SHA-256 of an API token's text. The text has 256 random bits, so nobody can guess it from this, however fast they are:
/// the slow hashes are for what people think up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiTokenHash([u8; 32]);

impl ApiTokenHash {
    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The hash with these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for ApiTokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiTokenHash(…)")
    }
}

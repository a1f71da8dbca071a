//! A user, and what can change about one.

use std::fmt;

use super::{PasswordHash, Roles, UserId, Username};
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

/// What a user wants to be called: 1 to 64 characters, none of them a control character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisplayName(Box<str>);

impl DisplayName {
    /// The name that `input` is, without the white space around it.
    ///
    /// # Errors
    /// [`DisplayNameError`] if it is empty, too long, or has a control character.
    pub fn parse(input: &str) -> Result<Self, DisplayNameError> {
        let name = input.trim();
        let good = (1..=64).contains(&name.chars().count()) && !name.chars().any(char::is_control);
        good.then(|| Self(name.into())).ok_or(DisplayNameError)
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DisplayName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is no [`DisplayName`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("A display name has 1 to 64 characters and no control characters.")]
pub struct DisplayNameError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_display_name_is_trimmed_and_has_no_control_characters() {
        assert_eq!(
            DisplayName::parse(" Ada Lovelace ").unwrap().as_str(),
            "Ada Lovelace"
        );
        assert!(DisplayName::parse(&"é".repeat(64)).is_ok());
        for bad in ["", "  ", "a\nb", "a\u{1b}[2Jb", &"é".repeat(65)] {
            assert_eq!(DisplayName::parse(bad), Err(DisplayNameError), "{bad:?}");
        }
    }
}

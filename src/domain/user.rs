//! A user, and the changes that can be made to one.

use std::{fmt, ops::Deref, sync::Arc};

use super::{DisplayName, PasswordHash, Role, Roles, UserId, Username};
use crate::clock::Timestamp;

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Names the user, and never changes.
    pub id: UserId,
    /// The name that the user signs in with.
    pub username: Username,
    /// The hash of their password.
    pub password_hash: PasswordHash,
    /// The number of that password: each change of the password adds one, a rehash under another cost does not.
    pub password_version: u32,
    /// Their roles.
    pub roles: Roles,
    /// Whether the user is disabled: a disabled user can't sign in, and none of their tokens is accepted.
    pub disabled: bool,
    /// The name under which they are shown; `None` if they have not chosen one.
    pub display_name: Option<DisplayName>,
    /// When the user was created.
    pub created_at: Timestamp,
}

/// One change to one user.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserChange {
    /// Another password.
    Password(PasswordHash),
    /// The same password under another cost. It takes effect only while the hash is still `from`, so a rehash never undoes a
    /// password change that came between.
    Rehash {
        /// The hash that was verified.
        from: PasswordHash,
        /// The new hash of the same password.
        to: PasswordHash,
    },
    /// Other roles.
    Roles(Roles),
    /// Disabled, or enabled again.
    Disabled(bool),
    /// Another display name, or none.
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

    /// Whether the user is an administrator who can act: not disabled.
    #[must_use]
    pub fn is_administrator(&self) -> bool {
        !self.disabled && self.roles.contains(&Role::ADMIN)
    }

    /// Whether this user stops being an [administrator](Self::is_administrator) by becoming `after`, or by being deleted if that
    /// is `None`. The last administrator must not.
    #[must_use]
    pub fn stops_administering(&self, after: Option<&Self>) -> bool {
        self.is_administrator() && !after.is_some_and(Self::is_administrator)
    }
}

impl AsRef<Self> for User {
    fn as_ref(&self) -> &Self {
        self
    }
}

/// A user inside an allocation that may hold more than the user, which saves one read from memory. Cheap to clone.
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
    /// A user without roles, whose hash belongs to no known password.
    pub(crate) fn sample(username: &str, created_at: Timestamp) -> Self {
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

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn hash(filler: &str) -> PasswordHash {
        PasswordHash::parse(&format!("$2b$04${}", filler.repeat(53))).unwrap()
    }

    #[test]
    fn each_change_changes_only_what_it_names() {
        let user = User::sample("ada", NOW);
        let name = DisplayName::parse("Ada").unwrap();
        let roles: Roles = [Role::ADMIN].into_iter().collect();
        for (change, expected) in [
            (
                UserChange::Password(hash("a")),
                User {
                    password_hash: hash("a"),
                    password_version: 1,
                    ..user.clone()
                },
            ),
            (
                UserChange::Roles(roles.clone()),
                User {
                    roles,
                    ..user.clone()
                },
            ),
            (
                UserChange::Disabled(true),
                User {
                    disabled: true,
                    ..user.clone()
                },
            ),
            (
                UserChange::DisplayName(Some(name.clone())),
                User {
                    display_name: Some(name),
                    ..user.clone()
                },
            ),
        ] {
            assert_eq!(user.clone().with(change), expected);
        }
    }

    #[test]
    fn a_rehash_never_undoes_a_password_change() {
        let user = User::sample("ada", NOW);
        let rehash = UserChange::Rehash {
            from: user.password_hash.clone(),
            to: hash("b"),
        };
        let rehashed = user.clone().with(rehash.clone());
        assert_eq!(rehashed.password_hash, hash("b"));
        assert_eq!(rehashed.password_version, 0, "it is the same password");
        let changed = user.with(UserChange::Password(hash("a")));
        assert_eq!(changed.clone().with(rehash), changed);
    }

    #[test]
    fn an_administrator_has_the_role_and_is_enabled() {
        let user = User::sample("ada", NOW);
        let admin = user.clone().with(UserChange::Roles(
            [Role::CLIENT, Role::ADMIN].into_iter().collect(),
        ));
        let disabled = admin.clone().with(UserChange::Disabled(true));
        let renamed = admin.clone().with(UserChange::DisplayName(None));
        for (before, after, stops) in [
            (&user, None, false),
            (&user, Some(&admin), false),
            (&admin, Some(&renamed), false),
            (&admin, Some(&user), true),
            (&admin, Some(&disabled), true),
            (&admin, None, true),
            (&disabled, None, false),
        ] {
            assert_eq!(before.stops_administering(after), stops, "{before:?} {after:?}");
        }
    }

    #[test]
    fn a_shared_user_is_compared_and_shown_as_the_user() {
        let user = Arc::new(User::sample("ada", NOW));
        let shared = SharedUser::from(Arc::clone(&user));
        assert_eq!(shared, SharedUser::from(Arc::new(User::clone(&user))));
        assert_eq!(format!("{shared:?}"), format!("{user:?}"));
        assert!(!format!("{shared:?}").contains("$2b$"), "it shows the hash");
    }
}

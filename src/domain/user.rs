//! A user, and the changes that can be made to one.

use std::{fmt, ops::Deref, sync::Arc};

use super::{AttributeValue, Attributes, DisplayName, PasswordHash, Role, UserId, UserRoles, Username};
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
    /// Whether the user must change that password, which another person chose, before anything else.
    pub must_change_password: bool,
    /// Their roles.
    pub roles: UserRoles,
    /// Whether the user is disabled: a disabled user can't sign in, and none of their tokens is accepted.
    pub disabled: bool,
    /// The name under which they are shown; `None` if they have not chosen one.
    pub display_name: Option<DisplayName>,
    /// What administrators note of them.
    pub attributes: Attributes,
    /// When the user was created.
    pub created_at: Timestamp,
}

/// One change to one user.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserChange {
    /// Another password.
    Password(PasswordHash),
    /// Another password, which the user must change before anything else.
    TemporaryPassword(PasswordHash),
    /// The same password under another cost. It takes effect only while the hash is still `from`, so a rehash never undoes a
    /// password change that came between.
    Rehash {
        /// The hash that was verified.
        from: PasswordHash,
        /// The new hash of the same password.
        to: PasswordHash,
    },
    /// Other roles.
    Roles(UserRoles),
    /// One more role, or another end of one: `None` for a role without an end.
    GiveRole(Role, Option<Timestamp>),
    /// One role less.
    TakeRole(Role),
    /// Disabled, or enabled again.
    Disabled(bool),
    /// Another display name, or none.
    DisplayName(Option<DisplayName>),
    /// Other attributes.
    Attributes(Attributes),
    /// One more attribute, or another value of one. Changes nothing if they would be too long together.
    SetAttribute(String, AttributeValue),
    /// Without this attribute.
    TakeAttribute(String),
}

impl User {
    /// This user after `change`.
    #[must_use]
    pub fn with(mut self, change: UserChange) -> Self {
        self.must_change_password = match change {
            UserChange::Password(_) => false,
            UserChange::TemporaryPassword(_) => true,
            _ => self.must_change_password,
        };
        match change {
            UserChange::Password(hash) | UserChange::TemporaryPassword(hash) => {
                self.password_hash = hash;
                self.password_version = self.password_version.wrapping_add(1);
            }
            UserChange::Rehash { from, to } if self.password_hash == from => self.password_hash = to,
            UserChange::Rehash { .. } => {}
            UserChange::Roles(roles) => self.roles = roles,
            UserChange::Disabled(disabled) => self.disabled = disabled,
            UserChange::DisplayName(name) => self.display_name = name,
            UserChange::GiveRole(role, until) => self.roles = self.roles.with(role, until),
            UserChange::TakeRole(role) => self.roles = self.roles.without(&role),
            UserChange::Attributes(attributes) => self.attributes = attributes,
            UserChange::SetAttribute(name, value) => {
                if let Ok(attributes) = self.attributes.with(&name, value) {
                    self.attributes = attributes;
                }
            }
            UserChange::TakeAttribute(name) => self.attributes = self.attributes.without(&name),
        }
        self
    }

    /// A new user without a display name, whose password nothing asks to be changed.
    #[must_use]
    pub fn new(username: Username, password_hash: PasswordHash, roles: UserRoles, now: Timestamp) -> Self {
        Self {
            id: UserId::generate(now),
            username,
            password_hash,
            password_version: 0,
            must_change_password: false,
            roles,
            disabled: false,
            display_name: None,
            attributes: Attributes::default(),
            created_at: now,
        }
    }

    /// This user with the roles that hold at `now`, as if they were all.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> Self {
        Self {
            roles: self.roles.at(now).into(),
            ..self.clone()
        }
    }

    /// Whether the user is an administrator who can act: not disabled, and with a role that does not end.
    #[must_use]
    pub fn is_administrator(&self) -> bool {
        !self.disabled && self.roles.lasting().contains(&Role::ADMIN)
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
        let hash = PasswordHash::parse(&format!("$2b$04${}", ".".repeat(53))).unwrap();
        let username = Username::parse(username).unwrap();
        Self::new(username, hash, UserRoles::default(), created_at)
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
        let roles: UserRoles = [Role::ADMIN].into_iter().collect();
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
    fn a_temporary_password_is_to_be_changed_until_it_is() {
        let user = User::sample("ada", NOW);
        assert!(!user.must_change_password);
        let given = user.with(UserChange::TemporaryPassword(hash("a")));
        let renamed = given.with(UserChange::DisplayName(None));
        assert!(renamed.must_change_password && renamed.password_version == 1);
        let changed = renamed.with(UserChange::Password(hash("b")));
        assert!(!changed.must_change_password && changed.password_version == 2);
    }

    #[test]
    fn one_role_is_given_and_taken_without_the_others() {
        let user = User::sample("ada", NOW).with(UserChange::GiveRole(Role::CLIENT, None));
        let given = user.clone().with(UserChange::GiveRole(Role::ADMIN, Some(NOW)));
        assert_eq!(given.roles.ending(), [(Role::ADMIN, NOW)]);
        assert_eq!(given.roles.lasting().to_string(), "CLIENT");
        assert_eq!(given.with(UserChange::TakeRole(Role::ADMIN)), user);
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
        let until = Some(NOW.plus(std::time::Duration::from_secs(1)));
        let for_a_while = admin.clone().with(UserChange::GiveRole(Role::ADMIN, until));
        let renamed = admin.clone().with(UserChange::DisplayName(None));
        for (before, after, stops) in [
            (&user, None, false),
            (&user, Some(&admin), false),
            (&admin, Some(&renamed), false),
            (&admin, Some(&user), true),
            (&admin, Some(&disabled), true),
            (&admin, Some(&for_a_while), true),
            (&for_a_while, None, false),
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

//! Roles: their names, and the set of roles that a user has.

use std::{
    borrow::Cow,
    fmt,
    str::FromStr,
    sync::{Arc, LazyLock},
};

/// The name of a role: `[A-Z][A-Z0-9_-]{0,31}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Role(Cow<'static, str>);

impl Role {
    /// The role that each user gets at sign-up, unless the settings give others.
    pub const CLIENT: Self = Self(Cow::Borrowed("CLIENT"));
    /// The role of administrators.
    pub const ADMIN: Self = Self(Cow::Borrowed("ADMIN"));

    /// The role named `input`, exactly: case matters, and nothing is trimmed.
    ///
    /// # Errors
    /// [`RoleError`] if `input` does not have the form above.
    pub fn parse(input: &str) -> Result<Self, RoleError> {
        let starts_well = input.starts_with(|c: char| c.is_ascii_uppercase());
        let goes_on_well = input
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'));
        if starts_well && goes_on_well && input.len() <= 32 {
            let known = [Self::CLIENT, Self::ADMIN]
                .into_iter()
                .find(|role| role.0 == input);
            Ok(known.unwrap_or_else(|| Self(Cow::Owned(input.to_owned()))))
        } else {
            Err(RoleError)
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Role {
    type Err = RoleError;

    fn from_str(input: &str) -> Result<Self, RoleError> {
        Self::parse(input)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is not the name of a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("A role has 1 to 32 of A-Z, 0-9, _ and -, and starts with a letter.")]
pub struct RoleError;

static CLIENT_ALONE: LazyLock<Roles> = LazyLock::new(|| Roles([Role::CLIENT].into()));

/// The roles of one user, each once, in the order in which they were given. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Roles(Arc<[Role]>);

impl Roles {
    /// Whether `role` is among them.
    #[must_use]
    pub fn contains(&self, role: &Role) -> bool {
        self.0.contains(role)
    }

    /// Whether there are no roles.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether each of these roles is among `others`.
    #[must_use]
    pub fn are_among(&self, others: &Self) -> bool {
        self.iter().all(|role| others.contains(role))
    }

    /// Those of these roles that are among `others`, in this order.
    #[must_use]
    pub fn shared_with(&self, others: &Self) -> Self {
        if self.are_among(others) {
            return self.clone();
        }
        self.iter()
            .filter(|role| others.contains(role))
            .cloned()
            .collect()
    }

    /// The roles, in the order in which they were given.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Role> {
        self.0.iter()
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        let mut unique: Vec<Role> = Vec::new();
        for role in roles {
            if !unique.contains(&role) {
                unique.push(role);
            }
        }
        // Nearly every user has this role alone, so they share one allocation.
        if unique == [Role::CLIENT] {
            return CLIENT_ALONE.clone();
        }
        Self(unique.into())
    }
}

/// The names of the roles, separated by one space.
impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, role) in self.0.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { " " })?;
            f.write_str(role.as_str())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_upper_case_and_starts_with_a_letter() {
        for good in ["A", "ADMIN", "TEAM_7-B", &"X".repeat(32)] {
            assert_eq!(Role::parse(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "admin",
            "7UP",
            "_X",
            "A B",
            " ADMIN",
            "ADMIN\n",
            "É",
            &"X".repeat(33),
        ] {
            assert_eq!(Role::parse(bad), Err(RoleError), "{bad:?}");
        }
    }

    #[test]
    fn each_role_is_kept_once_and_in_order() {
        let roles: Roles = [Role::CLIENT, Role::ADMIN, Role::CLIENT].into_iter().collect();
        assert_eq!(roles.to_string(), "CLIENT ADMIN");
        assert!(roles.contains(&Role::ADMIN));
        assert_eq!(Roles::default().to_string(), "");
    }

    #[test]
    fn the_roles_that_two_sets_share_are_in_both() {
        let roles = |names: &[&str]| {
            names
                .iter()
                .map(|name| Role::parse(name).unwrap())
                .collect::<Roles>()
        };
        for (one, other, shared) in [
            (&["A", "B"][..], &["B", "A", "C"][..], &["A", "B"][..]),
            (&["A", "B"], &["C", "B"], &["B"]),
            (&["A"], &["AA"], &[]),
            (&[], &["A"], &[]),
        ] {
            let (one, other) = (roles(one), roles(other));
            assert_eq!(one.shared_with(&other), roles(shared));
            assert_eq!(one.are_among(&other), one.shared_with(&other) == one);
        }
    }
}

//! The roles of a user, some of which may end. Which of them hold depends on the time, so they are read only by a moment.

use std::sync::Arc;

use super::{Role, Roles};
use crate::clock::Timestamp;

/// The roles that a user was given, each without an end or until a moment. Cheap to clone.
///
/// A role whose end has come stays in here until it is taken from the user, and holds no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRoles(Given);

/// Nearly all users have lasting roles alone. They are told apart without another read from memory.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Given {
    Lasting(Roles),
    Ending(Arc<WithEnds>),
}

#[derive(Debug, PartialEq, Eq)]
struct WithEnds {
    lasting: Roles,
    /// At least one.
    ending: Vec<(Role, Timestamp)>,
}

impl UserRoles {
    /// The roles that are `lasting`, and roles that hold until a moment. A role that is lasting has no end, and of several ends
    /// of a role the last one counts.
    #[must_use]
    pub fn new(lasting: Roles, ends: impl IntoIterator<Item = (Role, Timestamp)>) -> Self {
        let mut ending: Vec<(Role, Timestamp)> = Vec::new();
        for (role, until) in ends {
            match ending.iter_mut().find(|(other, _)| *other == role) {
                Some((_, end)) => *end = until,
                None if lasting.contains(&role) => {}
                None => ending.push((role, until)),
            }
        }
        if ending.is_empty() {
            return lasting.into();
        }
        Self(Given::Ending(Arc::new(WithEnds { lasting, ending })))
    }

    /// The roles that hold at `now`. A role holds up to the second before its end.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> Roles {
        let holding = self.ending().iter().filter(|(_, until)| now < *until);
        let mut holding = holding.map(|(role, _)| role.clone()).peekable();
        if holding.peek().is_none() {
            return self.lasting().clone();
        }
        self.lasting().iter().cloned().chain(holding).collect()
    }

    /// Whether `role` holds at `now`.
    #[must_use]
    pub fn contains(&self, role: &Role, now: Timestamp) -> bool {
        let ending = self.ending().iter();
        self.lasting().contains(role)
            || ending
                .into_iter()
                .any(|(other, until)| other == role && now < *until)
    }

    /// Whether `role` is among them, also if its end has come.
    #[must_use]
    pub fn was_given(&self, role: &Role) -> bool {
        self.lasting().contains(role) || self.ending().iter().any(|(other, _)| other == role)
    }

    /// The roles without an end.
    #[must_use]
    pub fn lasting(&self) -> &Roles {
        match &self.0 {
            Given::Lasting(roles) => roles,
            Given::Ending(roles) => &roles.lasting,
        }
    }

    /// The roles with an end, and the first moment at which each does not hold.
    #[must_use]
    pub fn ending(&self) -> &[(Role, Timestamp)] {
        match &self.0 {
            Given::Lasting(_) => &[],
            Given::Ending(roles) => &roles.ending,
        }
    }

    /// These roles and `role`, without an end or `until` a moment. An end that it had before is forgotten.
    #[must_use]
    pub fn with(&self, role: Role, until: Option<Timestamp>) -> Self {
        let others = self.without(&role);
        let lasting = others.lasting().iter().cloned();
        match until {
            None => Self::new(lasting.chain([role]).collect(), others.ending().to_vec()),
            Some(until) => Self::new(lasting.collect(), [others.ending(), &[(role, until)]].concat()),
        }
    }

    /// These roles without `role`.
    #[must_use]
    pub fn without(&self, role: &Role) -> Self {
        let lasting = self.lasting().iter().filter(|other| *other != role);
        let ending = self.ending().iter().filter(|(other, _)| other != role);
        Self::new(lasting.cloned().collect(), ending.cloned())
    }
}

/// No roles.
impl Default for UserRoles {
    fn default() -> Self {
        Roles::default().into()
    }
}

/// Roles without an end.
impl From<Roles> for UserRoles {
    fn from(roles: Roles) -> Self {
        Self(Given::Lasting(roles))
    }
}

/// Roles without an end.
impl FromIterator<Role> for UserRoles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        Roles::from_iter(roles).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn role(name: &str) -> Role {
        Role::parse(name).unwrap()
    }

    #[test]
    fn a_role_holds_up_to_the_second_before_its_end() {
        let roles = UserRoles::from_iter([Role::CLIENT]).with(role("FAMILY"), Some(END));
        for (now, held) in [(END.as_secs() - 1, "CLIENT FAMILY"), (END.as_secs(), "CLIENT")] {
            let now = Timestamp::from_secs(now);
            assert_eq!(roles.at(now).to_string(), held);
            assert_eq!(roles.contains(&role("FAMILY"), now), held.ends_with("FAMILY"));
            assert!(roles.contains(&Role::CLIENT, now));
        }
        assert_eq!(roles.lasting().to_string(), "CLIENT");
        assert_eq!(roles.ending(), [(role("FAMILY"), END)]);
    }

    #[test]
    fn a_role_has_one_end_or_none() {
        let one = UserRoles::default().with(role("A"), Some(END));
        let later = END.plus(std::time::Duration::from_secs(7));
        assert_eq!(one.with(role("A"), Some(later)).ending(), [(role("A"), later)]);
        assert_eq!(one.with(role("A"), None), [role("A")].into_iter().collect());
        assert_eq!(one.with(role("A"), None).with(role("A"), Some(END)), one);
        assert_eq!(one.without(&role("A")), UserRoles::default());
        assert_eq!(one.without(&role("B")), one);
        let both = UserRoles::new([role("A")].into_iter().collect(), [(role("A"), END)]);
        assert_eq!(both, [role("A")].into_iter().collect());
    }

    #[test]
    fn roles_without_an_end_take_no_more_memory_than_a_set() {
        assert_eq!(size_of::<UserRoles>(), size_of::<Roles>());
    }
}

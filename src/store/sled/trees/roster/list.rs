//! Which lists of the roster there are, and which of them have a user.

use crate::domain::{Role, User};

/// A list, as the start of the keys of its parts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct List(Vec<u8>);

impl List {
    /// The list of the users who are `disabled`, or of those who are not. If there is a `role`, of those who have it.
    pub(super) fn of_users(role: Option<&Role>, disabled: bool) -> Self {
        let mut start = vec![if disabled { b'd' } else { b'e' }];
        start.extend(role.map_or("", Role::as_str).as_bytes());
        start.push(0);
        Self(start)
    }

    /// The list of the administrators.
    pub(super) fn of_administrators() -> Self {
        Self(vec![b'a', 0])
    }

    /// Returns every list that has `user`.
    pub(super) fn all_with(user: &User) -> Vec<Self> {
        let mut lists = vec![Self::of_users(None, user.disabled)];
        // Whether a role has ended is known only when the list is read.
        let (lasting, ending) = (user.roles.lasting().iter(), user.roles.ending().iter());
        let roles = lasting.chain(ending.map(|(role, _)| role));
        lists.extend(roles.map(|role| Self::of_users(Some(role), user.disabled)));
        if user.is_administrator() {
            lists.push(Self::of_administrators());
        }
        lists
    }

    /// Returns the list of the part that has this key, and the least name that belongs in the part.
    pub(super) fn of_key(key: &[u8]) -> Option<(Self, &[u8])> {
        // Neither a role nor a username has a zero.
        let end = key.iter().position(|byte| *byte == 0)? + 1;
        let (start, least) = key.split_at(end);
        Some((Self(start.to_vec()), least))
    }

    /// Returns the key of a part that begins at `name`.
    pub(super) fn key(&self, name: &[u8]) -> Vec<u8> {
        [&self.0, name].concat()
    }

    /// Whether the part with this key is one of this list.
    pub(super) fn has(&self, key: &[u8]) -> bool {
        key.starts_with(&self.0)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

//! The members of a part, as bytes.

use crate::{
    domain::UserId,
    store::{error::StoreError, records::format},
};

/// How many bytes a part has at most: it is divided before it gets longer. A write replaces a whole part, so that a longer one
/// would make groups of writes longer: see [`BATCH`](crate::store::sled::commit::group::BATCH).
pub(super) const LONGEST: usize = 512;
/// The length of an id.
const ID: usize = 16;

/// A user in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member<'a> {
    pub(super) name: &'a [u8],
    pub(super) id: UserId,
}

impl Member<'_> {
    /// How many bytes it takes.
    fn len(self) -> usize {
        1 + self.name.len() + ID
    }

    /// Appends the member to a part.
    pub(super) fn append_to(self, part: &mut Vec<u8>) {
        // A username has at most 64 bytes.
        part.push(self.name.len().to_le_bytes()[0]);
        part.extend(self.name);
        part.extend(self.id.as_bytes());
    }
}

/// Returns the members of `part`.
///
/// # Errors
/// [`StoreError::Unreadable`] if the part ends within one.
pub(super) fn members(mut part: &[u8]) -> Result<Vec<Member<'_>>, StoreError> {
    let mut members = Vec::new();
    while let Some((length, rest)) = part.split_first() {
        let (member, others) = rest
            .split_at_checked(usize::from(*length) + ID)
            .ok_or_else(|| format::unreadable("a part of the roster"))?;
        let (name, id) = member.split_at(usize::from(*length));
        let id = UserId::from_bytes(format::fixed(id, "user id")?);
        members.push(Member { name, id });
        part = others;
    }
    Ok(members)
}

pub(super) fn write(members: &[Member<'_>]) -> Vec<u8> {
    let mut part = Vec::with_capacity(length(members));
    for member in members {
        member.append_to(&mut part);
    }
    part
}

/// How many bytes `members` take.
pub(super) fn length(members: &[Member<'_>]) -> usize {
    members.iter().map(|member| member.len()).sum()
}

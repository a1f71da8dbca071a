//! What a write of a user changes in the roster.
//!
//! The change is worked out before the transaction that makes it: only the committing thread writes, so nothing comes between.

use sled::transaction::{TransactionalTree, UnabortableTransactionError};

use super::{
    list::List,
    part::{self, LONGEST, Member, members},
};
use crate::{
    domain::{User, UserId},
    store::{error::StoreError, sled::trees::Trees},
};

/// Parts with their new content, by key. `None` for a part that goes.
#[derive(Default)]
pub(crate) struct RosterChange(Vec<(Vec<u8>, Option<Vec<u8>>)>);

impl RosterChange {
    /// Makes the change, as part of a transaction.
    pub(crate) fn make(&self, roster: &TransactionalTree) -> Result<(), UnabortableTransactionError> {
        for (key, part) in &self.0 {
            match part {
                Some(part) => roster.insert(key.as_slice(), part.as_slice())?,
                None => roster.remove(key.as_slice())?,
            };
        }
        Ok(())
    }
}

impl Trees {
    /// Returns what changes in the roster when the user `before` becomes `after`, who has the same name. `None` stands for no user.
    pub(crate) fn roster_change(
        &self,
        before: Option<&User>,
        after: Option<&User>,
    ) -> Result<RosterChange, StoreError> {
        let lists = |user: Option<&User>| user.map_or_else(Vec::new, List::all_with);
        let (old, new) = (lists(before), lists(after));
        let mut change = RosterChange::default();
        if let Some(user) = before {
            for list in old.iter().filter(|list| !new.contains(list)) {
                self.take_out(list, user, &mut change)?;
            }
        }
        if let Some(user) = after {
            for list in new.iter().filter(|list| !old.contains(list)) {
                self.put_in(list, user, &mut change)?;
            }
        }
        Ok(change)
    }

    /// Whether there is an administrator who can act, besides this user.
    pub(crate) fn has_administrator_besides(&self, user: UserId) -> Result<bool, StoreError> {
        let list = List::of_administrators();
        for entry in self.roster.scan_prefix(list.as_bytes()) {
            let (_, part) = entry.map_err(StoreError::failed)?;
            if members(&part)?.iter().any(|member| member.id != user) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn put_in(&self, list: &List, user: &User, change: &mut RosterChange) -> Result<(), StoreError> {
        let name = user.username.as_str().as_bytes();
        let covering = self.covering_part(list, name)?;
        let (key, part) = match &covering {
            Some((key, part)) => (key.to_vec(), part.as_ref()),
            None => (list.key(&[]), &[][..]),
        };
        let mut members = members(part)?;
        members.retain(|member| member.name != name);
        let place = members.partition_point(|member| member.name < name);
        members.insert(place, Member { name, id: user.id });
        if part::length(&members) <= LONGEST {
            change.0.push((key, Some(part::write(&members))));
        } else {
            let (first, second) = members.split_at(members.len() / 2);
            change.0.push((key, Some(part::write(first))));
            let key = list.key(second[0].name);
            change.0.push((key, Some(part::write(second))));
        }
        Ok(())
    }

    fn take_out(&self, list: &List, user: &User, change: &mut RosterChange) -> Result<(), StoreError> {
        let name = user.username.as_str().as_bytes();
        if let Some((key, part)) = self.covering_part(list, name)? {
            let mut members = members(&part)?;
            members.retain(|member| member.name != name);
            let left = (!members.is_empty()).then(|| part::write(&members));
            change.0.push((key.to_vec(), left));
        }
        Ok(())
    }
}

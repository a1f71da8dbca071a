//! What a write of users changes in the roster.
//!
//! The change is worked out before the transaction that makes it: only the committing thread writes, so nothing comes between.
//! A change of several users sees what it has worked out for those before.

use std::collections::BTreeMap;

use sled::transaction::{TransactionalTree, UnabortableTransactionError};

use super::{
    list::List,
    part::{self, LONGEST, Member, members},
};
use crate::{
    domain::{User, UserId},
    store::{
        error::StoreError,
        sled::{memory::reserved::ReservedNames, trees::Trees},
    },
};

/// Parts with their new content, by key. `None` for a part that goes.
#[derive(Default)]
pub(crate) struct RosterChange(BTreeMap<Vec<u8>, Option<Vec<u8>>>);

/// The key of a part, and its content.
type PlannedPart = (Vec<u8>, Vec<u8>);

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
        let mut change = RosterChange::default();
        self.change_roster(before, after, &mut change)?;
        Ok(change)
    }

    /// Adds to `change` what [`roster_change`](Self::roster_change) returns.
    pub(crate) fn change_roster(
        &self,
        before: Option<&User>,
        after: Option<&User>,
        change: &mut RosterChange,
    ) -> Result<(), StoreError> {
        let lists = |user: Option<&User>| user.map_or_else(Vec::new, List::all_with);
        let (old, new) = (lists(before), lists(after));
        if let Some(user) = before {
            for list in old.iter().filter(|list| !new.contains(list)) {
                self.take_out(list, user, change)?;
            }
        }
        if let Some(user) = after {
            for list in new.iter().filter(|list| !old.contains(list)) {
                self.put_in(list, user, change)?;
            }
        }
        Ok(())
    }

    /// Whether there is an administrator who can act, besides this user and besides those whose administration ends with an import
    /// that is decided.
    pub(crate) fn has_administrator_besides(
        &self,
        user: Option<UserId>,
        reserved: &ReservedNames,
    ) -> Result<bool, StoreError> {
        let list = List::of_administrators();
        for entry in self.roster.scan_prefix(list.as_bytes()) {
            let (_, part) = entry.map_err(StoreError::failed)?;
            let stays = |member: &Member<'_>| {
                Some(member.id) != user && !reserved.ends_administration_of(member.name)
            };
            if members(&part)?.iter().any(stays) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether there is an administrator who can act.
    pub(crate) fn has_administrator(&self) -> bool {
        let list = List::of_administrators();
        self.roster.scan_prefix(list.as_bytes()).next().is_some()
    }

    /// The part of `list` in which `name` belongs after `change`, with its key.
    fn part_after(
        &self,
        change: &RosterChange,
        list: &List,
        name: &[u8],
    ) -> Result<Option<PlannedPart>, StoreError> {
        let key = list.key(name);
        let mut changed = change.0.range(..=key.clone()).rev();
        let changed = changed.find_map(|(key, part)| Some((key, part.as_ref()?)));
        let changed = changed.filter(|(key, _)| list.has(key));
        for entry in self.roster.range(..=key).rev() {
            let (key, part) = entry.map_err(StoreError::failed)?;
            if !list.has(&key) || changed.is_some_and(|(other, _)| **other > *key) {
                break;
            }
            if !change.0.contains_key(&*key) {
                return Ok(Some((key.to_vec(), part.to_vec())));
            }
        }
        Ok(changed.map(|(key, part)| (key.clone(), part.clone())))
    }

    fn put_in(&self, list: &List, user: &User, change: &mut RosterChange) -> Result<(), StoreError> {
        let name = user.username.as_str().as_bytes();
        let covering = self.part_after(change, list, name)?;
        let (key, part) = covering.unwrap_or_else(|| (list.key(&[]), Vec::new()));
        let mut members = members(&part)?;
        members.retain(|member| member.name != name);
        let place = members.partition_point(|member| member.name < name);
        members.insert(place, Member { name, id: user.id });
        if part::length(&members) <= LONGEST {
            change.0.insert(key, Some(part::write(&members)));
        } else {
            // Names that come in order leave each part as full as a rebuild makes it.
            let is_behind_all = place == members.len() - 1;
            let at = if is_behind_all {
                members.len() * 2 / 3
            } else {
                members.len() / 2
            };
            let (first, second) = members.split_at(at);
            change.0.insert(key, Some(part::write(first)));
            let key = list.key(second[0].name);
            change.0.insert(key, Some(part::write(second)));
        }
        Ok(())
    }

    fn take_out(&self, list: &List, user: &User, change: &mut RosterChange) -> Result<(), StoreError> {
        let name = user.username.as_str().as_bytes();
        if let Some((key, part)) = self.part_after(change, list, name)? {
            let mut members = members(&part)?;
            members.retain(|member| member.name != name);
            let left = (!members.is_empty()).then(|| part::write(&members));
            change.0.insert(key, left);
        }
        Ok(())
    }
}

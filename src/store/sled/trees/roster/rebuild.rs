//! The roster as a whole: whether it is what the users' records say, and how it is made of them.

use std::{collections::HashMap, hash::Hasher};

use siphasher::sip::SipHasher13;
use sled::Batch;

use super::{
    list::List,
    part::{LONGEST, Member, members},
};
use crate::{
    domain::{User, UserId, Username, random},
    store::{
        error::StoreError,
        records::{format, user::UserRecord},
        sled::trees::Trees,
    },
};

/// How full a new part is. It has room for some more users, so that the next ones do not divide it.
const FILLED: usize = LONGEST * 2 / 3;
/// How many parts one write has.
const AT_ONCE: usize = 200;

/// A sum over members of lists, which does not depend on their order. The same sum means the same members: the key of the hash is
/// random, so that no choice of names makes it lie.
#[derive(Clone)]
struct Sum {
    hasher: SipHasher13,
    value: u64,
}

impl Sum {
    fn add(&mut self, list: &List, name: &[u8], id: UserId) {
        let mut hasher = self.hasher;
        for bytes in [list.as_bytes(), name, id.as_bytes()] {
            hasher.write(bytes);
        }
        self.value = self.value.wrapping_add(hasher.finish());
    }
}

/// A part that is being filled.
struct NewPart {
    key: Vec<u8>,
    content: Vec<u8>,
}

impl Trees {
    /// Whether the roster has exactly what the users' records say, in order. Reads all of both.
    pub(crate) fn roster_is_whole(&self) -> Result<bool, StoreError> {
        let key: [u8; 16] = random();
        let none = Sum {
            hasher: SipHasher13::new_with_key(&key),
            value: 0,
        };
        let (mut found, mut expected) = (none.clone(), none);
        if !self.is_ordered(&mut found)? {
            return Ok(false);
        }
        for user in self.every_user() {
            let user = user?;
            for list in List::all_with(&user) {
                expected.add(&list, user.username.as_str().as_bytes(), user.id);
            }
        }
        Ok(found.value == expected.value)
    }

    /// Makes the roster anew. It can be repeated after it was cut short.
    pub(crate) fn rebuild_roster(&self) -> Result<(), StoreError> {
        self.clear_roster()?;
        let many = usize::try_from(self.users()?).unwrap_or_default();
        let mut entries: Vec<(Username, UserId, u32)> = Vec::with_capacity(many);
        // Most users are in the same lists as many others.
        let mut kinds: Vec<Vec<List>> = Vec::new();
        let mut numbers: HashMap<Vec<List>, u32> = HashMap::new();
        for user in self.every_user() {
            let user = user?;
            let lists = List::all_with(&user);
            let number = *numbers.entry(lists).or_insert_with_key(|lists| {
                kinds.push(lists.clone());
                u32::try_from(kinds.len() - 1).unwrap_or(u32::MAX)
            });
            entries.push((user.username, user.id, number));
        }
        entries.sort_unstable();
        let mut open: HashMap<List, NewPart> = HashMap::new();
        let mut full = Vec::new();
        for (name, id, number) in &entries {
            let name = name.as_str().as_bytes();
            for list in &kinds[*number as usize] {
                let part = open.entry(list.clone()).or_insert_with(|| NewPart {
                    key: list.key(&[]),
                    content: Vec::new(),
                });
                if part.content.len() >= FILLED {
                    let next = NewPart {
                        key: list.key(name),
                        content: Vec::new(),
                    };
                    full.push(std::mem::replace(part, next));
                }
                Member { name, id: *id }.append_to(&mut part.content);
            }
            if full.len() >= AT_ONCE {
                self.put_parts(full.drain(..))?;
            }
        }
        self.put_parts(full.drain(..))?;
        let mut rest: Vec<_> = open.into_values().collect();
        while !rest.is_empty() {
            let some = rest.split_off(rest.len().saturating_sub(AT_ONCE));
            self.put_parts(some.into_iter())?;
        }
        Ok(())
    }

    fn put_parts(&self, parts: impl Iterator<Item = NewPart>) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        for part in parts {
            batch.insert(part.key, part.content);
        }
        self.roster.apply_batch(batch).map_err(StoreError::failed)
    }

    fn clear_roster(&self) -> Result<(), StoreError> {
        loop {
            let mut batch = Batch::default();
            let mut some = 0;
            for key in self.roster.iter().keys().take(AT_ONCE) {
                batch.remove(key.map_err(StoreError::failed)?);
                some += 1;
            }
            if some == 0 {
                return Ok(());
            }
            self.roster.apply_batch(batch).map_err(StoreError::failed)?;
        }
    }

    /// Whether each part can be read, and the members of each list are in order, each in the part in which it belongs. Adds them to
    /// `sum`.
    fn is_ordered(&self, sum: &mut Sum) -> Result<bool, StoreError> {
        let mut before: Option<(List, Vec<u8>)> = None;
        for entry in &self.roster {
            let (key, part) = entry.map_err(StoreError::failed)?;
            let (Some((list, from)), Ok(members)) = (List::of_key(&key), members(&part)) else {
                return Ok(false);
            };
            if members.is_empty() {
                return Ok(false);
            }
            // Nothing of the part before belongs in this one.
            let previous = before.take().filter(|(other, _)| *other == list);
            if previous.is_some_and(|(_, name)| name.as_slice() >= from) {
                return Ok(false);
            }
            for member in members {
                let is_behind = before
                    .as_ref()
                    .is_none_or(|(_, name)| name.as_slice() < member.name);
                if !is_behind || member.name < from {
                    return Ok(false);
                }
                sum.add(&list, member.name, member.id);
                before = Some((list.clone(), member.name.to_vec()));
            }
        }
        Ok(true)
    }

    fn every_user(&self) -> impl Iterator<Item = Result<User, StoreError>> + use<> {
        self.users.iter().map(|entry| {
            let (key, record) = entry.map_err(StoreError::failed)?;
            let id = UserId::from_bytes(format::fixed(&key, "user id")?);
            UserRecord::read(id, &record)?.user(id)
        })
    }
}

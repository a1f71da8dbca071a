//! Reads lists of the roster in order. Writes may come between two reads: each part is whole, and what has been read is not
//! read again.

use std::{collections::VecDeque, ops::Bound, sync::Arc};

use sled::{IVec, Tree};

use super::{list::List, part::members};
use crate::{
    clock::Timestamp,
    domain::{PageLimit, UserCursor, UserId, UserPage, UserQuery, Username, UsernamePrefix},
    store::{error::StoreError, records::format, sled::trees::Trees},
};

/// How many users one page reads at most. A list may have users whom the query excludes.
const READ_AT_MOST: usize = PageLimit::MAX.get();

impl Trees {
    /// Returns the page that `query` asks for at `now`.
    pub(crate) fn list_users(&self, query: &UserQuery, now: Timestamp) -> Result<UserPage, StoreError> {
        let prefix = query
            .prefix
            .as_ref()
            .map_or("", UsernamePrefix::as_str)
            .as_bytes();
        // A zero sorts before every character of a name.
        let behind = query.after.as_ref().map(|after| after.username().as_str());
        let behind = behind.map(|name| [name.as_bytes(), &[0]].concat());
        let from = behind.unwrap_or_default().max(prefix.to_vec());
        let disabled = query
            .disabled
            .map_or(vec![false, true], |disabled| vec![disabled]);
        let mut walks: Vec<_> = disabled
            .into_iter()
            .map(|disabled| {
                let list = List::of_users(query.role.as_ref(), disabled);
                Walk::new(&self.roster, list, from.clone())
            })
            .collect();
        let (mut page, mut last) = (UserPage::default(), None);
        for read in 0.. {
            let Some((name, id)) = next_of(&mut walks)? else {
                break;
            };
            if !name.starts_with(prefix) {
                break;
            }
            if page.users.len() == query.limit.get() || read == READ_AT_MOST {
                page.next = last.map(UserCursor::behind);
                break;
            }
            let name = username(&name)?;
            // What the record says counts: the user may have changed since the part was read.
            let user = self.user(id)?;
            let user = user.filter(|user| user.username == name && query.matches(user, now));
            page.users.extend(user.map(Arc::new));
            last = Some(name);
        }
        Ok(page)
    }
}

fn username(name: &[u8]) -> Result<Username, StoreError> {
    let name = std::str::from_utf8(name).ok().map(Username::parse);
    name.and_then(Result::ok)
        .ok_or_else(|| format::unreadable("a username of the roster"))
}

fn covering(roster: &Tree, list: &List, name: &[u8]) -> Result<Option<(IVec, IVec)>, StoreError> {
    let before = roster.range(..=list.key(name)).next_back();
    let before = before.transpose().map_err(StoreError::failed)?;
    Ok(before.filter(|(key, _)| list.has(key)))
}

/// Returns the member that comes first of all that these walks come to next. A user who moves from one list to another one
/// meanwhile is returned once.
fn next_of(walks: &mut [Walk<'_>]) -> Result<Option<(Vec<u8>, UserId)>, StoreError> {
    for walk in walks.iter_mut() {
        walk.fill()?;
    }
    let names = walks.iter().filter_map(|walk| walk.ahead.front());
    let Some(first) = names.min().cloned() else {
        return Ok(None);
    };
    for walk in walks {
        walk.ahead.pop_front_if(|(name, _)| *name == first.0);
    }
    Ok(Some(first))
}

/// A way through one list.
struct Walk<'a> {
    roster: &'a Tree,
    list: List,
    /// Names before this have been read.
    from: Vec<u8>,
    /// The key of the last part that was read.
    part: Option<IVec>,
    /// What comes next, as far as it was read.
    ahead: VecDeque<(Vec<u8>, UserId)>,
    at_end: bool,
}

impl<'a> Walk<'a> {
    fn new(roster: &'a Tree, list: List, from: Vec<u8>) -> Self {
        Self {
            roster,
            list,
            from,
            part: None,
            ahead: VecDeque::new(),
            at_end: false,
        }
    }

    /// Reads on, unless there is something ahead or the list is at its end.
    fn fill(&mut self) -> Result<(), StoreError> {
        while self.ahead.is_empty() && !self.at_end {
            let Some((key, part)) = self.next_part()? else {
                self.at_end = true;
                break;
            };
            let members = members(&part)?.into_iter();
            let unread = members.filter(|member| member.name >= self.from.as_slice());
            self.ahead
                .extend(unread.map(|member| (member.name.to_vec(), member.id)));
            if let Some((last, _)) = self.ahead.back() {
                self.from = [last, [0].as_slice()].concat();
            }
            self.part = Some(key);
        }
        Ok(())
    }

    fn next_part(&self) -> Result<Option<(IVec, IVec)>, StoreError> {
        if let Some(key) = &self.part {
            return self.part_from(Bound::Excluded(key));
        }
        match covering(self.roster, &self.list, &self.from)? {
            None => self.part_from(Bound::Included(&self.list.key(&self.from))),
            found => Ok(found),
        }
    }

    fn part_from(&self, key: Bound<&[u8]>) -> Result<Option<(IVec, IVec)>, StoreError> {
        let found = self.roster.range::<&[u8], _>((key, Bound::Unbounded)).next();
        let found = found.transpose().map_err(StoreError::failed)?;
        Ok(found.filter(|(key, _)| self.list.has(key)))
    }
}

//! Who has which username: a hash table of so many places, each one entry in a tree, with a row for each user whose name
//! belongs there.
//!
//! Not an entry for each name, because an entry is dear, however small: sled puts sixteen in a page at the most, and a page
//! costs some 300 bytes of memory for as long as the database is open. An entry for each name would cost as much of that as the
//! users themselves.
//!
//! A row only says who may have the name: it has a hash of it and the user's id. The user's record has the name. The hash has
//! a key of this database's own, so nobody can choose names that share a place.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;
use sled::{
    Db, IVec, Tree,
    transaction::{TransactionalTree, UnabortableTransactionError},
};

use crate::{
    domain::{UserId, random},
    store::{error::StoreError, records::format},
};

const TREE: &str = "names";
/// In `meta`.
pub(crate) const KEY: &[u8] = b"names_key";
/// A row: the hash, 8 bytes, and the user's id.
pub(crate) const ROW: usize = 8 + 16;

#[derive(Clone)]
pub(crate) struct UsernameTable {
    pub(crate) tree: Tree,
    hasher: SipHasher13,
}

/// Where a name belongs: a place, and its hash in the rows there.
#[derive(Clone, Copy)]
pub(crate) struct TablePlace {
    pub(crate) hash: [u8; 8],
}

impl UsernameTable {
    /// The names in `db`, whose key is made with the database. One that has names and no key, or another than there can be, is
    /// damaged: nobody would be found in it.
    pub(crate) fn of(db: &Db) -> Result<Self, StoreError> {
        let tree = db.open_tree(TREE).map_err(StoreError::failed)?;
        let meta = db.open_tree("meta").map_err(StoreError::failed)?;
        let key = match meta.get(KEY).map_err(StoreError::failed)? {
            Some(kept) => format::fixed(&kept, "key of usernames")?,
            None if !tree.is_empty() => return Err(format::unreadable("the key of usernames")),
            None => {
                let fresh: [u8; 16] = random();
                meta.insert(KEY, &fresh).map_err(StoreError::failed)?;
                fresh
            }
        };
        Ok(Self {
            tree,
            hasher: SipHasher13::new_with_key(&key),
        })
    }

    pub(crate) fn spot(&self, name: &str) -> TablePlace {
        let mut hasher = self.hasher;
        hasher.write(name.as_bytes());
        TablePlace {
            hash: hasher.finish().to_be_bytes(),
        }
    }

    /// Who may have the name that belongs to `spot`: hardly ever more than one.
    pub(crate) fn candidates(&self, spot: TablePlace) -> Result<Vec<UserId>, StoreError> {
        let rows = self.tree.get(spot.place()).map_err(StoreError::failed)?;
        candidates(rows.as_ref(), spot)
    }

    /// How many names there are. It reads all of them.
    pub(crate) fn len(&self) -> Result<u64, StoreError> {
        let mut names = 0;
        for entry in &self.tree {
            let (_, rows) = entry.map_err(StoreError::failed)?;
            names += (rows.len() / ROW) as u64;
        }
        Ok(names)
    }
}

pub(crate) fn candidates(rows: Option<&IVec>, spot: TablePlace) -> Result<Vec<UserId>, StoreError> {
    let (rows, rest) = rows.map_or((&[][..], &[][..]), |rows| rows.as_chunks::<ROW>());
    if !rest.is_empty() {
        return Err(format::unreadable("a place of names"));
    }
    let there = rows.iter().filter(|row| row[..8] == spot.hash);
    there
        .map(|row| format::fixed(&row[8..], "user id").map(UserId::from_bytes))
        .collect()
}

/// Adds to `names` that `user` has the name of this spot.
pub(crate) fn add(
    names: &TransactionalTree,
    spot: TablePlace,
    user: UserId,
) -> Result<(), UnabortableTransactionError> {
    let mut rows = names
        .get(spot.place())?
        .map_or_else(Vec::new, |rows| rows.to_vec());
    rows.extend(row(spot, user));
    names.insert(spot.place().as_slice(), rows)?;
    Ok(())
}

/// Removes from `names` that `user` has the name of this spot.
pub(crate) fn remove(
    names: &TransactionalTree,
    spot: TablePlace,
    user: UserId,
) -> Result<(), UnabortableTransactionError> {
    let gone = row(spot, user);
    let rows = names.get(spot.place())?.unwrap_or_default();
    let left: Vec<u8> = rows
        .chunks(ROW)
        .filter(|row| **row != gone)
        .flatten()
        .copied()
        .collect();
    if left.is_empty() {
        names.remove(spot.place().as_slice())?;
    } else {
        names.insert(spot.place().as_slice(), left)?;
    }
    Ok(())
}

pub(crate) fn row(spot: TablePlace, user: UserId) -> [u8; ROW] {
    let mut row = [0; ROW];
    row[..8].copy_from_slice(&spot.hash);
    row[8..].copy_from_slice(user.as_bytes());
    row
}

impl TablePlace {
    /// The key of the place.
    pub(crate) fn place(self) -> [u8; 2] {
        [self.hash[0], self.hash[1]]
    }
}

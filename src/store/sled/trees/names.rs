//! The usernames: a hash table in a tree. Each place of the table is one entry, with a row for each user whose name belongs there.
//!
//! Each name has no entry of its own, because of the memory: sled puts at most sixteen entries in a page, and an open database
//! needs some 300 bytes for each page.
//!
//! A row has a hash of the name and the id of a user who may have it. The name itself is in the user's record. The key of the hash is
//! random for each database, so no client can choose names that share a place.

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
/// The key of the hash, in `meta`.
pub(crate) const KEY: &[u8] = b"names_key";
/// The length of a row: the hash, 8 bytes, and the user's id.
pub(crate) const ROW: usize = 8 + 16;

#[derive(Clone)]
pub(crate) struct UsernameTable {
    pub(crate) tree: Tree,
    hasher: SipHasher13,
}

/// Where a name belongs in the table: a place, and its hash in the rows there.
#[derive(Clone, Copy)]
pub(crate) struct TablePlace {
    pub(crate) hash: [u8; 8],
}

impl UsernameTable {
    /// Opens the table in `db`, and makes its key if there is none.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`] if the key has another length, or is missing although there are names: none would be found.
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

    pub(crate) fn place_of(&self, name: &str) -> TablePlace {
        let mut hasher = self.hasher;
        hasher.write(name.as_bytes());
        TablePlace {
            hash: hasher.finish().to_be_bytes(),
        }
    }

    /// Returns the users who may have the name that belongs at `place`: almost always at most one.
    pub(crate) fn candidates(&self, place: TablePlace) -> Result<Vec<UserId>, StoreError> {
        let rows = self.tree.get(place.key()).map_err(StoreError::failed)?;
        candidates(rows.as_ref(), place)
    }

    /// How many names there are. Reads all of them.
    pub(crate) fn len(&self) -> Result<u64, StoreError> {
        let mut names = 0;
        for entry in &self.tree {
            let (_, rows) = entry.map_err(StoreError::failed)?;
            names += (rows.len() / ROW) as u64;
        }
        Ok(names)
    }
}

pub(crate) fn candidates(rows: Option<&IVec>, place: TablePlace) -> Result<Vec<UserId>, StoreError> {
    let (rows, rest) = rows.map_or((&[][..], &[][..]), |rows| rows.as_chunks::<ROW>());
    if !rest.is_empty() {
        return Err(format::unreadable("a place of names"));
    }
    let there = rows.iter().filter(|row| row[..8] == place.hash);
    there
        .map(|row| format::fixed(&row[8..], "user id").map(UserId::from_bytes))
        .collect()
}

/// Adds a row for `user`.
pub(crate) fn add(
    names: &TransactionalTree,
    place: TablePlace,
    user: UserId,
) -> Result<(), UnabortableTransactionError> {
    let mut rows = names
        .get(place.key())?
        .map_or_else(Vec::new, |rows| rows.to_vec());
    rows.extend(row(place, user));
    names.insert(place.key().as_slice(), rows)?;
    Ok(())
}

/// Removes the row of `user`.
pub(crate) fn remove(
    names: &TransactionalTree,
    place: TablePlace,
    user: UserId,
) -> Result<(), UnabortableTransactionError> {
    let gone = row(place, user);
    let rows = names.get(place.key())?.unwrap_or_default();
    let left: Vec<u8> = rows
        .chunks(ROW)
        .filter(|row| **row != gone)
        .flatten()
        .copied()
        .collect();
    if left.is_empty() {
        names.remove(place.key().as_slice())?;
    } else {
        names.insert(place.key().as_slice(), left)?;
    }
    Ok(())
}

pub(crate) fn row(place: TablePlace, user: UserId) -> [u8; ROW] {
    let mut row = [0; ROW];
    row[..8].copy_from_slice(&place.hash);
    row[8..].copy_from_slice(user.as_bytes());
    row
}

impl TablePlace {
    /// The key of the place in the tree.
    pub(crate) fn key(self) -> [u8; 2] {
        [self.hash[0], self.hash[1]]
    }
}

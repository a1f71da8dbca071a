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

use super::put;
use crate::{
    domain::{UserId, random},
    store::{StoreError, sled::records},
};

const TREE: &str = "names";
/// In `meta`.
const KEY: &[u8] = b"names_key";
/// A row: the hash, 8 bytes, and the user's id.
const ROW: usize = 8 + 16;

#[derive(Clone)]
pub(super) struct Names {
    pub(super) tree: Tree,
    hasher: SipHasher13,
}

/// Where a name belongs: a place, and its hash in the rows there.
#[derive(Clone, Copy)]
pub(super) struct Spot {
    hash: [u8; 8],
}

impl Names {
    /// The names in `db`, whose key is made with the database. One that has names and no key, or another than there can be, is
    /// damaged: nobody would be found in it.
    pub(super) fn of(db: &Db) -> Result<Self, StoreError> {
        let tree = db.open_tree(TREE).map_err(StoreError::failed)?;
        let meta = db.open_tree("meta").map_err(StoreError::failed)?;
        let key = match meta.get(KEY).map_err(StoreError::failed)? {
            Some(kept) => records::fixed(&kept, "key of usernames")?,
            None if !tree.is_empty() => return Err(records::unreadable("the key of usernames")),
            None => {
                let fresh: [u8; 16] = random();
                put(&meta, KEY, &fresh)?;
                fresh
            }
        };
        Ok(Self {
            tree,
            hasher: SipHasher13::new_with_key(&key),
        })
    }

    pub(super) fn spot(&self, name: &str) -> Spot {
        let mut hasher = self.hasher;
        hasher.write(name.as_bytes());
        Spot {
            hash: hasher.finish().to_be_bytes(),
        }
    }

    /// Who may have the name that belongs to `spot`: hardly ever more than one.
    pub(super) fn candidates(&self, spot: Spot) -> Result<Vec<UserId>, StoreError> {
        let rows = self.tree.get(spot.place()).map_err(StoreError::failed)?;
        candidates(rows.as_ref(), spot)
    }

    /// How many names there are. It reads all of them.
    pub(super) fn len(&self) -> Result<u64, StoreError> {
        let mut names = 0;
        for entry in &self.tree {
            let (_, rows) = entry.map_err(StoreError::failed)?;
            names += (rows.len() / ROW) as u64;
        }
        Ok(names)
    }
}

pub(super) fn candidates(rows: Option<&IVec>, spot: Spot) -> Result<Vec<UserId>, StoreError> {
    let (rows, rest) = rows.map_or((&[][..], &[][..]), |rows| rows.as_chunks::<ROW>());
    if !rest.is_empty() {
        return Err(records::unreadable("a place of names"));
    }
    let there = rows.iter().filter(|row| row[..8] == spot.hash);
    there
        .map(|row| records::fixed(&row[8..], "user id").map(UserId::from_bytes))
        .collect()
}

/// Adds to `names` that `user` has the name of this spot.
pub(super) fn add(
    names: &TransactionalTree,
    spot: Spot,
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
pub(super) fn remove(
    names: &TransactionalTree,
    spot: Spot,
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

pub(super) fn row(spot: Spot, user: UserId) -> [u8; ROW] {
    let mut row = [0; ROW];
    row[..8].copy_from_slice(&spot.hash);
    row[8..].copy_from_slice(user.as_bytes());
    row
}

impl Spot {
    /// The key of the place.
    pub(super) fn place(self) -> [u8; 2] {
        [self.hash[0], self.hash[1]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Timestamp,
        domain::{User, Username},
        store::{
            UserCreation,
            sled::{index::Ended, trees::Trees},
        },
    };

    #[test]
    fn names_that_share_a_place_or_even_a_hash_are_told_apart() {
        let trees = Trees::of(sled::Config::new().temporary(true).open().unwrap()).unwrap();
        let now = Timestamp::from_secs(1_800_000_000);
        let [ada, eve] = ["ada", "eve"].map(|name| User::somebody(name, now));
        for user in [&ada, &eve] {
            assert_eq!(trees.create_user(user, None).unwrap(), UserCreation::Created);
        }
        // As if both hashes were the same: each spot has both rows.
        let [at, other] = [&ada, &eve].map(|user| trees.names.spot(user.username.as_str()));
        for (spot, also) in [(at, eve.id), (other, ada.id)] {
            let rows = trees.names.tree.get(spot.place()).unwrap().unwrap();
            let rows = [&rows[..], &row(spot, also)].concat();
            trees.names.tree.insert(spot.place(), rows).unwrap();
        }
        for user in [&ada, &eve] {
            assert_eq!(trees.user_by_name(&user.username).unwrap().as_ref(), Some(user));
        }

        let again = User::somebody("ada", now);
        assert_eq!(
            trees.create_user(&again, None).unwrap(),
            UserCreation::UsernameTaken
        );
        trees.remove_user(&ada, &Ended::default()).unwrap();
        assert_eq!(trees.user_by_name(&ada.username).unwrap(), None);
        assert_eq!(trees.user_by_name(&eve.username).unwrap(), Some(eve));
        assert_eq!(trees.create_user(&again, None).unwrap(), UserCreation::Created);
        assert_eq!(trees.user_by_name(&ada.username).unwrap(), Some(again));
    }

    #[test]
    fn the_key_stays_and_is_each_databases_own() {
        let open = || sled::Config::new().temporary(true).open().unwrap();
        let (one, other) = (open(), open());
        let place = |db: &Db| Names::of(db).unwrap().spot("ada").hash;
        assert_eq!(place(&one), place(&one));
        assert_ne!(place(&one), place(&other));
    }

    #[test]
    fn names_without_their_key_are_damage() {
        let db = sled::Config::new().temporary(true).open().unwrap();
        let trees = Trees::of(db.clone()).unwrap();
        let ada = User::somebody("ada", Timestamp::from_secs(1_800_000_000));
        assert_eq!(trees.create_user(&ada, None).unwrap(), UserCreation::Created);
        assert!(Trees::of(db.clone()).is_ok());
        let meta = db.open_tree("meta").unwrap();
        for damaged in [None, Some([7; 15].as_slice())] {
            meta.remove(KEY).unwrap();
            if let Some(key) = damaged {
                meta.insert(KEY, key).unwrap();
            }
            assert!(matches!(Names::of(&db), Err(StoreError::Unreadable(_))));
        }
    }

    #[test]
    fn a_place_that_is_no_rows_is_said_to_be_unreadable() {
        let trees = Trees::of(sled::Config::new().temporary(true).open().unwrap()).unwrap();
        let name = Username::parse("ada").unwrap();
        let place = trees.names.spot("ada").place();
        trees.names.tree.insert(place, &[0; ROW + 1]).unwrap();
        assert!(matches!(
            trees.user_by_name(&name),
            Err(StoreError::Unreadable(_))
        ));
    }
}

//! Reads and writes of the trees: a file for each noun. Each function is atomic; none is durable before the committing thread has
//! synced. A record is read and written by [`records`](crate::store::records).

mod api_tokens;
mod attempts;
mod fill;
pub(crate) mod imports;
mod keys;
pub(crate) mod meta;
mod names;
pub(crate) mod one_time_codes;
mod roster;
mod sessions;
mod trail;
mod upgrade;
mod users;

use sled::{Db, Tree, transaction::TransactionError};

use self::names::UsernameTable;
use crate::store::error::StoreError;

/// The version of the schema in the head of [`sled`](super).
pub(crate) const SCHEMA: u32 = 3;
/// The first version. It and those after it are upgraded.
pub(crate) const FIRST_SCHEMA: u32 = 1;

/// An open database.
#[derive(Clone)]
pub(crate) struct Trees {
    db: Db,
    meta: Tree,
    users: Tree,
    names: UsernameTable,
    roster: Tree,
    sessions: Tree,
    api_tokens: Tree,
    invitations: Tree,
    codes: Tree,
    confirmations: Tree,
    attempts: Tree,
    trail: Tree,
}

impl Trees {
    pub(crate) fn of(db: Db) -> Result<Self, StoreError> {
        let tree = |name| db.open_tree(name).map_err(StoreError::failed);
        Ok(Self {
            meta: tree("meta")?,
            users: tree("users")?,
            names: UsernameTable::of(&db)?,
            roster: tree("roster")?,
            sessions: tree("sessions")?,
            api_tokens: tree("api_tokens")?,
            invitations: tree("invitations")?,
            codes: tree("codes")?,
            confirmations: tree("confirmations")?,
            attempts: tree("attempts")?,
            trail: tree("trail")?,
            db,
        })
    }

    /// Hands everything written so far to the operating system. That is all that sled's flush does on Linux.
    pub(crate) fn flush(&self) -> Result<(), StoreError> {
        self.db.flush().map(|_| ()).map_err(StoreError::failed)
    }
}

fn transaction_failed(error: TransactionError<StoreError>) -> StoreError {
    match error {
        TransactionError::Abort(unreadable) => unreadable,
        TransactionError::Storage(error) => StoreError::failed(error),
    }
}

fn put(tree: &Tree, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
    tree.insert(key, value).map(|_| ()).map_err(StoreError::failed)
}

#[cfg(test)]
mod tests;

//! An import in the trees: the mark that says that it is decided and how far it has come, and its users, batch by batch.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use sled::transaction::{ConflictableTransactionError, Transactional};

use super::{Trees, api_tokens::end, names, roster::change::RosterChange, transaction_failed, users::USERS};
use crate::{
    domain::{ImportedUser, User, UserId, Username},
    store::{
        error::StoreError,
        records::{api_token::ApiTokenRecord, format, session::SessionRecord, user::UserRecord},
        sessions::Kept,
        sled::memory::index::Ended,
    },
};

const IMPORT: &[u8] = b"import";
/// How many sessions or API tokens end between two syncs of a start, so that the group of writes survives a power cut.
pub(crate) const ENDED_AT_ONCE: usize = 200;

/// The mark of an import that is decided. It is in `meta` until all of its users exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ImportMark {
    /// The id of the import, which its file has too.
    pub(crate) id: [u8; 16],
    /// Where in the file the users begin that do not exist yet.
    pub(crate) offset: u64,
    /// Where they end.
    pub(crate) end: u64,
}

impl ImportMark {
    fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(&self.id);
        bytes[16..24].copy_from_slice(&self.offset.to_be_bytes());
        bytes[24..].copy_from_slice(&self.end.to_be_bytes());
        bytes
    }

    fn of_bytes(bytes: &[u8]) -> Result<Self, StoreError> {
        let part =
            |from: usize| format::fixed(bytes.get(from..from + 8).unwrap_or_default(), "mark of an import");
        Ok(Self {
            id: format::fixed(bytes.get(..16).unwrap_or_default(), "mark of an import")?,
            offset: part(16).map(u64::from_be_bytes)?,
            end: part(24).map(u64::from_be_bytes)?,
        })
    }
}

impl Trees {
    /// The import that is decided and not finished, if there is one.
    pub(crate) fn import_mark(&self) -> Result<Option<ImportMark>, StoreError> {
        let bytes = self.meta.get(IMPORT).map_err(StoreError::failed)?;
        bytes.map(|bytes| ImportMark::of_bytes(&bytes)).transpose()
    }

    /// Decides the import of this mark.
    pub(crate) fn put_import_mark(&self, mark: ImportMark) -> Result<(), StoreError> {
        super::put(&self.meta, IMPORT, &mark.to_bytes())
    }

    /// Ends the import.
    pub(crate) fn remove_import_mark(&self) -> Result<(), StoreError> {
        self.meta.remove(IMPORT).map(|_| ()).map_err(StoreError::failed)
    }

    /// Whether a user with another name than `name` has this id.
    pub(crate) fn has_other_user(&self, id: UserId, name: &Username) -> Result<bool, StoreError> {
        let record = self.user_record(id)?;
        Ok(record.is_some_and(|record| record.username() != name.as_str()))
    }

    /// Adds or updates each of these users, whose names differ, and puts the mark there, in one step. Each comes with whether it
    /// `updates` a user; one who was deleted since then stays deleted. A user whose password changes, or who is disabled, loses what
    /// `ended` returns for [what they keep](what_is_kept). Doing it again changes nothing. Returns the users who were updated, and
    /// what each of them lost.
    pub(crate) fn import(
        &self,
        users: &[(ImportedUser, bool)],
        mark: ImportMark,
        ended: impl Fn(UserId, Kept) -> Ended,
    ) -> Result<Vec<(Arc<User>, Ended)>, StoreError> {
        let mut change = RosterChange::default();
        let (mut records, mut rows, mut updated) = (Vec::new(), Vec::new(), Vec::new());
        let mut ids = HashSet::new();
        for (imported, updates) in users {
            let Some(present) = self.user_by_name(&imported.user.username)? else {
                if *updates {
                    continue;
                }
                let mut user = imported.user.clone();
                // The caller allows no id to stand twice. If one does, no user may replace another one.
                if !ids.insert(user.id) || self.user_record(user.id)?.is_some() {
                    user.id = UserId::generate(user.created_at);
                    ids.insert(user.id);
                }
                self.change_roster(None, Some(&user), &mut change)?;
                rows.push((self.names.place_of(user.username.as_str()), user.id));
                records.push((user.id, UserRecord::of(&user).write()?));
                continue;
            };
            let user = imported.update(&present);
            if user == present {
                continue;
            }
            self.change_roster(Some(&present), Some(&user), &mut change)?;
            let lost =
                what_is_kept(imported, &present).map_or_else(Ended::default, |kept| ended(user.id, kept));
            let record = match self.user_record(user.id)? {
                Some(known) if !imported.changes_password_of(&present) => known.update(&user),
                _ => UserRecord::of(&user),
            };
            records.push((user.id, record.write()?));
            updated.push((Arc::new(user), lost));
        }
        let trees = (
            &self.meta,
            &self.users,
            &self.names.tree,
            &self.roster,
            &self.sessions,
            &self.api_tokens,
        );
        let done = trees.transaction(|(meta, users, names, roster, sessions, api_tokens)| {
            let count = format::counter(meta.get(USERS)?.as_deref());
            let count = count.map_err(ConflictableTransactionError::Abort)? + rows.len() as u64;
            meta.insert(USERS, &count.to_be_bytes())?;
            meta.insert(IMPORT, mark.to_bytes().as_slice())?;
            for (place, id) in &rows {
                names::add(names, *place, *id)?;
            }
            change.make(roster)?;
            for (id, record) in &records {
                users.insert(id.as_bytes(), record.as_slice())?;
            }
            for (_, lost) in &updated {
                end(sessions, api_tokens, lost)?;
            }
            Ok(())
        });
        done.map_err(transaction_failed)?;
        Ok(updated)
    }

    /// Removes what these users do not keep, as [`what_is_kept`] says, and calls `sync` after each group of writes that is as long as
    /// one may be. Reads every session and every API token.
    pub(crate) fn end_what_is_not(
        &self,
        kept: &HashMap<UserId, Kept>,
        sync: impl Fn() -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let (mut sessions, mut api_tokens) = (Vec::new(), Vec::new());
        for entry in &self.sessions {
            let (key, value) = entry.map_err(StoreError::failed)?;
            let session = SessionRecord::read(&key, &value)?;
            sessions.extend(kept.contains_key(&session.user).then_some(session.id));
        }
        for entry in &self.api_tokens {
            let (key, value) = entry.map_err(StoreError::failed)?;
            let token = ApiTokenRecord::read(&key, &value)?;
            let ends = kept.get(&token.user).is_some_and(|kept| !kept.api_tokens);
            api_tokens.extend(ends.then_some(token.id));
        }
        for some in sessions.chunks(ENDED_AT_ONCE) {
            self.remove_sessions(some)?;
            sync()?;
        }
        for some in api_tokens.chunks(ENDED_AT_ONCE) {
            self.remove_api_tokens(some.iter().copied())?;
            sync()?;
        }
        Ok(())
    }
}

/// What the user `present` keeps of their sessions and API tokens when they are updated; `None` if they keep all. Another password
/// ends all of it, and a disabled user keeps API tokens alone, as [`change_user`](crate::store::Users::change_user) has it.
pub(crate) fn what_is_kept(imported: &ImportedUser, present: &User) -> Option<Kept> {
    let is_other_password = imported.changes_password_of(present);
    let is_disabled = present.disabled || imported.update(present).disabled;
    (is_other_password || is_disabled).then(|| Kept {
        api_tokens: !is_other_password,
        ..Kept::default()
    })
}

//! The rest of an import that a crash cut short: see [imports](super::imports).

use std::{collections::HashMap, fs::File, path::Path};

use super::{
    file::{log_file::DATA_FILE, quiet::aloud, staging::StagedUsers},
    memory::index::Ended,
    trees::{Trees, imports::what_is_kept},
};
use crate::store::error::StoreError;

/// What a start did for an import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Finished {
    /// How many users it added.
    pub(crate) added: u64,
    /// How many users it changed.
    pub(crate) updated: u64,
}

/// Finishes the import that is decided, if there is one, in a database that no other thread reads or writes. It can be repeated
/// after it was cut short.
pub(crate) fn finish_import(trees: &Trees, directory: &Path) -> Result<Finished, StoreError> {
    let mut finished = Finished::default();
    let Some(mut mark) = trees.import_mark()? else {
        return Ok(finished);
    };
    aloud(|| tracing::warn!("an import of users was cut short after it was decided: it is finished now"));
    let data = File::options().write(true).open(directory.join(DATA_FILE));
    let data = data.map_err(StoreError::failed)?;
    // Each group of writes is short: see `commit::group::BATCH`.
    let sync = || {
        trees.flush()?;
        data.sync_data().map_err(StoreError::failed)
    };
    let open = || StagedUsers::open(directory, mark.id, mark.offset, mark.end);

    // First, because no session may outlive the password that it was opened with.
    let mut staged = open()?;
    let mut kept = HashMap::new();
    while let Some(batch) = staged.next()? {
        for (imported, updates) in &batch.users {
            if *updates
                && let Some(present) = trees.user_by_name(&imported.user.username)?
                && let Some(some) = what_is_kept(imported, &present)
            {
                kept.insert(present.id, some);
            }
        }
    }
    if !kept.is_empty() {
        trees.end_what_is_not(&kept, sync)?;
    }

    let mut staged = open()?;
    while let Some(batch) = staged.next()? {
        mark.offset = batch.next;
        // Their sessions have ended above.
        let _ = trees.import(&batch.users, mark, |_, _| Ended::default())?;
        sync()?;
        let updated = batch.users.iter().filter(|(_, updates)| *updates).count() as u64;
        finished.updated += updated;
        finished.added += batch.users.len() as u64 - updated;
    }
    trees.remove_import_mark()?;
    sync()?;
    Ok(finished)
}

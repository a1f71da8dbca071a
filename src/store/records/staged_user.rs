//! A user of an import as a record, one line of a file.

use serde::{Deserialize, Serialize};

use super::{
    format::{Record, Version, from_json, to_json, unreadable},
    user::UserRecord,
};
use crate::{
    domain::{ImportedUser, UserField, UserId},
    store::error::StoreError,
};

#[derive(Serialize, Deserialize)]
pub(crate) struct StagedUserRecord {
    /// The version of this form.
    #[serde(default)]
    v: Version,
    id: String,
    user: UserRecord,
    /// What a user who has the name already keeps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    unsaid: Vec<UserField>,
    /// Whether a user had the name already when this one was staged.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    updates: bool,
}

impl Record for StagedUserRecord {
    fn version(&self) -> Version {
        self.v
    }
}

impl StagedUserRecord {
    /// The line of `imported`, with its end.
    pub(crate) fn write(imported: &ImportedUser, updates: bool) -> Result<Vec<u8>, StoreError> {
        let record = Self {
            v: Self::LATEST,
            id: imported.user.id.to_string(),
            user: UserRecord::of(&imported.user),
            unsaid: imported.unsaid.clone(),
            updates,
        };
        let mut line = to_json(&record)?;
        line.push(b'\n');
        Ok(line)
    }

    /// Returns the user of a line, and whether a user had the name already.
    pub(crate) fn read(line: &[u8]) -> Result<(ImportedUser, bool), StoreError> {
        let record: Self = from_json(line, || "a user of an import".to_owned())?;
        let id = UserId::parse(&record.id).map_err(|_| unreadable("the id of a user of an import"))?;
        let imported = ImportedUser {
            user: record.user.user(id)?,
            unsaid: record.unsaid,
        };
        Ok((imported, record.updates))
    }
}

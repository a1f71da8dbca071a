//! An invitation as a record. It has the SHA-256 of the invitation's text, and nothing else of the text.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::{
    format::{Record, Version, fixed, from_json, to_json, unreadable},
    maker,
};
use crate::{
    clock::Timestamp,
    domain::{Invitation, InvitationHash, InvitationId, Role, Username},
    store::error::StoreError,
};

#[derive(Serialize, Deserialize)]
pub(crate) struct InvitationRecord {
    /// The version of this form.
    v: Version,
    /// SHA-256, base64url.
    hash: String,
    roles: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    /// Absent if the operator made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    made_by: Option<String>,
    /// The version of the password that the administrator had. Absent for the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    made_with_password: Option<u32>,
    created_at: Timestamp,
    expires_at: Timestamp,
}

impl Record for InvitationRecord {
    fn version(&self) -> Version {
        self.v
    }
}

impl InvitationRecord {
    pub(crate) fn write(invitation: &Invitation) -> Result<Vec<u8>, StoreError> {
        let (made_by, made_with_password) = maker::written(invitation.made_by);
        to_json(&Self {
            v: Self::LATEST,
            hash: URL_SAFE_NO_PAD.encode(invitation.hash.as_bytes()),
            roles: invitation.roles.iter().map(ToString::to_string).collect(),
            username: invitation.username.as_ref().map(ToString::to_string),
            made_by,
            made_with_password,
            created_at: invitation.created_at,
            expires_at: invitation.expires_at,
        })
    }

    pub(crate) fn read(key: &[u8], bytes: &[u8]) -> Result<Invitation, StoreError> {
        let id = InvitationId::from_bytes(fixed(key, "invitation id")?);
        let what = || format!("invitation {id}");
        let unreadable = || unreadable(what());
        let record: Self = from_json(bytes, what)?;
        let hash = URL_SAFE_NO_PAD.decode(&record.hash).map_err(|_| unreadable())?;
        let roles = record.roles.iter().map(|role| Role::parse(role));
        let username = record.username.as_deref().map(Username::parse);
        let made_by = maker::read(record.made_by.as_deref(), record.made_with_password);
        Ok(Invitation {
            id,
            hash: InvitationHash::from_bytes(hash.try_into().map_err(|_| unreadable())?),
            roles: roles.collect::<Result<_, _>>().map_err(|_| unreadable())?,
            username: username.transpose().map_err(|_| unreadable())?,
            made_by: made_by.map_err(|_| unreadable())?,
            created_at: record.created_at,
            expires_at: record.expires_at,
        })
    }
}

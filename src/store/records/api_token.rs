//! An API token as a record. It has the SHA-256 of the token's text, and nothing else of the text.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::format::{Record, Version, fixed, from_json, to_json, unreadable};
use crate::{
    clock::Timestamp,
    domain::{ApiToken, ApiTokenHash, ApiTokenId, ApiTokenName, Role, UserId},
    store::error::StoreError,
};

#[derive(Serialize, Deserialize)]
pub(crate) struct ApiTokenRecord {
    /// The version of this form.
    #[serde(default)]
    v: Version,
    user: String,
    /// SHA-256, base64url.
    hash: String,
    name: String,
    roles: Vec<String>,
    /// Absent in the records of most, and of earlier versions.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    may_administer: bool,
    created_at: Timestamp,
    expires_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    used_at: Option<Timestamp>,
}

impl Record for ApiTokenRecord {
    fn version(&self) -> Version {
        self.v
    }
}

impl ApiTokenRecord {
    pub(crate) fn write(token: &ApiToken) -> Result<Vec<u8>, StoreError> {
        to_json(&Self {
            v: Self::LATEST,
            user: token.user.to_string(),
            hash: URL_SAFE_NO_PAD.encode(token.hash.as_bytes()),
            name: token.name.to_string(),
            roles: token.roles.iter().map(ToString::to_string).collect(),
            may_administer: token.may_administer,
            created_at: token.created_at,
            expires_at: token.expires_at,
            used_at: token.used_at,
        })
    }

    pub(crate) fn read(key: &[u8], bytes: &[u8]) -> Result<ApiToken, StoreError> {
        let id = ApiTokenId::from_bytes(fixed(key, "API token id")?);
        let what = || format!("API token {id}");
        let unreadable = || unreadable(what());
        let record: Self = from_json(bytes, what)?;
        let hash = URL_SAFE_NO_PAD.decode(&record.hash).map_err(|_| unreadable())?;
        let roles = record.roles.iter().map(|role| Role::parse(role));
        Ok(ApiToken {
            id,
            user: UserId::parse(&record.user).map_err(|_| unreadable())?,
            hash: ApiTokenHash::from_bytes(hash.try_into().map_err(|_| unreadable())?),
            name: ApiTokenName::parse_stored(&record.name).map_err(|_| unreadable())?,
            roles: roles.collect::<Result<_, _>>().map_err(|_| unreadable())?,
            may_administer: record.may_administer,
            created_at: record.created_at,
            expires_at: record.expires_at,
            used_at: record.used_at,
        })
    }
}

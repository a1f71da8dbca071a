//! A session as a record, with its whitelist.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::format::{Record, Version, fixed, from_json, to_json, unreadable};
use crate::{
    clock::Timestamp,
    domain::{
        Client, ClientAddress, Device, RefreshGrant, Session, SessionId, TokenId, TokenRecord, UserId,
        WhitelistEntry,
    },
    store::error::StoreError,
};

#[derive(Serialize, Deserialize)]
pub(crate) struct SessionRecord {
    /// The version of this form.
    #[serde(default)]
    v: Version,
    user: String,
    created_at: Timestamp,
    ends_at: Timestamp,
    /// `jti`, `iat`, `exp`, accepted until; oldest first.
    tokens: Vec<(String, Timestamp, Timestamp, Timestamp)>,
    /// Generation, granted at, expires at; absent when the session has no refresh token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refresh: Option<(u32, Timestamp, Timestamp)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    device: Option<String>,
    #[serde(default)]
    used_at: Timestamp,
}

impl Record for SessionRecord {
    fn version(&self) -> Version {
        self.v
    }
}

impl SessionRecord {
    pub(crate) fn write(session: &Session) -> Result<Vec<u8>, StoreError> {
        let row = |entry: &WhitelistEntry| {
            let token = entry.token;
            (
                token.id.to_string(),
                token.issued_at,
                token.expires_at,
                entry.accepted_until,
            )
        };
        to_json(&Self {
            v: Self::LATEST,
            user: session.user.to_string(),
            created_at: session.created_at,
            ends_at: session.ends_at,
            tokens: session.tokens.iter().map(row).collect(),
            refresh: session
                .refresh
                .map(|grant| (grant.generation, grant.granted_at, grant.expires_at)),
            address: session.client.address.map(ClientAddress::ip),
            device: session.client.device.as_ref().map(ToString::to_string),
            used_at: session.used_at,
        })
    }

    pub(crate) fn read(key: &[u8], bytes: &[u8]) -> Result<Session, StoreError> {
        let id = SessionId::from_bytes(fixed(key, "session id")?);
        let what = || format!("session {id}");
        let unreadable = || unreadable(what());
        let record: Self = from_json(bytes, what)?;
        let entry = |(jti, issued_at, expires_at, accepted_until): &(String, _, _, _)| {
            Ok(WhitelistEntry {
                token: TokenRecord {
                    id: TokenId::parse(jti).map_err(|_| unreadable())?,
                    issued_at: *issued_at,
                    expires_at: *expires_at,
                },
                accepted_until: *accepted_until,
            })
        };
        Ok(Session {
            id,
            user: UserId::parse(&record.user).map_err(|_| unreadable())?,
            created_at: record.created_at,
            ends_at: record.ends_at,
            tokens: record.tokens.iter().map(entry).collect::<Result<_, _>>()?,
            refresh: record
                .refresh
                .map(|(generation, granted_at, expires_at)| RefreshGrant {
                    generation,
                    granted_at,
                    expires_at,
                }),
            client: Client {
                address: record.address.map(ClientAddress::new),
                device: record.device.as_deref().and_then(Device::parse),
            },
            used_at: record.used_at.max(record.created_at),
        })
    }
}

//! Users and sessions as they lie in the database: JSON, so that a field can be added, and read back through the
//! domain's own constructors, so that nothing invalid gets in from the disk.

use std::net::IpAddr;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    clock::Timestamp,
    domain::{
        Attempts, Client, ClientAddress, Device, DisplayName, Network, PasswordHash, RefreshGrant, Role,
        Session, SessionId, TokenId, TokenRecord, User, UserId, Username, WhitelistEntry,
    },
    store::{MAX_NETWORKS, StoreError},
};

#[derive(Serialize, Deserialize)]
pub(super) struct UserRecord {
    username: String,
    password_hash: String,
    password_version: u32,
    roles: Vec<String>,
    disabled: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    display_name: Option<String>,
    created_at: Timestamp,
    /// An address of each network that they signed in from, and when they last did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    networks: Vec<(IpAddr, Timestamp)>,
}

impl UserRecord {
    /// A user who has signed in from nowhere.
    pub(super) fn of(user: &User) -> Self {
        Self {
            username: user.username.to_string(),
            password_hash: user.password_hash.expose().to_owned(),
            password_version: user.password_version,
            roles: user.roles.iter().map(ToString::to_string).collect(),
            disabled: user.disabled,
            display_name: user.display_name.as_ref().map(ToString::to_string),
            created_at: user.created_at,
            networks: Vec::new(),
        }
    }

    /// The user as they are now, with what is known of them besides.
    pub(super) fn update(self, user: &User) -> Self {
        Self {
            networks: self.networks,
            ..Self::of(user)
        }
    }

    pub(super) fn read(id: UserId, bytes: &[u8]) -> Result<Self, StoreError> {
        from_json(bytes).ok_or_else(|| unreadable(&format!("user {id}")))
    }

    pub(super) fn write(&self) -> Result<Vec<u8>, StoreError> {
        to_json(self)
    }

    pub(super) fn username(&self) -> &str {
        &self.username
    }

    /// The user, whose id is `id`.
    pub(super) fn user(&self, id: UserId) -> Result<User, StoreError> {
        let unreadable = || unreadable(&format!("user {id}"));
        let roles = self.roles.iter().map(|role| Role::parse(role));
        let display_name = self.display_name.as_deref().map(DisplayName::parse);
        Ok(User {
            id,
            username: Username::parse(&self.username).map_err(|_| unreadable())?,
            password_hash: PasswordHash::parse(&self.password_hash).ok_or_else(unreadable)?,
            password_version: self.password_version,
            roles: roles.collect::<Result<_, _>>().map_err(|_| unreadable())?,
            disabled: self.disabled,
            display_name: display_name.transpose().map_err(|_| unreadable())?,
            created_at: self.created_at,
        })
    }

    /// When they last signed in from `network`.
    pub(super) fn last_sign_in(&self, network: Network) -> Option<Timestamp> {
        let noted = self
            .networks
            .iter()
            .find(|(address, _)| *address == network.address());
        noted.map(|(_, at)| *at)
    }

    /// Notes that they signed in from `network` at `now`. Of more than [`MAX_NETWORKS`] the one longest ago is forgotten.
    pub(super) fn note_sign_in(&mut self, network: Network, now: Timestamp) {
        self.networks.retain(|(address, _)| *address != network.address());
        if self.networks.len() >= MAX_NETWORKS {
            let oldest = (0..self.networks.len()).min_by_key(|index| self.networks[*index].1);
            oldest.map(|index| self.networks.swap_remove(index));
        }
        self.networks.push((network.address(), now));
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct SessionRecord {
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

impl SessionRecord {
    pub(super) fn write(session: &Session) -> Result<Vec<u8>, StoreError> {
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

    pub(super) fn read(key: &[u8], bytes: &[u8]) -> Result<Session, StoreError> {
        let id = SessionId::from_bytes(fixed(key, "session id")?);
        let unreadable = || unreadable(&format!("session {id}"));
        let record: Self = from_json(bytes).ok_or_else(unreadable)?;
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

pub(super) struct AttemptsRecord;

impl AttemptsRecord {
    pub(super) fn write(attempts: Attempts) -> [u8; 12] {
        let mut bytes = [0; 12];
        bytes[..4].copy_from_slice(&attempts.failures.to_be_bytes());
        bytes[4..].copy_from_slice(&attempts.at.as_secs().to_be_bytes());
        bytes
    }

    pub(super) fn read(bytes: &[u8]) -> Result<Attempts, StoreError> {
        let (failures, at) = bytes
            .split_at_checked(4)
            .ok_or_else(|| unreadable("a record of attempts"))?;
        Ok(Attempts {
            failures: u32::from_be_bytes(fixed(failures, "number of failures")?),
            at: Timestamp::from_secs(u64::from_be_bytes(fixed(at, "moment")?)),
        })
    }
}

/// The number that `bytes` hold; none yet is zero.
pub(super) fn counter(bytes: Option<&[u8]>) -> Result<u64, StoreError> {
    bytes.map_or(Ok(0), |bytes| fixed(bytes, "counter").map(u64::from_be_bytes))
}

/// `bytes`, if there are exactly `N` of them.
pub(super) fn fixed<const N: usize>(bytes: &[u8], what: &str) -> Result<[u8; N], StoreError> {
    bytes.try_into().map_err(|_| unreadable(&format!("a {what}")))
}

pub(super) fn unreadable(what: &str) -> StoreError {
    StoreError::Unreadable(what.to_owned())
}

pub(super) fn to_json(record: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(record).map_err(StoreError::failed)
}

/// What a parser would say of a damaged record helps nobody, and might quote a hash.
pub(super) fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    serde_json::from_slice(bytes).ok()
}

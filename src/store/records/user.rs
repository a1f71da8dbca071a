//! A user as a record, with the networks that the user signs in from and the devices that they sign in with.

use std::{net::IpAddr, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::{
    format::{Record, Version, from_json, to_json, unreadable},
    maker,
};
use crate::{
    clock::Timestamp,
    domain::{
        Attributes, ClientAddress, Device, DeviceSignIn, DeviceTokenHash, DisplayName, KnownDevice,
        KnownDevices, Network, PasswordHash, ResetCode, ResetCodeHash, Role, Session, SessionId, User,
        UserId, UserRoles, Username,
    },
    store::{error::StoreError, sessions::Kept, users::MAX_NETWORKS},
};

/// How often a sign-in from the same network is noted anew.
const NOTED_EVERY: Duration = Duration::from_hours(24);

#[derive(Serialize, Deserialize)]
pub(crate) struct UserRecord {
    /// The version of this form.
    #[serde(default)]
    v: Version,
    username: String,
    password_hash: String,
    password_version: u32,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    must_change_password: bool,
    /// The roles without an end.
    roles: Vec<String>,
    /// The others, each with the first moment at which it does not hold. A reader that does not know them grants nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    ending_roles: Vec<(String, Timestamp)>,
    disabled: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    display_name: Option<String>,
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    attributes: serde_json::Map<String, serde_json::Value>,
    created_at: Timestamp,
    /// An address of each network that the user signed in from, and when the user last did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    networks: Vec<(IpAddr, Timestamp)>,
    /// Of each device: SHA-256 of its token (base64url), the session of its last sign-in, when that began, whether the token
    /// was ever presented, and its name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    devices: Vec<DeviceRow>,
    /// Of the reset code: its SHA-256 (base64url), the administrator who made it if one did, and when it expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reset_code: Option<ResetCodeRow>,
    /// The version of the password that this administrator had. Absent for the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reset_code_made_with_password: Option<u32>,
}

type ResetCodeRow = (String, Option<String>, Timestamp);
type DeviceRow = (String, String, Timestamp, bool, Option<String>);

impl Record for UserRecord {
    fn version(&self) -> Version {
        self.v
    }
}

impl UserRecord {
    /// The record of a user of whom no network and no device is known.
    pub(crate) fn of(user: &User) -> Self {
        let (ending, attributes) = (user.roles.ending().iter(), user.attributes.iter());
        Self {
            v: Self::LATEST,
            username: user.username.to_string(),
            password_hash: user.password_hash.expose().to_owned(),
            password_version: user.password_version,
            must_change_password: user.must_change_password,
            roles: user.roles.lasting().iter().map(ToString::to_string).collect(),
            ending_roles: ending.map(|(role, until)| (role.to_string(), *until)).collect(),
            disabled: user.disabled,
            display_name: user.display_name.as_ref().map(ToString::to_string),
            attributes: attributes
                .filter_map(|(name, value)| Some((name.to_owned(), serde_json::to_value(value).ok()?)))
                .collect(),
            created_at: user.created_at,
            networks: Vec::new(),
            devices: Vec::new(),
            reset_code: None,
            reset_code_made_with_password: None,
        }
    }

    /// The record of the same user, changed to `user`. The networks and devices stay, and so does the reset code unless the user is
    /// disabled.
    pub(crate) fn update(self, user: &User) -> Self {
        Self {
            networks: self.networks,
            devices: self.devices,
            reset_code_made_with_password: self.reset_code_made_with_password.filter(|_| !user.disabled),
            reset_code: self.reset_code.filter(|_| !user.disabled),
            ..Self::of(user)
        }
    }

    /// Gives the user a reset code in place of an earlier one.
    pub(crate) fn put_reset_code(&mut self, code: &ResetCode) {
        let (made_by, made_with_password) = maker::written(code.made_by);
        self.reset_code = Some((
            URL_SAFE_NO_PAD.encode(code.hash.as_bytes()),
            made_by,
            code.expires_at,
        ));
        self.reset_code_made_with_password = made_with_password;
    }

    /// Returns the reset code of the user, whose id is `id`.
    pub(crate) fn reset_code(&self, id: UserId) -> Result<Option<ResetCode>, StoreError> {
        let Some((hash, made_by, expires_at)) = &self.reset_code else {
            return Ok(None);
        };
        let unreadable = || unreadable(format!("user {id}"));
        let hash = URL_SAFE_NO_PAD.decode(hash).map_err(|_| unreadable())?;
        let made_by = maker::read(made_by.as_deref(), self.reset_code_made_with_password);
        Ok(Some(ResetCode {
            hash: ResetCodeHash::from_bytes(hash.try_into().map_err(|_| unreadable())?),
            user: id,
            made_by: made_by.map_err(|_| unreadable())?,
            expires_at: *expires_at,
        }))
    }

    pub(crate) fn read(id: UserId, bytes: &[u8]) -> Result<Self, StoreError> {
        from_json(bytes, || format!("user {id}"))
    }

    pub(crate) fn write(&self) -> Result<Vec<u8>, StoreError> {
        to_json(self)
    }

    pub(crate) fn username(&self) -> &str {
        &self.username
    }

    /// Returns the user, whose id is `id`.
    pub(crate) fn user(&self, id: UserId) -> Result<User, StoreError> {
        let unreadable = || unreadable(format!("user {id}"));
        let lasting = self.roles.iter().map(|role| Role::parse(role));
        let lasting = lasting.collect::<Result<_, _>>().map_err(|_| unreadable())?;
        let ending = self.ending_roles.iter();
        let ending = ending.map(|(role, until)| Role::parse(role).map(|role| (role, *until)));
        let ending: Vec<_> = ending.collect::<Result<_, _>>().map_err(|_| unreadable())?;
        let display_name = self.display_name.as_deref().map(DisplayName::parse_stored);
        Ok(User {
            id,
            username: Username::parse(&self.username).map_err(|_| unreadable())?,
            password_hash: PasswordHash::parse(&self.password_hash).ok_or_else(unreadable)?,
            password_version: self.password_version,
            must_change_password: self.must_change_password,
            roles: UserRoles::new(lasting, ending),
            disabled: self.disabled,
            display_name: display_name.transpose().map_err(|_| unreadable())?,
            attributes: Attributes::parse(&self.attributes).map_err(|_| unreadable())?,
            created_at: self.created_at,
        })
    }

    /// Returns when the user last signed in from `network`.
    pub(crate) fn last_sign_in(&self, network: Network) -> Option<Timestamp> {
        let noted = self
            .networks
            .iter()
            .find(|(address, _)| *address == network.address());
        noted.map(|(_, at)| *at)
    }

    /// Remembers from where `session` began, and with which device token. Returns `false` if there was nothing to change.
    pub(crate) fn note_session(
        &mut self,
        session: &Session,
        device: Option<DeviceSignIn>,
    ) -> Result<bool, StoreError> {
        let network = session.client.address.map(ClientAddress::network);
        let mut changed = network.is_some_and(|network| self.note_sign_in(network, session.created_at));
        if let Some(device) = device {
            let mut devices = self.devices(session.user)?;
            if devices.note(device, session) {
                self.devices = devices.iter().map(device_row).collect();
                changed = true;
            }
        }
        Ok(changed)
    }

    /// Remembers that the user signed in from `network` at `now`, unless that was noted within the last day. Of more than
    /// [`MAX_NETWORKS`], forgets the least recent, and before it one that a clock noted that was ahead. Returns whether
    /// anything changed.
    pub(crate) fn note_sign_in(&mut self, network: Network, now: Timestamp) -> bool {
        let noted = self.last_sign_in(network);
        if noted.is_some_and(|at| at <= now && now < at.plus(NOTED_EVERY)) {
            return false;
        }
        self.networks.retain(|(address, _)| *address != network.address());
        if self.networks.len() >= MAX_NETWORKS {
            let age = |index: &usize| (self.networks[*index].1 <= now, self.networks[*index].1);
            let oldest = (0..self.networks.len()).min_by_key(age);
            oldest.map(|index| self.networks.swap_remove(index));
        }
        self.networks.push((network.address(), now));
        true
    }

    /// Forgets every network and every device of the user, whose id is `id`, except what is `kept`. Returns whether anything
    /// changed.
    pub(crate) fn forget_all_but(&mut self, id: UserId, kept: Kept) -> Result<bool, StoreError> {
        let before = self.networks.len();
        let network = kept.network.map(Network::address);
        self.networks.retain(|(address, _)| Some(*address) == network);
        let mut devices = self.devices(id)?;
        let forgotten = devices.forget_all_but(kept.session);
        self.devices = devices.iter().map(device_row).collect();
        Ok(forgotten || self.networks.len() < before)
    }

    /// Returns when the user last signed in with the device token that has the hash `token`.
    pub(crate) fn last_sign_in_with(&self, token: DeviceTokenHash) -> Option<Timestamp> {
        let token = URL_SAFE_NO_PAD.encode(token.as_bytes());
        let noted = self.devices.iter().find(|(known, ..)| *known == token);
        noted.map(|(_, _, at, ..)| *at)
    }

    /// Returns the devices of the user, whose id is `id`.
    fn devices(&self, id: UserId) -> Result<KnownDevices, StoreError> {
        let devices = self.devices.iter().map(known_device);
        let devices = devices.collect::<Option<KnownDevices>>();
        devices.ok_or_else(|| unreadable(format!("user {id}")))
    }
}

fn device_row(device: &KnownDevice) -> DeviceRow {
    (
        URL_SAFE_NO_PAD.encode(device.token.as_bytes()),
        device.session.to_string(),
        device.signed_in_at,
        device.came_back,
        device.name.as_ref().map(ToString::to_string),
    )
}

/// Returns `None` if the row makes no sense.
fn known_device((token, session, signed_in_at, came_back, name): &DeviceRow) -> Option<KnownDevice> {
    let token = URL_SAFE_NO_PAD.decode(token).ok()?;
    Some(KnownDevice {
        token: DeviceTokenHash::from_bytes(token.try_into().ok()?),
        session: SessionId::parse(session).ok()?,
        signed_in_at: *signed_in_at,
        came_back: *came_back,
        name: name.as_deref().and_then(Device::parse),
    })
}

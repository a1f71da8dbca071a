//! A user as a record, with the networks that the user signs in from.

use std::{net::IpAddr, time::Duration};

use serde::{Deserialize, Serialize};

use super::format::{Record, Version, from_json, to_json, unreadable};
use crate::{
    clock::Timestamp,
    domain::{Client, ClientAddress, DisplayName, Network, PasswordHash, Role, User, UserId, Username},
    store::{error::StoreError, users::MAX_NETWORKS},
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
    roles: Vec<String>,
    disabled: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    display_name: Option<String>,
    created_at: Timestamp,
    /// An address of each network that the user signed in from, and when the user last did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    networks: Vec<(IpAddr, Timestamp)>,
}

impl Record for UserRecord {
    fn version(&self) -> Version {
        self.v
    }
}

impl UserRecord {
    /// The record of a user of whom no network is known.
    pub(crate) fn of(user: &User) -> Self {
        Self {
            v: Self::LATEST,
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

    /// The record of the same user, changed to `user`. The networks stay.
    pub(crate) fn update(self, user: &User) -> Self {
        Self {
            networks: self.networks,
            ..Self::of(user)
        }
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
        let roles = self.roles.iter().map(|role| Role::parse(role));
        let display_name = self.display_name.as_deref().map(DisplayName::parse_stored);
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

    /// Returns when the user last signed in from `network`.
    pub(crate) fn last_sign_in(&self, network: Network) -> Option<Timestamp> {
        let noted = self
            .networks
            .iter()
            .find(|(address, _)| *address == network.address());
        noted.map(|(_, at)| *at)
    }

    /// Remembers that the user signed in by `client` at `now`. Returns `false` if there was nothing to change.
    pub(crate) fn note_client(&mut self, client: &Client, now: Timestamp) -> bool {
        let network = client.address.map(ClientAddress::network);
        network.is_some_and(|network| self.note_sign_in(network, now))
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

    /// Forgets every network but `kept`. Returns whether anything changed.
    pub(crate) fn forget_networks_but(&mut self, kept: Option<Network>) -> bool {
        let before = self.networks.len();
        let kept = kept.map(Network::address);
        self.networks.retain(|(address, _)| Some(*address) == kept);
        self.networks.len() < before
    }
}

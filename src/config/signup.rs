//! `[signup]`: who may sign up, and what they are then.

use super::{
    error::ConfigError,
    setting::{Kind, Setting},
    source::Settings,
    value::{boolean, list},
};
use crate::domain::{Role, Roles};

const ENABLED: Setting = Setting {
    key: "signup.enabled",
    default: "true",
    kind: Kind::Boolean,
    accepts: "true or false",
    help: "Whether anybody may sign up. If not, `jwt-server user add` is the only way in.",
};
const ROLES: Setting = Setting {
    key: "signup.roles",
    default: "[\"CLIENT\"]",
    kind: Kind::List,
    accepts: "a list of roles, each of A-Z, 0-9, _ and -, starting with a letter",
    help: "The roles of those who sign up.",
};

pub(super) const SETTINGS: &[Setting] = &[ENABLED, ROLES];

/// Who may sign up, and what they are then.
#[derive(Clone, Debug)]
pub struct SignupConfig {
    /// Whether anybody may.
    pub enabled: bool,
    /// What they are.
    pub roles: Roles,
}

impl SignupConfig {
    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let roles = settings.read(&ROLES, |raw| list(raw, |item| Role::parse(item).ok()))?;
        Ok(Self {
            enabled: settings.read(&ENABLED, boolean)?,
            roles: roles.into_iter().collect(),
        })
    }
}

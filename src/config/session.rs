//! `[session]`: how long a sign-in lasts.

use std::time::Duration;

use super::{
    error::ConfigError,
    setting::{Kind, Setting},
    source::Settings,
    value::seconds,
};

const MAX_LIFETIME: Setting = Setting {
    key: "session.max_lifetime",
    default: "\"30d\"",
    kind: Kind::Text,
    accepts: "a time in whole seconds of 1s or more, such as 30d",
    help: "How long one sign-in lasts at the most, however often its token is refreshed.",
};

pub(super) const SETTINGS: &[Setting] = &[MAX_LIFETIME];

/// How long a sign-in lasts.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// At the most, however often it is refreshed. Whole seconds.
    pub max_lifetime: Duration,
}

impl SessionConfig {
    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        Ok(Self {
            max_lifetime: settings.read(&MAX_LIFETIME, |raw| seconds(raw).filter(|time| !time.is_zero()))?,
        })
    }
}

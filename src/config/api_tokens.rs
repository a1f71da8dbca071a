//! `[api_tokens]`: how long the tokens of services last, and how many there are.

use std::time::Duration;

use super::{
    error::ConfigError,
    setting::{Kind, Setting},
    source::Settings,
    value::{number, seconds},
};

const MAX_LIFETIME: Setting = Setting {
    key: "api_tokens.max_lifetime",
    default: "\"365d\"",
    kind: Kind::Text,
    accepts: "a time in whole seconds of 1s or more, such as 365d",
    help: "How long an API token lasts at the most. Those that are there already keep the end that they have.",
};
const MAX_PER_USER: Setting = Setting {
    key: "api_tokens.max_per_user",
    default: "50",
    kind: Kind::Integer,
    accepts: "a whole number from 0 to 1000",
    help: "How many API tokens a user has at the most. One more is refused, so that no service loses its own; 0 lets nobody make any.",
};

pub(super) const SETTINGS: &[Setting] = &[MAX_LIFETIME, MAX_PER_USER];

/// The tokens of services.
#[derive(Clone, Copy, Debug)]
pub struct ApiTokenConfig {
    /// How long one lasts at the most. Whole seconds.
    pub max_lifetime: Duration,
    /// How many a user has at the most.
    pub max_per_user: usize,
}

impl ApiTokenConfig {
    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        Ok(Self {
            max_lifetime: settings.read(&MAX_LIFETIME, |raw| seconds(raw).filter(|time| !time.is_zero()))?,
            max_per_user: settings.read(&MAX_PER_USER, |raw| number(raw, 0..=1000))?,
        })
    }
}

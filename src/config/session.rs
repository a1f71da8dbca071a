//! `[session]`: how long a sign-in lasts, and how it goes on.

use std::time::Duration;

use super::{
    error::ConfigError,
    setting::{Kind, Setting},
    source::Settings,
    value::{boolean, number, seconds},
};

const MAX_LIFETIME: Setting = Setting {
    key: "session.max_lifetime",
    default: "\"30d\"",
    kind: Kind::Text,
    accepts: "a time in whole seconds of 1s or more, such as 30d",
    help: "How long one sign-in lasts at the most, however often its token is refreshed.",
};

const MAX_PER_USER: Setting = Setting {
    key: "session.max_per_user",
    default: "50",
    kind: Kind::Integer,
    accepts: "a whole number from 1 to 1000",
    help: "How many sessions a user has at the most. One more ends the oldest.",
};
const REFRESH_TOKENS: Setting = Setting {
    key: "session.refresh_tokens",
    default: "false",
    kind: Kind::Boolean,
    accepts: "true or false",
    help: "Whether a sign-in also gives a refresh token, with which a session goes on long after its access token has expired.",
};
const REFRESH_TOKEN_LIFETIME: Setting = Setting {
    key: "session.refresh_token_lifetime",
    default: "\"7d\"",
    kind: Kind::Text,
    accepts: "a time in whole seconds of 1s or more, such as 7d",
    help: "How long a refresh token is good if it is not used. Each use gives another one.",
};

pub(super) const SETTINGS: &[Setting] = &[MAX_LIFETIME, MAX_PER_USER, REFRESH_TOKENS, REFRESH_TOKEN_LIFETIME];

/// How long a sign-in lasts.
#[derive(Clone, Copy, Debug)]
pub struct SessionConfig {
    /// At the most, however often it is refreshed. Whole seconds.
    pub max_lifetime: Duration,
    /// Sessions that a user has at the most.
    pub max_per_user: usize,
    /// How long a refresh token is good if it is not used, in whole seconds; `None` if there are none.
    pub refresh_tokens: Option<Duration>,
}

impl SessionConfig {
    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let time = |setting: &'static Setting| {
            settings.read(setting, |raw| seconds(raw).filter(|time| !time.is_zero()))
        };
        let refresh_token_lifetime = time(&REFRESH_TOKEN_LIFETIME)?;
        Ok(Self {
            max_lifetime: time(&MAX_LIFETIME)?,
            max_per_user: settings.read(&MAX_PER_USER, |raw| number(raw, 1..=1000))?,
            refresh_tokens: settings
                .read(&REFRESH_TOKENS, boolean)?
                .then_some(refresh_token_lifetime),
        })
    }
}

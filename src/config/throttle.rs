//! `[throttle]`: how fast passwords and tokens may be guessed.

use std::{num::NonZeroU32, time::Duration};

use super::{
    error::ConfigError,
    setting::{Kind, Setting},
    source::Settings,
    value::{number, seconds},
};
use crate::domain::{LinePolicy, MAX_FAILURES};

const ADDRESS_FAILURES: Setting = Setting {
    key: "throttle.address_failures",
    default: "100",
    kind: Kind::Integer,
    accepts: "a whole number from 1 to 1000000",
    help: "How many sign-ins may fail from one address (IPv6: /64) before it has to wait. From where a user has signed in before, their own do not count.",
};
const ADDRESS_REFILL: Setting = Setting {
    key: "throttle.address_refill",
    default: "\"10s\"",
    kind: Kind::Text,
    accepts: "a time in whole seconds from 1s to 1d, such as 10s",
    help: "How long it waits for each one more: 10s is 8,640 guesses a day and address, for all accounts together.",
};
const ACCOUNT_FAILURES: Setting = Setting {
    key: "throttle.account_failures",
    default: "30",
    kind: Kind::Integer,
    accepts: "a whole number from 1 to 100",
    help: "How many sign-ins to one account may fail in a row before strangers have to wait: clients from where it was never signed in to.",
};
const ACCOUNT_DELAY: Setting = Setting {
    key: "throttle.account_delay",
    default: "\"30s\"",
    kind: Kind::Text,
    accepts: "a time in whole seconds from 1s to 1d, such as 30s",
    help: "The distance between two strangers' attempts after that.",
};
const ACCOUNT_LONG_DELAY: Setting = Setting {
    key: "throttle.account_long_delay",
    default: "\"1h\"",
    kind: Kind::Text,
    accepts: "a time in whole seconds from 1s to 1d, such as 1h",
    help: "The distance after 100 failures in a row: 1h is 24 guesses a day and account, for all strangers together.",
};
const FOREIGN_TOKENS: Setting = Setting {
    key: "throttle.foreign_tokens",
    default: "100",
    kind: Kind::Integer,
    accepts: "a whole number from 1 to 1000000",
    help: "How many tokens that are none of this server's a user may ask /introspect about before they have to wait. Expired and revoked ones do not count.",
};
const FOREIGN_TOKEN_REFILL: Setting = Setting {
    key: "throttle.foreign_token_refill",
    default: "\"1s\"",
    kind: Kind::Text,
    accepts: "a time in whole seconds from 1s to 1d, such as 1s",
    help: "How long they wait for each one more: 1s is 86,400 guesses a day, of tokens with 128 random bits and a signature.",
};

pub(super) const SETTINGS: &[Setting] = &[
    ADDRESS_FAILURES,
    ADDRESS_REFILL,
    ACCOUNT_FAILURES,
    ACCOUNT_DELAY,
    ACCOUNT_LONG_DELAY,
    FOREIGN_TOKENS,
    FOREIGN_TOKEN_REFILL,
];

const LONGEST: Duration = Duration::from_hours(24);

/// How fast passwords and tokens may be guessed.
#[derive(Clone, Copy, Debug)]
pub struct ThrottleConfig {
    /// Failures from one address that delay nobody.
    pub address_failures: NonZeroU32,
    /// How long such an address waits for each further one, 1 second to 1 day.
    pub address_refill: Duration,
    /// At one account.
    pub account: LinePolicy,
    /// Tokens of another make that delay nobody who asks about them.
    pub foreign_tokens: NonZeroU32,
    /// How long who asks about them waits for each further one, 1 second to 1 day.
    pub foreign_token_refill: Duration,
}

impl ThrottleConfig {
    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let delay = |setting: &'static Setting| {
            settings.read(setting, |raw| {
                seconds(raw).filter(|time| !time.is_zero() && *time <= LONGEST)
            })
        };
        let bucket = |setting: &'static Setting| {
            settings.read(setting, |raw| NonZeroU32::new(number(raw, 1..=1_000_000)?))
        };
        Ok(Self {
            address_failures: bucket(&ADDRESS_FAILURES)?,
            address_refill: delay(&ADDRESS_REFILL)?,
            account: LinePolicy {
                free_failures: settings.read(&ACCOUNT_FAILURES, |raw| number(raw, 1..=MAX_FAILURES))?,
                delay: delay(&ACCOUNT_DELAY)?,
                long_delay: delay(&ACCOUNT_LONG_DELAY)?,
            },
            foreign_tokens: bucket(&FOREIGN_TOKENS)?,
            foreign_token_refill: delay(&FOREIGN_TOKEN_REFILL)?,
        })
    }
}

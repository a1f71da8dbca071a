//! The values that were given for the settings, before they are read: each with its origin.

use std::collections::BTreeMap;

use secrecy::SecretString;
use toml::de::DeValue;

use super::{
    error::ConfigError,
    origin::Origin,
    raw::Raw,
    setting::{AnySetting, Setting},
};

/// The values that the file, the environment and the flags give. Every other setting is at its default.
#[derive(Debug, Default)]
pub struct Settings {
    given: BTreeMap<&'static str, (Raw, Origin)>,
    secret: Option<SecretString>,
    ignored: Vec<String>,
}

impl Settings {
    /// The value of `setting` as it is written in the file, and where it comes from.
    #[must_use]
    pub fn shown(&self, setting: &AnySetting) -> (String, Origin) {
        match self.given.get(setting.key) {
            Some((value, origin)) => (value.to_string(), origin.clone()),
            None => (setting.default.to_owned(), Origin::Default),
        }
    }

    /// A warning for each environment variable that looks like a setting's and is not read.
    #[must_use]
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }

    /// Adds such a warning.
    pub(super) fn add_ignored(&mut self, warning: String) {
        self.ignored.push(warning);
    }

    /// The secret that the environment gave.
    pub(super) fn secret(&self) -> Option<&SecretString> {
        self.secret.as_ref()
    }

    /// Where the value of `setting` comes from.
    pub(super) fn origin(&self, setting: &AnySetting) -> Origin {
        let given = self.given.get(setting.key);
        given.map_or(Origin::Default, |(_, origin)| origin.clone())
    }

    /// The value of `setting`.
    ///
    /// Fails with [`ConfigError::BadValue`] if what was given is not accepted.
    pub(super) fn read<T>(&self, setting: &Setting<T>) -> Result<T, ConfigError> {
        let any = setting.any();
        let (value, origin) = match self.given.get(setting.key) {
            Some((value, origin)) => (value.clone(), origin.clone()),
            None => (default(&any), Origin::Default),
        };
        let parsed = setting.accepts.parse(&value);
        parsed.ok_or_else(|| any.bad_value(value.to_string(), origin))
    }

    /// Sets `setting`, over an earlier value.
    pub(super) fn set(&mut self, setting: &AnySetting, value: Raw, origin: Origin) {
        self.given.insert(setting.key, (value, origin));
    }

    /// Sets the secret that the environment gave.
    pub(super) fn set_secret(&mut self, secret: SecretString) {
        self.secret = Some(secret);
    }
}

fn default(setting: &AnySetting) -> Raw {
    DeValue::parse(setting.default).map_or_else(
        |_| Raw::Other(setting.default.to_owned()),
        |value| Raw::of(value.get_ref()),
    )
}

//! What a setting is: its key, its default, what it accepts, and its help.

use std::fmt::{self, Debug};

use super::{
    accepts::{Accepts, Form},
    error::ConfigError,
    origin::{Origin, PREFIX},
    raw::Kind,
};

/// A setting whose value is a `T`.
pub(super) struct Setting<T: 'static> {
    /// `section.name`, as in the file.
    pub(super) key: &'static str,
    /// Its default, as in the file.
    pub(super) default: &'static str,
    /// Reads, checks and describes its values.
    pub(super) accepts: &'static dyn Accepts<T>,
    /// What it does.
    pub(super) help: &'static str,
}

impl<T> Setting<T> {
    /// The setting without the type of its value.
    pub(super) const fn any(&self) -> AnySetting {
        AnySetting {
            key: self.key,
            default: self.default,
            form: self.accepts,
            help: self.help,
        }
    }
}

impl<T: Debug> Setting<T> {
    /// Fails with [`ConfigError::BadValue`] if `value`, which was set in code, is not accepted.
    pub(super) fn check(&self, value: &T) -> Result<(), ConfigError> {
        if self.accepts.contains(value) {
            return Ok(());
        }
        Err(self.any().bad_value(format!("{value:?}"), Origin::Code))
    }
}

/// A setting, whatever the type of its value. The flags, the shipped file, the documentation and the error messages are
/// made from these.
#[derive(Clone, Copy)]
pub struct AnySetting {
    /// `section.name`, as in the file; also the flag's name.
    pub key: &'static str,
    /// Its default, as in the file.
    pub default: &'static str,
    form: &'static dyn Form,
    /// What it does: a few sentences for the file, `--help` and the documentation.
    pub help: &'static str,
}

impl AnySetting {
    /// The part of the key before the dot.
    #[must_use]
    pub fn section(&self) -> &'static str {
        self.key.split_once('.').map_or("", |(section, _)| section)
    }

    /// The part of the key after the dot.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.key.split_once('.').map_or(self.key, |(_, name)| name)
    }

    /// The environment variable that sets it.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("{}{}", PREFIX, self.key.replace('.', "__").to_uppercase())
    }

    /// The form of its value.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.form.kind()
    }

    /// What is accepted: completes "accepted: …".
    #[must_use]
    pub fn accepts(&self) -> String {
        self.form.describe()
    }

    pub(super) fn bad_value(&self, value: String, origin: Origin) -> ConfigError {
        ConfigError::BadValue {
            origin,
            key: self.key,
            value,
            accepts: self.accepts(),
        }
    }
}

impl fmt::Debug for AnySetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}", self.key, self.default)
    }
}

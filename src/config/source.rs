//! Reads settings from the file, the environment and the flags. A later source wins over an earlier one.

use std::{ffi::OsString, fs, io, path::Path};

use toml::de::{DeTable, DeValue};

use super::{
    error::ConfigError,
    errors::Errors,
    nearest,
    origin::{Origin, PREFIX, SECRET_VARIABLE},
    raw::{Kind, Raw},
    setting::AnySetting,
    settings::Settings,
    table::settings,
};

impl Settings {
    /// Adds the settings in the file at `path`.
    ///
    /// # Errors
    /// [`ConfigError::Unreadable`] if it can't be read (`NotFound` included), else as [`add_file`](Self::add_file).
    pub fn add_file_at(&mut self, path: &Path) -> Result<(), ConfigError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
            path: path.to_owned(),
            source: match (source.kind(), fs::read_link(path)) {
                (io::ErrorKind::InvalidData, _) => io::Error::other("it is not UTF-8 text"),
                (io::ErrorKind::NotFound, Ok(target)) => io::Error::other(format!(
                    "it is a symbolic link to {:?}, which does not exist",
                    target.display()
                )),
                _ => source,
            },
        })?;
        self.add_file(&path.display().to_string(), &text)
    }

    /// Adds the settings in `text`, the content of the file named `file`.
    ///
    /// # Errors
    /// [`ConfigError::Syntax`] if it is not TOML, [`Unknown`](ConfigError::Unknown) for each name that no setting has,
    /// [`SecretInFile`](ConfigError::SecretInFile) for a secret. The other settings are added all the same.
    pub fn add_file(&mut self, file: &str, text: &str) -> Result<(), ConfigError> {
        let line_of = |at: usize| 1 + text.bytes().take(at).filter(|b| *b == b'\n').count();
        let origin = |at: usize| Origin::File {
            file: file.to_owned(),
            line: line_of(at),
        };
        let document = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
            file: file.to_owned(),
            line: line_of(error.span().map_or(0, |span| span.start)),
            message: error.message().replace('\n', ", "),
        })?;
        let mut errors = Errors::default();
        for (section, table) in document.get_ref() {
            let DeValue::Table(entries) = table.get_ref() else {
                errors.add(unknown(origin(section.span().start), section.get_ref()));
                continue;
            };
            for (name, value) in entries {
                let key = format!("{}.{}", section.get_ref(), name.get_ref());
                let origin = origin(name.span().start);
                match settings().find(|setting| setting.key == key) {
                    Some(setting) => self.set(&setting, Raw::of(value.get_ref()), origin),
                    None if key == "token.secret" => errors.add(ConfigError::SecretInFile { origin }),
                    None => errors.add(unknown(origin, &key)),
                }
            }
            if entries.is_empty() && !settings().any(|setting| setting.section() == section.get_ref()) {
                errors.add(unknown(origin(section.span().start), section.get_ref()));
            }
        }
        errors.result()
    }

    /// Adds the settings in those of the environment's `variables` whose names begin with `JWT_SERVER__`. A
    /// variable that only looks like one of those adds to [`ignored`](Self::ignored).
    ///
    /// # Errors
    /// [`ConfigError::Unknown`] for each name that no setting has, [`BadValue`](ConfigError::BadValue) for each value that
    /// does not have the setting's form, [`BadSecret`](ConfigError::BadSecret) for a secret that is not UTF-8 text. The
    /// other settings are added all the same.
    pub fn add_environment(
        &mut self,
        variables: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<(), ConfigError> {
        let mut errors = Errors::default();
        for (name, value) in variables {
            let name = name.to_string_lossy();
            if name.starts_with(PREFIX) {
                errors.keep(self.add_variable(&name, value));
            } else if let Some(warning) = nearest::ignored(&name) {
                self.add_ignored(warning);
            }
        }
        errors.result()
    }

    fn add_variable(&mut self, name: &str, value: OsString) -> Result<(), ConfigError> {
        // A name may contain line feeds, and a message is one line.
        let origin = Origin::Environment(name.escape_debug().to_string());
        let value = value.into_string();
        if name == SECRET_VARIABLE {
            // A lossy conversion could make the same secret of different bytes.
            let value = value.map_err(|_| ConfigError::BadSecret {
                origin,
                problem: "it is not UTF-8 text; put bytes into a file and name that with token.secret_file"
                    .into(),
            })?;
            self.set_secret(value.into());
            return Ok(());
        }
        let value = value.unwrap_or_else(|bytes| bytes.to_string_lossy().into_owned());
        let Some(setting) = settings().find(|setting| setting.variable() == name) else {
            let key = name[PREFIX.len()..].replace("__", ".").to_lowercase();
            return Err(unknown(origin, &key));
        };
        self.add_text(&setting, &value, origin)
    }

    /// Adds the value of a flag.
    ///
    /// # Errors
    /// [`ConfigError::BadValue`] if it does not have the setting's form.
    pub fn add_flag(&mut self, setting: &AnySetting, flag: &str, value: &str) -> Result<(), ConfigError> {
        self.add_text(setting, value, Origin::Flag(flag.to_owned()))
    }

    fn add_text(&mut self, setting: &AnySetting, text: &str, origin: Origin) -> Result<(), ConfigError> {
        let value = match setting.kind() {
            Kind::Text => Some(Raw::Text(text.to_owned())),
            Kind::Integer => text
                .parse::<i64>()
                .ok()
                .map(|number| Raw::Integer(number.to_string())),
            Kind::Boolean => text.parse().ok().map(Raw::Boolean),
            Kind::List => Some(Raw::List(Raw::items(text))),
        };
        let value = value.ok_or_else(|| setting.bad_value(format!("{text:?}"), origin.clone()))?;
        self.set(setting, value, origin);
        Ok(())
    }
}

/// The error for `key`, which no setting has.
fn unknown(origin: Origin, key: &str) -> ConfigError {
    ConfigError::Unknown {
        origin,
        key: key.escape_debug().to_string(),
        nearest: nearest::nearest(key),
    }
}

#[cfg(test)]
mod tests;

//! `[introspection]`: who may ask what a token is worth.

use super::{
    error::ConfigError,
    setting::{Kind, Setting},
    source::Settings,
    value::list,
};
use crate::domain::Role;

const ROLES: Setting = Setting {
    key: "introspection.roles",
    default: "[\"ADMIN\", \"SERVICE\"]",
    kind: Kind::List,
    accepts: "a list of one or more roles, each of A-Z, 0-9, _ and -, starting with a letter",
    help: "Who may ask at /introspect what a token is worth: users with any of these roles.",
};

pub(super) const SETTINGS: &[Setting] = &[ROLES];

/// Who may ask what a token is worth.
#[derive(Clone, Debug)]
pub struct IntrospectionConfig {
    /// Who has any of them: at least one.
    pub roles: Vec<Role>,
}

impl IntrospectionConfig {
    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let role = |item: &str| Role::parse(item).ok();
        let some = |roles: &Vec<Role>| !roles.is_empty();
        Ok(Self {
            roles: settings.read(&ROLES, |raw| list(raw, role).filter(some))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(roles: &str) -> Result<IntrospectionConfig, ConfigError> {
        let mut settings = Settings::default();
        settings.add_file("jwt-server.toml", &format!("[introspection]\nroles = {roles}"))?;
        IntrospectionConfig::read(&settings)
    }

    #[test]
    fn somebody_may_ask_and_every_role_is_one() {
        assert_eq!(read("[\"GATE\"]").unwrap().roles, [Role::parse("GATE").unwrap()]);
        for bad in ["[]", "[\"gate\"]", "[\"GATE\", \"\"]", "\"GATE\"", "true"] {
            let error = read(bad).unwrap_err().to_string();
            assert!(error.contains("introspection.roles"), "{error}");
        }
    }
}

//! `[introspection]`: which users may ask about tokens at `/introspect`.

use super::{accepts::List, section::section};
use crate::domain::Role;

section! {
    /// Who may ask about tokens at `/introspect`.
    pub struct IntrospectionConfig in "introspection" {
        /// The roles that may ask about tokens at /introspect. A user needs one of them.
        roles: Vec<Role> = ["ADMIN", "SERVICE"], List::of_roles(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ConfigError, Settings};

    fn read(roles: &str) -> Result<IntrospectionConfig, ConfigError> {
        let mut settings = Settings::default();
        settings.add_file("jwt-server.toml", &format!("[introspection]\nroles = {roles}"))?;
        IntrospectionConfig::read(&settings)
    }

    #[test]
    fn at_least_one_role_may_ask_and_each_is_a_role() {
        assert_eq!(read("[\"GATE\"]").unwrap().roles, [Role::parse("GATE").unwrap()]);
        for bad in ["[]", "[\"gate\"]", "[\"GATE\", \"\"]", "\"GATE\"", "true"] {
            let error = read(bad).unwrap_err().to_string();
            assert!(error.contains("introspection.roles"), "{error}");
        }
    }
}

//! The limits of the verbs that the settings give. They can be replaced while the server runs.

use crate::config::{ApiTokenConfig, AuditConfig, Config, IntrospectionConfig, SessionConfig, SignupConfig};

/// The limits of the verbs.
pub(super) struct Limits {
    pub(super) session: SessionConfig,
    pub(super) api_tokens: ApiTokenConfig,
    pub(super) signup: SignupConfig,
    pub(super) introspection: IntrospectionConfig,
    pub(super) audit: AuditConfig,
}

impl From<&Config> for Limits {
    fn from(config: &Config) -> Self {
        Self {
            session: config.session,
            api_tokens: config.api_tokens,
            signup: config.signup.clone(),
            introspection: config.introspection.clone(),
            audit: config.audit,
        }
    }
}

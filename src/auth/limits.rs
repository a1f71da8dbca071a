//! The limits of the verbs, as the settings give them. How they are replaced is not here: see `apply_limits`.

use crate::config::{ApiTokenConfig, Config, IntrospectionConfig, SessionConfig, SignupConfig};

/// The limits of the verbs.
pub(super) struct Limits {
    pub(super) session: SessionConfig,
    pub(super) api_tokens: ApiTokenConfig,
    pub(super) signup: SignupConfig,
    pub(super) introspection: IntrospectionConfig,
}

impl From<&Config> for Limits {
    fn from(config: &Config) -> Self {
        Self {
            session: config.session,
            api_tokens: config.api_tokens,
            signup: config.signup.clone(),
            introspection: config.introspection.clone(),
        }
    }
}

//! The limits that the settings give, and how others take their place while the server runs.

use super::Auth;
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

impl Auth {
    /// Applies the limits of `config` from the next request on: those of `session`, `api_tokens`, `signup`, `password`,
    /// `introspection` and `throttle`. What was granted before stays as it was granted: a session keeps its end.
    ///
    /// Every other setting needs a restart: `store`, `token`, `log` and `server`, and of `password` the number of hashing
    /// threads and the length of their queue.
    pub fn apply_limits(&self, config: &Config) {
        self.0.accounts.passwords.apply(&config.password);
        self.0.throttle.apply(&config.throttle);
        self.replace_limits(Limits::from(config));
    }
}

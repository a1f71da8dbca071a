//! Other limits for a running server.

use super::{Auth, limits::Limits};
use crate::config::Config;

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

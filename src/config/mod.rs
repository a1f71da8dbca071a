//! Settings: text from the file, the environment and the flags becomes a [`Config`].
//!
//! Each section has a file, where each setting stands once: key, default, range and help. From that line come the field of
//! the section's type, the flag, the shipped `jwt-server.toml`, and the row of `docs/settings.md`.

mod accepts;
mod admin;
mod api_tokens;
mod audit;
mod document;
#[cfg(test)]
mod ends;
mod error;
mod errors;
mod introspection;
mod listen;
mod log;
mod nearest;
mod origin;
mod password;
mod raw;
mod section;
mod server;
mod session;
mod setting;
mod settings;
mod signing_key;
mod signup;
mod source;
mod store;
mod table;
mod throttle;
mod token;

pub use self::{
    admin::AdminConfig,
    api_tokens::ApiTokenConfig,
    audit::AuditConfig,
    document::{default_file, settings_table},
    error::ConfigError,
    introspection::IntrospectionConfig,
    listen::{ListenAddress, NoListenAddress},
    log::{LogConfig, LogFormat},
    origin::{Origin, SECRET_VARIABLE},
    password::PasswordConfig,
    raw::Kind,
    server::{ForwardedHeader, ServerConfig},
    session::SessionConfig,
    setting::AnySetting,
    settings::Settings,
    signing_key::{KeyFile, MIN_SECRET_BYTES, Secret},
    signup::SignupConfig,
    store::StoreConfig,
    table::settings,
    throttle::ThrottleConfig,
    token::TokenConfig,
};
pub(crate) use self::{document::file_of, errors::Errors};

/// The configuration of a server. `Config::default()` has every setting at its default.
#[derive(Clone, Debug)]
pub struct Config {
    /// The socket.
    pub server: ServerConfig,
    /// The database.
    pub store: StoreConfig,
    /// Access tokens.
    pub token: TokenConfig,
    /// Sessions.
    pub session: SessionConfig,
    /// API tokens.
    pub api_tokens: ApiTokenConfig,
    /// Sign-up.
    pub signup: SignupConfig,
    /// Passwords and their hashing.
    pub password: PasswordConfig,
    /// How fast passwords and tokens may be guessed.
    pub throttle: ThrottleConfig,
    /// Who may ask about tokens.
    pub introspection: IntrospectionConfig,
    /// The administration where clients reach the server.
    pub admin: AdminConfig,
    /// The audit trail.
    pub audit: AuditConfig,
    /// The log.
    pub log: LogConfig,
}

impl Config {
    /// Reads `settings`.
    ///
    /// # Errors
    /// [`ConfigError`] for each value that its setting does not accept, and for any two that contradict each other.
    pub fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let mut errors = Errors::default();
        let server = errors.keep(ServerConfig::read(settings));
        let store = errors.keep(StoreConfig::read(settings));
        let token = errors.keep(TokenConfig::read(settings));
        let session = errors.keep(SessionConfig::read(settings));
        let api_tokens = errors.keep(ApiTokenConfig::read(settings));
        let signup = errors.keep(SignupConfig::read(settings));
        let password = errors.keep(PasswordConfig::read(settings));
        let throttle = errors.keep(ThrottleConfig::read(settings));
        let introspection = errors.keep(IntrospectionConfig::read(settings));
        let admin = errors.keep(AdminConfig::read(settings));
        let audit = errors.keep(AuditConfig::read(settings));
        let log = errors.keep(LogConfig::read(settings));
        let read = || {
            Some(Self {
                server: server?,
                store: store?,
                token: token?,
                session: session?,
                api_tokens: api_tokens?,
                signup: signup?,
                password: password?,
                throttle: throttle?,
                introspection: introspection?,
                admin: admin?,
                audit: audit?,
                log: log?,
            })
        };
        read().ok_or_else(|| errors.into_error())
    }

    /// Checks values that a program set in its code, as [`read`](Self::read) checks those that were written.
    ///
    /// # Errors
    /// [`ConfigError`] for each value that its setting does not accept, and for any two that contradict each other.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let mut errors = Errors::default();
        for checked in [
            self.server.check(),
            self.store.check(),
            self.token.check(),
            self.session.check(),
            self.api_tokens.check(),
            self.signup.check(),
            self.password.check(),
            self.throttle.check(),
            self.introspection.check(),
            self.admin.check(),
            self.audit.check(),
            self.log.check(),
        ] {
            errors.keep(checked);
        }
        errors.result()
    }

    /// The URL under which clients reach the server, without a slash at its end: the issuer, if that is a URL.
    ///
    /// If the issuer is a name, only a server for clients on this machine knows its URL. Returns `None` if it listens for
    /// other machines too, on a port that is not known yet, or behind a proxy.
    #[must_use]
    pub fn public_url(&self) -> Option<String> {
        if token::is_url(&self.token.issuer) {
            return Some(self.token.issuer.trim_end_matches('/').to_owned());
        }
        let ServerConfig {
            listen,
            trusted_proxies,
            ..
        } = &self.server;
        let only_here = listen.iter().all(ListenAddress::is_local_url) && trusted_proxies.is_empty();
        listen
            .first()
            .filter(|_| only_here)
            .map(|address| format!("http://{address}"))
    }
}

impl Default for Config {
    #[expect(clippy::expect_used, reason = "a test reads the defaults")]
    fn default() -> Self {
        Self::read(&Settings::default()).expect("the defaults are good values")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_defaults_are_good_values() {
        Config::default().validate().unwrap();
    }

    #[test]
    fn a_value_set_in_code_is_held_to_the_same_range() {
        let refused = |set: fn(&mut Config)| {
            let mut config = Config::default();
            set(&mut config);
            config.validate().unwrap_err().to_string()
        };
        for (error, message) in [
            (
                refused(|config| config.password.bcrypt_cost = 17),
                "set in code: password.bcrypt_cost can't be 17; accepted: a whole number from 4 to 16",
            ),
            (
                refused(|config| config.server.cors_origins = vec!["https://example.org/".parse().unwrap()]),
                "set in code: server.cors_origins can't be",
            ),
            (
                refused(|config| config.token.policy.refresh_grace = Duration::from_millis(1)),
                "set in code: token.refresh_grace can't be 1ms",
            ),
            (
                refused(|config| config.token.policy.lifetime = Duration::from_secs(29)),
                "token.refresh_window (set in code: 30s) can't be longer than token.lifetime (set in code: 29s)",
            ),
            (
                refused(|config| config.session.refresh_tokens = Some(Duration::ZERO)),
                "set in code: session.refresh_token_lifetime can't be 0ns",
            ),
            (
                refused(|config| config.introspection.roles.clear()),
                "set in code: introspection.roles can't be []",
            ),
            (
                refused(|config| {
                    config.token.secret = Some(Secret {
                        bytes: b"do-not-print-me".to_vec().into(),
                        origin: Origin::Code,
                    });
                }),
                "set in code: an HS256 secret has at least 32 bytes",
            ),
        ] {
            assert!(error.starts_with(message), "{error}");
            assert!(!error.contains("do-not-print-me"), "{error}");
        }
    }

    /// A setting is one line of a `section!`, so a new number is in this test without a line here.
    #[test]
    fn every_number_set_in_code_is_held_to_its_range() {
        let copies = Config::default().at_the_ends();
        for (key, is_accepted, copy) in &copies {
            match copy.validate() {
                // Another value may contradict it.
                Ok(()) | Err(ConfigError::Conflict(_)) => assert!(is_accepted, "{key}: {copy:?}"),
                Err(error) => {
                    assert!(!is_accepted, "{error}");
                    assert!(
                        error
                            .to_string()
                            .starts_with(&format!("set in code: {key} can't be ")),
                        "{error}"
                    );
                }
            }
        }
        for setting in settings() {
            let tried = copies.iter().filter(|(key, ..)| *key == setting.key);
            let [inside, outside] = [true, false].map(|wanted| tried.clone().any(|(_, is, _)| *is == wanted));
            let accepts = setting.accepts();
            let has_a_range = ["a whole number", "a time", "a size", "octal"]
                .iter()
                .any(|kind| accepts.contains(kind));
            assert_eq!(
                (inside, outside),
                (has_a_range, has_a_range),
                "{}: {accepts}",
                setting.key
            );
        }
    }

    #[test]
    fn a_private_key_set_in_code_is_for_the_algorithm() {
        let mut config = Config::default();
        config.token.algorithm = crate::domain::Algorithm::EdDsa;
        let key = |algorithm| KeyFile {
            pair: crate::keys::KeyPair::generate(algorithm).unwrap(),
            origin: Origin::Code,
        };
        config.token.key_file = Some(key(crate::domain::Algorithm::EdDsa));
        config.validate().unwrap();
        config.token.key_file = Some(key(crate::domain::Algorithm::Es256));
        let error = config.validate().unwrap_err().to_string();
        assert!(
            error.contains("is for ES256, and token.algorithm is EdDSA"),
            "{error}"
        );
    }

    #[test]
    fn only_a_url_or_a_loopback_address_is_a_public_url() {
        let url = |set: fn(&mut Config)| {
            let mut config = Config::default();
            set(&mut config);
            config.public_url()
        };
        assert_eq!(url(|_| ()).as_deref(), Some("http://localhost:8000"));
        assert_eq!(
            url(|config| config.token.issuer = "https://example.org/auth/".into()).as_deref(),
            Some("https://example.org/auth")
        );
        for set in [
            (|config| config.server.listen = vec!["0.0.0.0:8000".parse().unwrap()]) as fn(&mut Config),
            |config| config.server.listen = vec!["127.0.0.1:0".parse().unwrap()],
            |config| config.server.listen.push("192.0.2.1:8000".parse().unwrap()),
            |config| config.server.listen.push("unix:socket".parse().unwrap()),
            |config| config.server.trusted_proxies = vec!["::1/128".parse().unwrap()],
        ] {
            assert_eq!(url(set), None);
        }
    }
}

//! Settings: text from the file, the environment and the flags becomes a [`Config`] of values that can be run.
//!
//! Each section has a file, which owns its settings' names, defaults and words for people. From that one table come the
//! flags and their help, the shipped `jwt-server.toml`, and what `check-config` prints.

mod api_tokens;
mod error;
mod introspection;
mod log;
mod origin;
mod password;
mod server;
mod session;
mod setting;
mod signing_key;
mod signup;
mod source;
mod store;
mod throttle;
mod token;
mod value;

use std::fmt::Write as _;

pub use self::{
    api_tokens::ApiTokenConfig,
    error::ConfigError,
    introspection::IntrospectionConfig,
    log::{LogConfig, LogFormat},
    origin::Origin,
    password::PasswordConfig,
    server::ServerConfig,
    session::SessionConfig,
    setting::{Kind, SECRET_VARIABLE, Setting},
    signing_key::{KeyFile, MIN_SECRET_BYTES, Secret},
    signup::SignupConfig,
    source::Settings,
    store::StoreConfig,
    throttle::ThrottleConfig,
    token::TokenConfig,
};

/// Everything that can be set, ready to run. `Config::default()` is a server with no configuration at all.
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
    /// Who may sign up.
    pub signup: SignupConfig,
    /// Passwords and their hashing.
    pub password: PasswordConfig,
    /// How fast passwords may be guessed.
    pub throttle: ThrottleConfig,
    /// Who may ask what a token is worth.
    pub introspection: IntrospectionConfig,
    /// The log.
    pub log: LogConfig,
}

impl Config {
    /// The runnable values of `settings`.
    ///
    /// # Errors
    /// [`ConfigError`] for the first setting whose value is not one, or for two that contradict each other.
    pub fn read(settings: &Settings) -> Result<Self, ConfigError> {
        Ok(Self {
            server: ServerConfig::read(settings)?,
            store: StoreConfig::read(settings)?,
            token: TokenConfig::read(settings)?,
            session: SessionConfig::read(settings)?,
            api_tokens: ApiTokenConfig::read(settings)?,
            signup: SignupConfig::read(settings)?,
            password: PasswordConfig::read(settings)?,
            throttle: ThrottleConfig::read(settings)?,
            introspection: IntrospectionConfig::read(settings)?,
            log: LogConfig::read(settings)?,
        })
    }

    /// The URL under which clients reach the server, without a slash at its end: the issuer, if that is one. If it is a name
    /// only whoever runs on the same machine can be told, and `None` is for a server that listens for others as well, on a
    /// port that is not known yet, or behind a proxy.
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
        let only_here = listen.ip().is_loopback() && listen.port() != 0 && trusted_proxies.is_empty();
        only_here.then(|| format!("http://{listen}"))
    }
}

impl Default for Config {
    #[expect(clippy::expect_used, reason = "a test reads the defaults")]
    fn default() -> Self {
        Self::read(&Settings::default()).expect("the defaults are good values")
    }
}

/// Every setting there is, section by section, in the order of the shipped file.
pub fn settings() -> impl Iterator<Item = &'static Setting> {
    [
        server::SETTINGS,
        store::SETTINGS,
        token::SETTINGS,
        session::SETTINGS,
        api_tokens::SETTINGS,
        signup::SETTINGS,
        password::SETTINGS,
        throttle::SETTINGS,
        introspection::SETTINGS,
        log::SETTINGS,
    ]
    .into_iter()
    .flatten()
}

/// The text of the shipped `jwt-server.toml`: every setting at its default, with its help.
#[must_use]
pub fn default_file() -> String {
    let mut text = String::from(
        "# jwt-server's settings, each at its default: the server does the same without this file.\n\
         # A setting can also come from the environment (JWT_SERVER__SECTION__KEY) or a flag (--section.key), which win\n\
         # over the file in that order. `jwt-server check-config` shows what is in force, and where it came from.\n",
    );
    let mut section = "";
    for setting in settings() {
        if setting.section() != section {
            section = setting.section();
            let _ = write!(text, "\n[{section}]\n");
        }
        let _ = writeln!(
            text,
            "# {}\n{} = {}",
            setting.help,
            setting.name(),
            setting.default
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_file_lists_every_setting_at_its_default() {
        let shipped = std::fs::read_to_string("jwt-server.toml").unwrap();
        assert_eq!(
            shipped,
            default_file(),
            "jwt-server.toml is not what `config::default_file` writes"
        );
    }

    #[test]
    fn the_shipped_file_and_no_file_are_the_same_configuration() {
        let mut settings = Settings::default();
        settings.add_file("jwt-server.toml", &default_file()).unwrap();
        let shipped = Config::read(&settings).unwrap();
        assert_eq!(format!("{shipped:?}"), format!("{:?}", Config::default()));
    }

    #[test]
    fn the_readme_names_every_setting_with_its_default() {
        let readme = std::fs::read_to_string("docs/settings.md").unwrap();
        for setting in settings() {
            let row = format!("| `{}` | `{}` |", setting.key, setting.default);
            assert!(readme.contains(&row), "docs/settings.md has no row {row}");
        }
    }
}

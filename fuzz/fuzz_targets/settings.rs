//! The settings: each file and environment gives either a configuration that a server can run, or errors of a line each.
//!
//! The input is the file, and after each `00` a variable, `NAME=value`.

#![no_main]

use std::{ffi::OsString, os::unix::ffi::OsStringExt};

use jwt_server::{
    Config,
    config::{self, ConfigError, SECRET_VARIABLE, Settings},
};
use libfuzzer_sys::{Corpus, fuzz_target};
use secrecy::ExposeSecret;

/// The end of each secret, which no output may contain.
const MARK: &str = "-secret-that-no-output-shows";

fuzz_target!(|input: &[u8]| -> Corpus {
    let mut parts = input.split(|byte| *byte == 0);
    let Ok(file) = std::str::from_utf8(parts.next().unwrap_or_default()) else {
        return Corpus::Reject;
    };
    if file.contains(MARK) {
        return Corpus::Reject;
    }
    let variables: Vec<_> = parts.filter_map(variable).collect();

    let mut settings = Settings::default();
    let added = settings.add_file("jwt-server.toml", file);
    let added = added.and_then(|()| settings.add_environment(variables.into_iter()));
    if names_a_secret_file(&settings) {
        // The server would read the file, which might be an endless device.
        return Corpus::Reject;
    }
    match added.and_then(|()| Config::read(&settings)) {
        Ok(config) => {
            check(&config);
            config.validate().expect("what was read is valid in code too");
            let shown = shown(&settings);
            let again = read(&shown);
            let same = again.as_ref().is_ok_and(|again| same(again, &config));
            assert!(same, "{shown}\nis read back as {again:?}\nand was {config:?}");
        }
        Err(error) => {
            let text = error.to_string();
            let is_line = |line: &str| !line.is_empty() && !line.chars().any(char::is_control);
            let errors = match &error {
                ConfigError::Several(errors) => errors.len(),
                _ => 1,
            };
            assert_eq!(text.split('\n').filter(|line| is_line(line)).count(), errors, "{text:?}");
            assert!(!text.contains(MARK), "{text:?}");
        }
    }
    assert!(!format!("{settings:?}").contains(MARK));
    Corpus::Keep
});

/// The variable `NAME=value`. Returns `None` unless it has a name.
fn variable(text: &[u8]) -> Option<(OsString, OsString)> {
    let middle = text.iter().position(|byte| *byte == b'=')?;
    let (name, mut value) = (text[..middle].to_vec(), text[middle + 1..].to_vec());
    if name == SECRET_VARIABLE.as_bytes() {
        value.extend(MARK.as_bytes());
    }
    Some((OsString::from_vec(name), OsString::from_vec(value)))
}

fn names_a_secret_file(settings: &Settings) -> bool {
    let files = ["token.secret_file", "token.key_file"];
    let mut named = config::settings().filter(|setting| files.contains(&setting.key));
    named.any(|setting| settings.shown(&setting).0 != "\"\"")
}

/// A file with the same meaning, as `check-config` shows it.
fn shown(settings: &Settings) -> String {
    let lines =
        config::settings().map(|setting| format!("{} = {}\n", setting.key, settings.shown(&setting).0));
    lines.collect()
}

fn read(file: &str) -> Result<Config, ConfigError> {
    let mut settings = Settings::default();
    settings.add_file("shown", file)?;
    Config::read(&settings)
}

/// Whether both are the same but for the secret, which no output shows.
fn same(again: &Config, config: &Config) -> bool {
    let without_secret = |config: &Config| {
        let mut config = config.clone();
        config.token.secret = None;
        format!("{config:?}")
    };
    without_secret(again) == without_secret(config)
}

fn check(config: &Config) {
    let policy = config.token.policy;
    assert!(policy.lifetime.as_secs() >= 1 && policy.refresh_window <= policy.lifetime);
    for span in [
        policy.lifetime,
        policy.refresh_window,
        policy.refresh_grace,
        config.session.max_lifetime,
    ] {
        assert_eq!(span.subsec_nanos(), 0);
    }
    assert!(config.session.max_lifetime.as_secs() >= 1);
    assert!(!config.server.header_timeout.is_zero() && !config.server.body_timeout.is_zero());
    assert!((1 << 10..=16 << 20).contains(&config.server.max_body));
    assert!((4..=16).contains(&config.password.bcrypt_cost));
    assert!((1..=71).contains(&config.password.min_length) && config.password.min_strength <= 4);
    assert!(config.password.hash_queue >= 1 && config.server.max_connections >= 1);
    assert!((1..=200).contains(&config.token.issuer.chars().count()));
    assert!(config.token.audience.iter().all(|name| !name.is_empty()));
    assert!(!config.store.path.as_os_str().is_empty());
    if let Some(secret) = &config.token.secret {
        assert!(secret.bytes.expose_secret().len() >= config::MIN_SECRET_BYTES);
        assert!(!format!("{config:?}").contains(MARK));
    }
    for role in config.signup.roles.iter() {
        let mut letters = role.as_str().bytes();
        assert!(letters.next().is_some_and(|first| first.is_ascii_uppercase()));
        assert!(letters.all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b"_-".contains(&b)));
    }
}

//! `[token]`: access tokens, and how often the key that signs them changes.

use std::{mem, time::Duration};

use hyper::Uri;

use super::{
    accepts::{CENTURY, Choice, List, OrOff, Seconds, Text, Whole},
    error::ConfigError,
    errors::Errors,
    origin::{Origin, SECRET_VARIABLE},
    section::section,
    setting::{AnySetting, Setting},
    settings::Settings,
    signing_key::{KeyFile, Secret},
};
use crate::domain::{Algorithm, Attributes, TokenPolicy};

section! {
    /// The section as it is written.
    pub(super) struct Values in "token" {
        /// How tokens are signed. With `EdDSA`, `ES256` and `RS256`, other services can verify tokens with the keys at
        /// `/.well-known/jwks.json`.
        algorithm: Algorithm = "HS256", Choice(&[
            (Algorithm::Hs256.as_str(), Algorithm::Hs256),
            (Algorithm::EdDsa.as_str(), Algorithm::EdDsa),
            (Algorithm::Es256.as_str(), Algorithm::Es256),
            (Algorithm::Rs256.as_str(), Algorithm::Rs256),
        ]);
        /// A file that contains the secret that signs tokens with `HS256`. The environment variable
        /// `JWT_SERVER__TOKEN__SECRET` can hold the secret instead. Without either, the server makes one and keeps it in the
        /// database.
        secret_file: String = "", Text {
            what: "the path of a file with a secret of 32 bytes or more; empty for none",
            parse: |text| Some(text.into()),
            valid: |_| true,
        };
        /// A PEM file that contains the private key that signs tokens with `EdDSA`, `ES256` or `RS256` (2048 bits or more).
        /// Without it the server makes one and keeps it in the database.
        key_file: String = "", Text {
            what: "the path of a PEM file with a private key; empty for none",
            parse: |text| Some(text.into()),
            valid: |_| true,
        };
        /// How often the server makes another key, which then signs. The old key verifies until its last token has expired.
        rotate_every: Option<Duration> = "off", OrOff(Seconds(60..=CENTURY));
        /// How long a new key is in `/.well-known/jwks.json` before it signs, so that services know it before they meet it.
        publish_ahead: Duration = "15m", Seconds(0..=CENTURY);
        /// How long an access token is good.
        lifetime: Duration = "5m", Seconds(1..=CENTURY);
        /// The last part of a token's life, in which a refresh gives a new token. Earlier, it gives the same one back.
        refresh_window: Duration = "30s", Seconds(0..=CENTURY);
        /// How long a refreshed token is still accepted, for requests that are under way.
        refresh_grace: Duration = "10s", Seconds(0..=CENTURY);
        /// The `iss` claim of every token: who issued it. If it is the URL under which clients reach the server, it is also
        /// the base of the endpoints in `/.well-known/oauth-authorization-server`.
        issuer: String = "jwt-server", Text {
            what: "1 to 200 characters: a name, or an http or https URL without query and fragment",
            parse: |text| is_issuer(text).then(|| text.to_owned()),
            valid: |text: &String| is_issuer(text),
        };
        /// The `aud` claim of every token: who it is meant for. Empty for no such claim.
        audience: Vec<String> = [], List {
            least: 0,
            what: "names, none of them empty",
            parse: |name| (!name.is_empty()).then(|| name.to_owned()),
            valid: |name: &String| !name.is_empty(),
        };
        /// The attributes of a user that become claims of their tokens, if the user has them. An administrator gives a user
        /// attributes; each service that gets a token can read these.
        attributes: Vec<String> = [], List {
            least: 0,
            what: "names of attributes, each of a-z, 0-9 and _, starting with a letter, and none with a meaning in tokens",
            parse: |name| Attributes::check_name(name).is_ok().then(|| name.to_owned()),
            valid: |name: &String| Attributes::check_name(name).is_ok(),
        };
        /// How many verified tokens the server remembers, at about 600 bytes each, and as much more as attributes make the
        /// tokens longer. It still checks at every request whether
        /// one was revoked.
        cache: usize = 196608, Whole(0..=10_000_000);
    }
}

pub(super) const SETTINGS: &[AnySetting] = Values::SETTINGS;

/// Access tokens. Times are whole seconds.
#[derive(Clone, Debug)]
pub struct TokenConfig {
    /// The algorithm that signs them.
    pub algorithm: Algorithm,
    /// The secret that signs them, if a user gave one. With another algorithm than HS256 it only verifies tokens that it
    /// signed before.
    pub secret: Option<Secret>,
    /// The private key for `algorithm` that signs them, if a user gave one.
    pub key_file: Option<KeyFile>,
    /// How often the server makes another key, which then signs; `None` for never.
    pub rotate_every: Option<Duration>,
    /// How long a new key is published before it signs.
    pub publish_ahead: Duration,
    /// How long they last, and when a client can refresh them.
    pub policy: TokenPolicy,
    /// The `iss` claim.
    pub issuer: String,
    /// The `aud` claim; empty for none.
    pub audience: Vec<String>,
    /// The attributes of a user that become claims.
    pub attributes: Vec<String>,
    /// How many verified tokens the server remembers.
    pub cache: usize,
}

impl TokenConfig {
    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let mut values = Values::read(settings)?;
        let (secret_file, key_file) = (
            mem::take(&mut values.secret_file),
            mem::take(&mut values.key_file),
        );
        let mut errors = Errors::default();
        let secret = errors.keep(secret(settings, secret_file));
        let key = errors.keep(self::key_file(settings, key_file, values.algorithm));
        let config = Self::of(values, secret.flatten(), key.flatten());
        errors.keep(config.check_together(&|setting| settings.origin(setting)));
        errors.result()?;
        Ok(config)
    }

    /// What `values` mean, with what the files contain that they name.
    fn of(values: Values, secret: Option<Secret>, key_file: Option<KeyFile>) -> Self {
        Self {
            algorithm: values.algorithm,
            secret,
            key_file,
            rotate_every: values.rotate_every,
            publish_ahead: values.publish_ahead,
            policy: TokenPolicy {
                lifetime: values.lifetime,
                refresh_window: values.refresh_window,
                refresh_grace: values.refresh_grace,
            },
            issuer: values.issuer,
            audience: values.audience,
            attributes: values.attributes,
            cache: values.cache,
        }
    }

    /// The section as it would be written, without the files.
    fn values(&self) -> Values {
        Values {
            algorithm: self.algorithm,
            secret_file: String::new(),
            key_file: String::new(),
            rotate_every: self.rotate_every,
            publish_ahead: self.publish_ahead,
            lifetime: self.policy.lifetime,
            refresh_window: self.policy.refresh_window,
            refresh_grace: self.policy.refresh_grace,
            issuer: self.issuer.clone(),
            audience: self.audience.clone(),
            attributes: self.attributes.clone(),
            cache: self.cache,
        }
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let mut errors = Errors::default();
        errors.keep(self.values().check());
        errors.keep(self.secret.as_ref().map_or(Ok(()), Secret::check));
        errors.keep(self.check_together(&|_| Origin::Code));
        errors.result()
    }

    /// As a section's own.
    #[cfg(test)]
    pub(super) fn at_the_ends(&self) -> Vec<(&'static str, bool, Self)> {
        let copies = self.values().at_the_ends().into_iter();
        let of = |values| Self::of(values, self.secret.clone(), self.key_file.clone());
        copies
            .map(|(key, is_accepted, values)| (key, is_accepted, of(values)))
            .collect()
    }

    /// Fails with [`ConfigError::Conflict`] for any two values that contradict each other.
    fn check_together(&self, origin: &dyn Fn(&AnySetting) -> Origin) -> Result<(), ConfigError> {
        let described = |setting: &Setting<Duration>, time: Duration| {
            let setting = setting.any();
            let time = humantime::format_duration(time);
            format!("{} ({}: {time})", setting.key, origin(&setting))
        };
        let window = described(Values::refresh_window(), self.policy.refresh_window);
        let lifetime = described(Values::lifetime(), self.policy.lifetime);
        let mut errors = Errors::default();
        if self.policy.refresh_window > self.policy.lifetime {
            errors.add(ConfigError::Conflict(format!(
                "{window} can't be longer than {lifetime}"
            )));
        }
        if let Some(file) = &self.key_file
            && file.pair.public().algorithm() != self.algorithm
        {
            errors.add(ConfigError::Conflict(format!(
                "the private key ({}) is for {}, and {} is {} ({})",
                file.origin,
                file.pair.public().algorithm(),
                Values::algorithm().key,
                self.algorithm,
                origin(&Values::algorithm().any()),
            )));
        }
        let Some(every) = self.rotate_every else {
            return errors.result();
        };
        // A key needs the time to be published, and keys whose tokens are still good must not pile up.
        let rotation = Values::rotate_every().any();
        for (setting, time) in [
            (Values::publish_ahead(), self.publish_ahead),
            (Values::lifetime(), self.policy.lifetime),
        ] {
            if every < time {
                errors.add(ConfigError::Conflict(format!(
                    "{} ({}: {}) can't be shorter than {}",
                    rotation.key,
                    origin(&rotation),
                    humantime::format_duration(every),
                    described(setting, time),
                )));
            }
        }
        let given = match self.algorithm {
            Algorithm::Hs256 => self.secret.as_ref().map(|secret| &secret.origin),
            _ => self.key_file.as_ref().map(|key| &key.origin),
        };
        if let Some(given) = given {
            errors.add(ConfigError::Conflict(format!(
                "{} ({}) can't replace a signing key that comes from the settings ({given}); leave one of the two out",
                rotation.key,
                origin(&rotation),
            )));
        }
        errors.result()
    }
}

/// The secret in `file` or in the environment; `None` if no user gave one.
fn secret(settings: &Settings, file: String) -> Result<Option<Secret>, ConfigError> {
    let named = settings.origin(&Values::secret_file().any());
    match settings.secret() {
        Some(_) if !file.is_empty() => Err(ConfigError::Conflict(format!(
            "token.secret_file ({named}) and {SECRET_VARIABLE} are both set; leave one of them out"
        ))),
        Some(secret) => Secret::from_environment(secret).map(Some),
        None if file.is_empty() => Ok(None),
        None => Secret::read(file, named).map(Some),
    }
}

/// The private key in `file`; `None` if no user gave one.
fn key_file(settings: &Settings, file: String, algorithm: Algorithm) -> Result<Option<KeyFile>, ConfigError> {
    let named = settings.origin(&Values::key_file().any());
    if file.is_empty() {
        return Ok(None);
    }
    if !algorithm.has_public_keys() {
        return Err(ConfigError::Conflict(format!(
            "token.key_file ({named}) is for EdDSA, ES256 and RS256, and token.algorithm is {algorithm} ({}); name a secret for it with token.secret_file",
            settings.origin(&Values::algorithm().any()),
        )));
    }
    KeyFile::read(file, named, algorithm).map(Some)
}

/// Whether `text` is a name, or a URL as RFC 8414, section 2, requires it. `http` is accepted too.
fn is_issuer(text: &str) -> bool {
    let plain = !is_url(text)
        || text.parse().is_ok_and(|url: Uri| {
            let host = url
                .authority()
                .filter(|authority| !authority.as_str().contains('@'));
            host.is_some() && url.query().is_none() && !text.contains('#')
        });
    plain && (1..=200).contains(&text.chars().count())
}

/// Whether an issuer is a URL. Its scheme may be in capitals (RFC 3986, section 3.1).
pub(super) fn is_url(issuer: &str) -> bool {
    let scheme = issuer.split_once("://").map_or("", |(scheme, _)| scheme);
    ["http", "https"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_algorithm_can_be_configured_by_its_name() {
        for algorithm in Algorithm::ALL {
            let mut settings = Settings::default();
            let flag = algorithm.to_string();
            settings
                .add_flag(&Values::algorithm().any(), "--token.algorithm", &flag)
                .unwrap();
            assert_eq!(TokenConfig::read(&settings).unwrap().algorithm, algorithm);
        }
    }

    #[test]
    fn an_issuer_is_a_name_or_a_url_without_query_and_fragment() {
        for (text, accepted) in [
            ("jwt-server", true),
            ("", false),
            (&"a".repeat(200), true),
            (&"a".repeat(201), false),
            ("https://example.org/auth", true),
            ("HTTP://example.org:8080", true),
            ("https://", false),
            ("https://example.org/?a=b", false),
            ("https://example.org/#part", false),
            ("https://me@example.org", false),
        ] {
            assert_eq!(is_issuer(text), accepted, "{text:?}");
        }
    }
}

//! `[token]`: access tokens, and how often the key that signs them changes.

use std::time::Duration;

use hyper::Uri;

use super::{
    error::ConfigError,
    setting::{Kind, Setting},
    signing_key::{self, ALGORITHM, KEY_FILE, KeyFile, SECRET_FILE, Secret},
    source::Settings,
    value::{Raw, list, number, seconds, text},
};
use crate::domain::{Algorithm, TokenPolicy};

const ROTATE_EVERY: Setting = Setting {
    key: "token.rotate_every",
    default: "\"off\"",
    kind: Kind::Text,
    accepts: "off, or a time in whole seconds of 1m or more, such as 90d",
    help: "How often another key signs, made by the server. The old one verifies until its last token has expired.",
};
const PUBLISH_AHEAD: Setting = Setting {
    key: "token.publish_ahead",
    default: "\"15m\"",
    kind: Kind::Text,
    accepts: "a time in whole seconds, such as 15m",
    help: "How long a new key is in /.well-known/jwks.json before it signs, so that nobody meets a key that they do not know.",
};
const LIFETIME: Setting = Setting {
    key: "token.lifetime",
    default: "\"5m\"",
    kind: Kind::Text,
    accepts: "a time in whole seconds of 1s or more, such as 5m",
    help: "How long an access token is good.",
};
const REFRESH_WINDOW: Setting = Setting {
    key: "token.refresh_window",
    default: "\"30s\"",
    kind: Kind::Text,
    accepts: "a time in whole seconds, such as 30s",
    help: "The last part of a token's life, in which a refresh gives a new one. Earlier, it gives the same one back.",
};
const REFRESH_GRACE: Setting = Setting {
    key: "token.refresh_grace",
    default: "\"10s\"",
    kind: Kind::Text,
    accepts: "a time in whole seconds, such as 10s",
    help: "How long a token that has been refreshed is still accepted, for requests that are under way.",
};
const ISSUER: Setting = Setting {
    key: "token.issuer",
    default: "\"jwt-server\"",
    kind: Kind::Text,
    accepts: "1 to 200 characters: a name, or an http or https URL without query and fragment",
    help: "The `iss` claim of every token: who made it. As the URL under which clients reach the server it is also the base of the endpoints in /.well-known/oauth-authorization-server.",
};
const AUDIENCE: Setting = Setting {
    key: "token.audience",
    default: "[]",
    kind: Kind::List,
    accepts: "a list of names, none of them empty",
    help: "The `aud` claim of every token: who it is meant for. Empty for no such claim.",
};

const CACHE: Setting = Setting {
    key: "token.cache",
    default: "196608",
    kind: Kind::Integer,
    accepts: "a whole number from 0 to 10000000",
    help: "How many tokens are remembered as verified, at some 600 bytes each once they are used. Whether one was revoked is asked each time.",
};

pub(super) const SETTINGS: &[Setting] = &[
    ALGORITHM,
    SECRET_FILE,
    KEY_FILE,
    ROTATE_EVERY,
    PUBLISH_AHEAD,
    LIFETIME,
    REFRESH_WINDOW,
    REFRESH_GRACE,
    ISSUER,
    AUDIENCE,
    CACHE,
];

/// Access tokens.
#[derive(Clone, Debug)]
pub struct TokenConfig {
    /// How they are signed.
    pub algorithm: Algorithm,
    /// The secret that signs them, if it was given. With another algorithm than HS256 it only verifies what it signed
    /// before.
    pub secret: Option<Secret>,
    /// The private key that signs them, if it was given: one for `algorithm`.
    pub key_file: Option<KeyFile>,
    /// How often another key signs; `None` for never by itself.
    pub rotate_every: Option<Duration>,
    /// How long a new key is published before it signs.
    pub publish_ahead: Duration,
    /// How long they last, and when they can be exchanged.
    pub policy: TokenPolicy,
    /// Their `iss`.
    pub issuer: String,
    /// Their `aud`; empty for none.
    pub audience: Vec<String>,
    /// How many are remembered as verified.
    pub cache: usize,
}

impl TokenConfig {
    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let policy = TokenPolicy {
            lifetime: settings.read(&LIFETIME, |raw| seconds(raw).filter(|time| !time.is_zero()))?,
            refresh_window: settings.read(&REFRESH_WINDOW, seconds)?,
            refresh_grace: settings.read(&REFRESH_GRACE, seconds)?,
        };
        if policy.refresh_window > policy.lifetime {
            return Err(ConfigError::Conflict(format!(
                "token.refresh_window ({}: {}) can't be longer than token.lifetime ({}: {})",
                settings.origin(&REFRESH_WINDOW),
                humantime::format_duration(policy.refresh_window),
                settings.origin(&LIFETIME),
                humantime::format_duration(policy.lifetime),
            )));
        }
        let algorithm = signing_key::algorithm(settings)?;
        let secret = signing_key::secret(settings)?;
        let key_file = signing_key::key_file(settings, algorithm)?;
        let rotate_every = Some(settings.read(&ROTATE_EVERY, rotation)?).filter(|every| !every.is_zero());
        let publish_ahead = settings.read(&PUBLISH_AHEAD, seconds)?;
        if let Some(every) = rotate_every {
            check_rotation(settings, every, publish_ahead, policy.lifetime)?;
            let given = match algorithm {
                Algorithm::Hs256 => secret.as_ref().map(|secret| &secret.origin),
                _ => key_file.as_ref().map(|key| &key.origin),
            };
            if let Some(origin) = given {
                return Err(ConfigError::Conflict(format!(
                    "token.rotate_every ({}) can't replace a signing key that comes from the settings ({origin}); leave one of the two out",
                    settings.origin(&ROTATE_EVERY)
                )));
            }
        }
        let audience = |item: &str| (!item.is_empty()).then(|| item.to_owned());
        Ok(Self {
            algorithm,
            secret,
            key_file,
            rotate_every,
            publish_ahead,
            policy,
            issuer: settings.read(&ISSUER, |raw| text(raw).and_then(issuer))?,
            audience: settings.read(&AUDIENCE, |raw| list(raw, audience))?,
            cache: settings.read(&CACHE, |raw| number(raw, 0..=10_000_000))?,
        })
    }
}

/// A name, or a URL as RFC 8414, section 2, has it, except that it need not be `https`.
fn issuer(text: &str) -> Option<String> {
    let plain = !is_url(text)
        || text.parse().is_ok_and(|url: Uri| {
            let host = url
                .authority()
                .filter(|authority| !authority.as_str().contains('@'));
            host.is_some() && url.query().is_none() && !text.contains('#')
        });
    (plain && (1..=200).contains(&text.chars().count())).then(|| text.to_owned())
}

/// Whether an issuer is meant as a URL. The scheme of one may be written in capitals (RFC 3986, section 3.1).
pub(super) fn is_url(issuer: &str) -> bool {
    let scheme = issuer.split_once("://").map_or("", |(scheme, _)| scheme);
    ["http", "https"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known))
}

/// Zero is never.
fn rotation(raw: &Raw) -> Option<Duration> {
    const SHORTEST: Duration = Duration::from_mins(1);
    match text(raw)? {
        "off" => Some(Duration::ZERO),
        _ => seconds(raw).filter(|time| *time >= SHORTEST),
    }
}

/// Rotation must leave a key the time to be published, and must not pile up keys whose tokens are still good.
fn check_rotation(
    settings: &Settings,
    every: Duration,
    publish_ahead: Duration,
    lifetime: Duration,
) -> Result<(), ConfigError> {
    for (setting, time) in [(&PUBLISH_AHEAD, publish_ahead), (&LIFETIME, lifetime)] {
        if every < time {
            return Err(ConfigError::Conflict(format!(
                "token.rotate_every ({}: {}) can't be shorter than {} ({}: {})",
                settings.origin(&ROTATE_EVERY),
                humantime::format_duration(every),
                setting.key,
                settings.origin(setting),
                humantime::format_duration(time),
            )));
        }
    }
    Ok(())
}

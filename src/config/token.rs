//! `[token]`: access tokens and the secret that signs them.

use std::fs;

use secrecy::{ExposeSecret, SecretSlice};

use super::{
    error::ConfigError,
    origin::Origin,
    setting::{Kind, SECRET_VARIABLE, Setting},
    source::Settings,
    value::{list, seconds, text},
};
use crate::domain::TokenPolicy;

/// The shortest HS256 secret, in bytes (RFC 7518, section 3.2).
pub const MIN_SECRET_BYTES: usize = 32;

const SECRET_FILE: Setting = Setting {
    key: "token.secret_file",
    default: "\"\"",
    kind: Kind::Text,
    accepts: "the path of a file with a secret of 32 bytes or more; empty for none",
    help: "A file whose content is the secret that signs tokens; or set JWT_SERVER__TOKEN__SECRET. Neither: one is made and kept in the database.",
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
    accepts: "a name or URL of 1 to 200 characters",
    help: "The `iss` claim of every token: who made it.",
};
const AUDIENCE: Setting = Setting {
    key: "token.audience",
    default: "[]",
    kind: Kind::List,
    accepts: "a list of names, none of them empty",
    help: "The `aud` claim of every token: who it is meant for. Empty for no such claim.",
};

pub(super) const SETTINGS: &[Setting] = &[
    SECRET_FILE,
    LIFETIME,
    REFRESH_WINDOW,
    REFRESH_GRACE,
    ISSUER,
    AUDIENCE,
];

/// Access tokens.
#[derive(Clone, Debug)]
pub struct TokenConfig {
    /// The secret that signs them, if it was given.
    pub secret: Option<Secret>,
    /// How long they last, and when they can be exchanged.
    pub policy: TokenPolicy,
    /// Their `iss`.
    pub issuer: String,
    /// Their `aud`; empty for none.
    pub audience: Vec<String>,
}

/// A secret that was given, and by what.
#[derive(Clone, Debug)]
pub struct Secret {
    /// At least [`MIN_SECRET_BYTES`].
    pub bytes: SecretSlice<u8>,
    /// Where it came from.
    pub origin: Origin,
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
        let issuer = |text: &str| (1..=200).contains(&text.chars().count()).then(|| text.to_owned());
        let audience = |item: &str| (!item.is_empty()).then(|| item.to_owned());
        Ok(Self {
            secret: secret(settings)?,
            policy,
            issuer: settings.read(&ISSUER, |raw| text(raw).and_then(issuer))?,
            audience: settings.read(&AUDIENCE, |raw| list(raw, audience))?,
        })
    }
}

fn secret(settings: &Settings) -> Result<Option<Secret>, ConfigError> {
    let file = settings.read(&SECRET_FILE, |raw| text(raw).map(str::to_owned))?;
    let (bytes, origin) = match settings.secret() {
        Some(_) if !file.is_empty() => {
            return Err(ConfigError::Conflict(format!(
                "token.secret_file ({}) and {SECRET_VARIABLE} are both set; leave one of them out",
                settings.origin(&SECRET_FILE)
            )));
        }
        Some(secret) => {
            let origin = Origin::Environment(SECRET_VARIABLE.to_owned());
            (secret.expose_secret().as_bytes().to_vec(), origin)
        }
        None if file.is_empty() => return Ok(None),
        None => {
            let origin = settings.origin(&SECRET_FILE);
            let bytes = fs::read(&file).map_err(|error| ConfigError::BadSecret {
                origin: origin.clone(),
                // Not the name: it may be the secret itself, put here by mistake.
                problem: format!("the file that token.secret_file names can't be read: {error}"),
            })?;
            // An editor or `echo` leaves one line's end that nobody means.
            let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            (line.to_vec(), Origin::SecretFile(file))
        }
    };
    let problem = if bytes.len() < MIN_SECRET_BYTES {
        format!(
            "an HS256 secret has at least {MIN_SECRET_BYTES} bytes, and this one has {}; make one with: openssl rand -base64 48",
            bytes.len()
        )
    } else if bytes.starts_with(b"-----BEGIN ") || bytes.starts_with(b"{") {
        // Whoever knows a public key could sign tokens with it (RFC 8725, section 2.1).
        "this is a PEM or JSON key and not a secret; make one with: openssl rand -base64 48".to_owned()
    } else {
        return Ok(Some(Secret {
            bytes: bytes.into(),
            origin,
        }));
    };
    Err(ConfigError::BadSecret { origin, problem })
}

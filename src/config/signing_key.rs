//! The part of `[token]` that says what signs tokens: the algorithm, and a secret or a private key that was given.

use std::fs;

use secrecy::{ExposeSecret, SecretSlice, SecretString};

use super::{
    error::ConfigError,
    origin::Origin,
    setting::{Kind, SECRET_VARIABLE, Setting},
    source::Settings,
    value::text,
};
use crate::{domain::Algorithm, keys::KeyPair};

/// The shortest HS256 secret, in bytes (RFC 7518, section 3.2).
pub const MIN_SECRET_BYTES: usize = 32;

pub(super) const ALGORITHM: Setting = Setting {
    key: "token.algorithm",
    default: "\"HS256\"",
    kind: Kind::Text,
    accepts: "HS256, EdDSA, ES256 or RS256",
    help: "How tokens are signed: HS256, EdDSA, ES256 or RS256. With the last three, other services can check tokens by /.well-known/jwks.json.",
};
pub(super) const SECRET_FILE: Setting = Setting {
    key: "token.secret_file",
    default: "\"\"",
    kind: Kind::Text,
    accepts: "the path of a file with a secret of 32 bytes or more; empty for none",
    help: "A file whose content is the secret that signs tokens with HS256; or set JWT_SERVER__TOKEN__SECRET. Neither: one is made and kept in the database.",
};
pub(super) const KEY_FILE: Setting = Setting {
    key: "token.key_file",
    default: "\"\"",
    kind: Kind::Text,
    accepts: "the path of a PEM file with a private key; empty for none",
    help: "A PEM file with the private key that signs tokens with EdDSA, ES256 or RS256 (2048 bits or more). Without it one is made and kept in the database.",
};

/// A secret that was given, and by what.
#[derive(Clone, Debug)]
pub struct Secret {
    /// At least [`MIN_SECRET_BYTES`].
    pub bytes: SecretSlice<u8>,
    /// Where it came from.
    pub origin: Origin,
}

/// A private key that was given, and by what.
#[derive(Clone, Debug)]
pub struct KeyFile {
    /// The key, for the configured algorithm.
    pub pair: KeyPair,
    /// The file.
    pub origin: Origin,
}

pub(super) fn algorithm(settings: &Settings) -> Result<Algorithm, ConfigError> {
    settings.read(&ALGORITHM, |raw| Algorithm::parse(text(raw)?))
}

pub(super) fn key_file(settings: &Settings, algorithm: Algorithm) -> Result<Option<KeyFile>, ConfigError> {
    let file = settings.read(&KEY_FILE, |raw| text(raw).map(str::to_owned))?;
    if file.is_empty() {
        return Ok(None);
    }
    if !algorithm.has_public_keys() {
        return Err(ConfigError::Conflict(format!(
            "token.key_file ({}) is for EdDSA, ES256 and RS256, and token.algorithm is {algorithm} ({}); a secret for it is named with token.secret_file",
            settings.origin(&KEY_FILE),
            settings.origin(&ALGORITHM),
        )));
    }
    let pem = fs::read_to_string(&file).map(SecretString::from);
    let pem = pem.map_err(|error| {
        // A key that was put here by mistake is not shown.
        let shown = if file.contains("-----") {
            String::new()
        } else {
            format!(" ({})", file.escape_debug())
        };
        ConfigError::BadSecret {
            origin: settings.origin(&KEY_FILE),
            problem: format!("the file that token.key_file names{shown} can't be read: {error}"),
        }
    })?;
    let origin = Origin::KeyFile(file);
    match KeyPair::from_pem(pem.expose_secret(), algorithm) {
        Ok(pair) => Ok(Some(KeyFile { pair, origin })),
        Err(problem) => Err(ConfigError::BadSecret {
            origin,
            problem: problem.to_string(),
        }),
    }
}

pub(super) fn secret(settings: &Settings) -> Result<Option<Secret>, ConfigError> {
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
        "this is a PEM or JSON key and not a secret; make one with: openssl rand -base64 48, or name a PEM key with token.key_file"
            .to_owned()
    } else {
        return Ok(Some(Secret {
            bytes: bytes.into(),
            origin,
        }));
    };
    Err(ConfigError::BadSecret { origin, problem })
}

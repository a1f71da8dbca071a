//! The part of `[token]` that says what signs tokens: the algorithm, and a secret or a private key that was given.

use std::fs;

use secrecy::{ExposeSecret, SecretSlice, SecretString};

use super::{error::ConfigError, origin::Origin, setting::SECRET_VARIABLE, source::Settings, token::Values};
use crate::{domain::Algorithm, keys::KeyPair};

/// The shortest HS256 secret, in bytes (RFC 7518, section 3.2).
pub const MIN_SECRET_BYTES: usize = 32;

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

impl Secret {
    /// Fails with [`ConfigError::BadSecret`] if it is too short, or is a key of another kind.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let bytes = self.bytes.expose_secret();
        let problem = if bytes.len() < MIN_SECRET_BYTES {
            format!(
                "an HS256 secret has at least {MIN_SECRET_BYTES} bytes, and this one has {}; make one with: openssl rand -base64 48",
                bytes.len()
            )
        } else if bytes.starts_with(b"-----BEGIN ") || bytes.starts_with(b"{") {
            // A client that knows a public key could sign tokens with it (RFC 8725, section 2.1).
            "this is a PEM or JSON key and not a secret; make one with: openssl rand -base64 48, or name a PEM key with token.key_file"
                .to_owned()
        } else {
            return Ok(());
        };
        Err(ConfigError::BadSecret {
            origin: self.origin.clone(),
            problem,
        })
    }
}

/// The private key in `file`, which `token.key_file` names; `None` if that is empty.
pub(super) fn key_file(
    settings: &Settings,
    file: String,
    algorithm: Algorithm,
) -> Result<Option<KeyFile>, ConfigError> {
    let named = || settings.origin(&Values::key_file().any());
    if file.is_empty() {
        return Ok(None);
    }
    if !algorithm.has_public_keys() {
        return Err(ConfigError::Conflict(format!(
            "token.key_file ({}) is for EdDSA, ES256 and RS256, and token.algorithm is {algorithm} ({}); a secret for it is named with token.secret_file",
            named(),
            settings.origin(&Values::algorithm().any()),
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
            origin: named(),
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

/// The secret in `file`, which `token.secret_file` names, or in the environment; `None` if neither is there.
pub(super) fn secret(settings: &Settings, file: String) -> Result<Option<Secret>, ConfigError> {
    let named = || settings.origin(&Values::secret_file().any());
    let (bytes, origin) = match settings.secret() {
        Some(_) if !file.is_empty() => {
            return Err(ConfigError::Conflict(format!(
                "token.secret_file ({}) and {SECRET_VARIABLE} are both set; leave one of them out",
                named()
            )));
        }
        Some(secret) => {
            let origin = Origin::Environment(SECRET_VARIABLE.to_owned());
            (secret.expose_secret().as_bytes().to_vec(), origin)
        }
        None if file.is_empty() => return Ok(None),
        None => {
            let origin = named();
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
    let secret = Secret {
        bytes: bytes.into(),
        origin,
    };
    secret.check()?;
    Ok(Some(secret))
}

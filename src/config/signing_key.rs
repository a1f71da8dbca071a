//! The secret and the private key that a user gives to sign tokens with. It does not know the settings that name them.

use std::fs;

use secrecy::{ExposeSecret, SecretSlice, SecretString};

use super::{
    error::ConfigError,
    origin::{Origin, SECRET_VARIABLE},
};
use crate::{domain::Algorithm, keys::KeyPair};

/// The shortest HS256 secret, in bytes (RFC 7518, section 3.2).
pub const MIN_SECRET_BYTES: usize = 32;

/// A secret that a user gave.
#[derive(Clone, Debug)]
pub struct Secret {
    /// At least [`MIN_SECRET_BYTES`].
    pub bytes: SecretSlice<u8>,
    /// Where it comes from.
    pub origin: Origin,
}

/// A private key that a user gave.
#[derive(Clone, Debug)]
pub struct KeyFile {
    /// The key, for the configured algorithm.
    pub pair: KeyPair,
    /// The file.
    pub origin: Origin,
}

impl Secret {
    /// The secret in the environment variable [`SECRET_VARIABLE`].
    pub(super) fn from_environment(secret: &SecretString) -> Result<Self, ConfigError> {
        let origin = Origin::Environment(SECRET_VARIABLE.to_owned());
        Self::of(secret.expose_secret().as_bytes(), origin)
    }

    /// The secret in `file`, which the setting `token.secret_file` at `named` names.
    pub(super) fn read(file: String, named: Origin) -> Result<Self, ConfigError> {
        let bytes = fs::read(&file).map_err(|error| ConfigError::BadSecret {
            origin: named,
            // Without the name of the file: a user may have put the secret itself there by mistake.
            problem: format!("the file that token.secret_file names can't be read: {error}"),
        })?;
        Self::of(SecretSlice::from(bytes).expose_secret(), Origin::SecretFile(file))
    }

    /// The secret that `text` holds: the same for the same text, wherever that comes from.
    fn of(text: &[u8], origin: Origin) -> Result<Self, ConfigError> {
        // An editor, `echo` or a mounted secret ends the line, and the end is no part of the secret.
        let line = text.strip_suffix(b"\n").unwrap_or(text);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let secret = Self {
            bytes: line.to_vec().into(),
            origin,
        };
        secret.check()?;
        Ok(secret)
    }

    /// Fails with [`ConfigError::BadSecret`] if the secret is too short, or is a PEM or JSON key.
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

impl KeyFile {
    /// The private key for `algorithm` in `file`, which the setting `token.key_file` at `named` names.
    pub(super) fn read(file: String, named: Origin, algorithm: Algorithm) -> Result<Self, ConfigError> {
        let pem = fs::read_to_string(&file).map(SecretString::from);
        let pem = pem.map_err(|error| {
            // A user may have put the key itself there by mistake: the message must not contain it.
            let shown = if file.contains("-----") {
                String::new()
            } else {
                format!(" ({})", file.escape_debug())
            };
            ConfigError::BadSecret {
                origin: named,
                problem: format!("the file that token.key_file names{shown} can't be read: {error}"),
            }
        })?;
        let origin = Origin::KeyFile(file);
        match KeyPair::from_pem(pem.expose_secret(), algorithm) {
            Ok(pair) => Ok(Self { pair, origin }),
            Err(problem) => Err(ConfigError::BadSecret {
                origin,
                problem: problem.to_string(),
            }),
        }
    }
}

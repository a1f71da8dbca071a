//! One key as jsonwebtoken takes it: for one algorithm, which a token cannot change. The only file that names jsonwebtoken.

use std::fmt;

use jsonwebtoken::{DecodingKey, EncodingKey, Header, crypto};
use secrecy::{ExposeSecret, SecretSlice};

use super::encoding::json_base64url;
use crate::{
    domain::Algorithm,
    keys::{KeyPair, PublicKey},
};

/// A key that verifies and, if its private half is there, signs.
#[derive(Clone)]
pub(crate) struct TokenKey {
    algorithm: jsonwebtoken::Algorithm,
    /// The header of the tokens that it signs, in base64url, once it has a name.
    header: Option<String>,
    encoding: Option<EncodingKey>,
    decoding: DecodingKey,
    public: Option<PublicKey>,
}

impl TokenKey {
    pub(crate) fn hs256(secret: &SecretSlice<u8>) -> Self {
        let secret = secret.expose_secret();
        Self {
            algorithm: jsonwebtoken::Algorithm::HS256,
            header: None,
            encoding: Some(EncodingKey::from_secret(secret)),
            decoding: DecodingKey::from_secret(secret),
            public: None,
        }
    }

    /// A key pair, which signs.
    pub(crate) fn pair(pair: &KeyPair) -> Self {
        let pkcs8 = pair.pkcs8().expose_secret();
        let encoding = match pair.public() {
            PublicKey::Rsa { .. } => pair
                .pkcs1()
                .map(|key| EncodingKey::from_rsa_der(key.expose_secret())),
            PublicKey::P256 { .. } => Some(EncodingKey::from_ec_der(pkcs8)),
            PublicKey::Ed25519 { .. } => Some(EncodingKey::from_ed_der(pkcs8)),
        };
        Self {
            encoding,
            ..Self::public(pair.public())
        }
    }

    /// The public half of a key pair, which only verifies.
    pub(crate) fn public(key: &PublicKey) -> Self {
        let decoding = match key {
            PublicKey::Rsa { n, e } => DecodingKey::from_rsa_raw_components(n, e),
            // Uncompressed: SEC 1, section 2.3.3.
            PublicKey::P256 { x, y } => DecodingKey::from_ec_der(&[&[4], &x[..], y].concat()),
            PublicKey::Ed25519 { x } => DecodingKey::from_ed_der(x),
        };
        Self {
            algorithm: jwa(key.algorithm()),
            header: None,
            encoding: None,
            decoding,
            public: Some(key.clone()),
        }
    }

    /// The public half. Returns `None` for a secret.
    pub(crate) fn public_half(&self) -> Option<&PublicKey> {
        self.public.as_ref()
    }

    pub(crate) fn can_sign(&self) -> bool {
        self.encoding.is_some()
    }

    /// The signature of a fixed text: the same for the same secret, and no help in finding it. The text has no dot, so it is
    /// the signature of no token.
    pub(crate) fn mark(&self) -> Option<String> {
        self.sign(b"jwt-server signing key check")
    }

    /// Whether the token's header may name this algorithm.
    pub(super) fn is_for(&self, alg: &str) -> bool {
        Algorithm::parse(alg).map(jwa) == Some(self.algorithm)
    }

    /// The same key, under the name `id` in the tokens that it signs.
    pub(super) fn named(mut self, id: &str) -> Self {
        let mut header = Header::new(self.algorithm);
        header.kid = Some(id.to_owned());
        self.header = json_base64url(&header);
        self
    }

    /// The header of every token that it signs, in base64url. Returns `None` if it has no name.
    pub(super) fn header(&self) -> Option<&str> {
        self.header.as_deref()
    }

    /// The signature of `message`, in base64url.
    pub(super) fn sign(&self, message: &[u8]) -> Option<String> {
        crypto::sign(message, self.encoding.as_ref()?, self.algorithm).ok()
    }

    /// Whether `signature`, in base64url, is this key's for `message`.
    pub(super) fn verifies(&self, signature: &str, message: &[u8]) -> bool {
        crypto::verify(signature, message, &self.decoding, self.algorithm).unwrap_or(false)
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenKey({:?})", self.algorithm)
    }
}

const fn jwa(algorithm: Algorithm) -> jsonwebtoken::Algorithm {
    match algorithm {
        Algorithm::Hs256 => jsonwebtoken::Algorithm::HS256,
        Algorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
        Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
    }
}

//! Private keys: generated, and read. The numbers in them are for aws-lc-rs to check, the library that jsonwebtoken signs
//! with. Which of them signs is not decided here.

use std::fmt;

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair,
        RsaPublicKeyComponents,
    },
};
use secrecy::{ExposeSecret, SecretSlice};

use super::{
    error::{KeyError, MAX_RSA_BITS, MIN_RSA_BITS},
    jwk::PublicKey,
    pem::{self, Form, Kind},
};
use crate::domain::Algorithm;

/// A private key with its public half, for one algorithm.
#[derive(Clone)]
pub struct KeyPair {
    pkcs8: SecretSlice<u8>,
    public: PublicKey,
}

impl KeyPair {
    /// A new key pair. An RSA key takes a good part of a second.
    ///
    /// # Errors
    /// [`KeyError::WrongKind`] for HS256, which has no pairs; [`NotMade`](KeyError::NotMade).
    pub fn generate(algorithm: Algorithm) -> Result<Self, KeyError> {
        let failed = |_| KeyError::NotMade;
        let document = match algorithm {
            Algorithm::Hs256 => return Err(no_pair()),
            Algorithm::EdDsa => Ed25519KeyPair::generate().and_then(|pair| pair.to_pkcs8v1()),
            Algorithm::Es256 => {
                EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).and_then(|pair| pair.to_pkcs8v1())
            }
            Algorithm::Rs256 => {
                let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(failed)?;
                return Self::of_rsa(&pair);
            }
        };
        Self::from_pkcs8(algorithm, document.map_err(failed)?.as_ref())
    }

    /// The key in the text of a PEM file: in PKCS #8, or for RSA in PKCS #1, or for EC in SEC 1.
    ///
    /// # Errors
    /// [`KeyError`], which names what the text holds instead of a private key for `algorithm`.
    pub fn from_pem(text: &str, algorithm: Algorithm) -> Result<Self, KeyError> {
        let read = pem::private_key(text)?;
        let der = read.der.expose_secret();
        let wrong = |found| KeyError::WrongKind {
            found,
            wanted: algorithm,
        };
        match (algorithm, read.kind) {
            (Algorithm::Rs256, Kind::Rsa(bits)) if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits) => {
                Err(KeyError::BadSize(bits))
            }
            (Algorithm::Rs256, Kind::Rsa(_)) if read.form == Form::Pkcs1 => {
                Self::of_rsa(&RsaKeyPair::from_der(der).map_err(|_| KeyError::Damaged)?)
            }
            (Algorithm::Es256, Kind::P256) if read.form == Form::Sec1 => {
                let pair = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, der);
                let document = pair.map_err(|_| KeyError::Damaged)?.to_pkcs8v1();
                Self::from_pkcs8(algorithm, document.map_err(|_| KeyError::Damaged)?.as_ref())
            }
            (Algorithm::Rs256, Kind::Rsa(_))
            | (Algorithm::Es256, Kind::P256)
            | (Algorithm::EdDsa, Kind::Ed25519) => Self::from_pkcs8(algorithm, der),
            (_, Kind::Rsa(_)) => Err(wrong("an RSA key")),
            (_, Kind::P256) => Err(wrong("an EC key on P-256")),
            (_, Kind::Ed25519) => Err(wrong("an Ed25519 key")),
            (_, Kind::Other(found)) => Err(wrong(found)),
        }
    }

    /// The key in `der`, which is in the form of PKCS #8.
    ///
    /// # Errors
    /// [`KeyError::Damaged`] if `der` holds no key for `algorithm`; [`WrongKind`](KeyError::WrongKind) for HS256, which has no pairs.
    pub fn from_pkcs8(algorithm: Algorithm, der: &[u8]) -> Result<Self, KeyError> {
        let damaged = |_| KeyError::Damaged;
        let public = match algorithm {
            Algorithm::Hs256 => return Err(no_pair()),
            Algorithm::Rs256 => return Self::of_rsa(&RsaKeyPair::from_pkcs8(der).map_err(damaged)?),
            Algorithm::Es256 => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der);
                let point = pair.map_err(damaged)?.public_key().clone();
                // Uncompressed: SEC 1, section 2.3.3.
                let (x, y) = point
                    .as_ref()
                    .strip_prefix(&[4])
                    .ok_or(KeyError::Damaged)?
                    .split_at(32);
                PublicKey::P256 {
                    x: coordinate(x)?,
                    y: coordinate(y)?,
                }
            }
            Algorithm::EdDsa => {
                let pair = Ed25519KeyPair::from_pkcs8(der).map_err(damaged)?;
                PublicKey::Ed25519 {
                    x: coordinate(pair.public_key().as_ref())?,
                }
            }
        };
        Ok(Self {
            pkcs8: der.to_vec().into(),
            public,
        })
    }

    fn of_rsa(pair: &RsaKeyPair) -> Result<Self, KeyError> {
        let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| KeyError::Damaged)?;
        let RsaPublicKeyComponents { n, e } = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
        Ok(Self {
            pkcs8: der.as_ref().to_vec().into(),
            public: PublicKey::Rsa { n, e },
        })
    }

    /// The private key, in the form of PKCS #8.
    #[must_use]
    pub fn pkcs8(&self) -> &SecretSlice<u8> {
        &self.pkcs8
    }

    /// The private key of an RSA pair, in the form of PKCS #1. Returns `None` if it can't be read from the PKCS #8.
    #[must_use]
    pub fn pkcs1(&self) -> Option<SecretSlice<u8>> {
        let inside = pem::pkcs1_of_pkcs8(self.pkcs8.expose_secret());
        inside.map(|der| der.to_vec().into())
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }
}

/// Shows the algorithm and the thumbprint, and nothing of the private half.
impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "KeyPair({}, {})",
            self.public.algorithm(),
            self.public.thumbprint()
        )
    }
}

const fn no_pair() -> KeyError {
    KeyError::WrongKind {
        found: "a key pair",
        wanted: Algorithm::Hs256,
    }
}

fn coordinate(bytes: &[u8]) -> Result<[u8; 32], KeyError> {
    bytes.try_into().map_err(|_| KeyError::Damaged)
}

#[cfg(test)]
mod tests;

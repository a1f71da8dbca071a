//! The public half of a key as other services read it: a JSON Web Key (RFC 7517), named by its thumbprint (RFC 7638).
//!
//! | algorithm | `kty` | `crv` | members |
//! |---|---|---|---|
//! | `RS256` | `RSA` | | `n`, `e` (RFC 7518, section 6.3) |
//! | `ES256` | `EC` | `P-256` | `x`, `y` (RFC 7518, section 6.2) |
//! | `EdDSA` | `OKP` | `Ed25519` | `x` (RFC 8037, section 2) |
//!
//! No type in this file has a private member, so none can be published.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::digest::sha256;
use crate::domain::Algorithm;

/// The public half of a key pair. Each number is an unsigned integer, big endian.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicKey {
    /// Modulus and exponent, without leading zeros.
    Rsa {
        /// The modulus.
        n: Vec<u8>,
        /// The exponent.
        e: Vec<u8>,
    },
    /// A point on P-256.
    P256 {
        /// Its first coordinate.
        x: [u8; 32],
        /// Its second coordinate.
        y: [u8; 32],
    },
    /// A point on Ed25519, compressed.
    Ed25519 {
        /// The point.
        x: [u8; 32],
    },
}

/// A public key, as the server publishes and stores it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jwk {
    kty: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crv: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    n: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    e: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    x: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    y: Option<String>,
    #[serde(rename = "use")]
    usage: String,
    alg: String,
    kid: String,
}

impl PublicKey {
    /// The algorithm that it verifies.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        match self {
            Self::Rsa { .. } => Algorithm::Rs256,
            Self::P256 { .. } => Algorithm::Es256,
            Self::Ed25519 { .. } => Algorithm::EdDsa,
        }
    }

    /// The SHA-256 of its required members, in base64url (RFC 7638, section 3). It depends on the key alone.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        // RFC 7638, section 3.3: in alphabetical order, without white space.
        let members = match self {
            Self::Rsa { n, e } => format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, text(e), text(n)),
            Self::P256 { x, y } => {
                format!(
                    r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#,
                    text(x),
                    text(y)
                )
            }
            Self::Ed25519 { x } => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, text(x)),
        };
        fingerprint(members.as_bytes())
    }

    /// The key as a JSON Web Key, named by its thumbprint.
    #[must_use]
    pub fn jwk(&self) -> Jwk {
        let text = |bytes: &[u8]| Some(URL_SAFE_NO_PAD.encode(bytes));
        let mut jwk = Jwk {
            usage: "sig".to_owned(),
            alg: self.algorithm().to_string(),
            kid: self.thumbprint(),
            ..Jwk::default()
        };
        match self {
            Self::Rsa { n, e } => {
                "RSA".clone_into(&mut jwk.kty);
                (jwk.n, jwk.e) = (text(n), text(e));
            }
            Self::P256 { x, y } => {
                "EC".clone_into(&mut jwk.kty);
                jwk.crv = Some("P-256".to_owned());
                (jwk.x, jwk.y) = (text(x), text(y));
            }
            Self::Ed25519 { x } => {
                "OKP".clone_into(&mut jwk.kty);
                jwk.crv = Some("Ed25519".to_owned());
                jwk.x = text(x);
            }
        }
        jwk
    }
}

impl Jwk {
    /// The key that it describes. Returns `None` unless it is exactly what [`PublicKey::jwk`] writes for that key.
    #[must_use]
    pub fn public_key(&self) -> Option<PublicKey> {
        let bytes = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_deref()?).ok();
        let coordinate = |text| bytes(text)?.try_into().ok();
        let key = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", None) => PublicKey::Rsa {
                n: bytes(&self.n)?,
                e: bytes(&self.e)?,
            },
            ("EC", Some("P-256")) => PublicKey::P256 {
                x: coordinate(&self.x)?,
                y: coordinate(&self.y)?,
            },
            ("OKP", Some("Ed25519")) => PublicKey::Ed25519 {
                x: coordinate(&self.x)?,
            },
            _ => return None,
        };
        (key.jwk() == *self).then_some(key)
    }
}

/// The SHA-256 of `bytes`, in base64url.
fn fingerprint(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(sha256(bytes))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn jwk(members: Value, alg: &str, kid: &str) -> Jwk {
        let mut value = members;
        value["use"] = "sig".into();
        value["alg"] = alg.into();
        value["kid"] = kid.into();
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn rfc_7638_section_3_1_has_this_thumbprint() {
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let kid = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";
        let key = jwk(json!({"kty": "RSA", "n": n, "e": "AQAB"}), "RS256", kid);
        assert_eq!(key.public_key().unwrap().thumbprint(), kid);
    }

    #[test]
    fn rfc_8037_appendix_a_3_has_this_thumbprint() {
        let members =
            json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
        let kid = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
        let key = jwk(members, "EdDSA", kid);
        assert_eq!(key.public_key().unwrap().thumbprint(), kid);
    }

    #[test]
    fn a_jwk_reads_back_what_it_writes_and_nothing_else() {
        let keys = [
            PublicKey::Rsa {
                n: vec![0xc1; 256],
                e: vec![1, 0, 1],
            },
            PublicKey::P256 {
                x: [0; 32],
                y: [7; 32],
            },
            PublicKey::Ed25519 { x: [9; 32] },
        ];
        for key in keys {
            let jwk = key.jwk();
            assert_eq!(jwk.public_key(), Some(key));
            for change in [
                |jwk: &mut Jwk| jwk.kid = "another".into(),
                |jwk: &mut Jwk| jwk.alg = "HS256".into(),
                |jwk: &mut Jwk| jwk.usage = "enc".into(),
                |jwk: &mut Jwk| jwk.crv = Some("P-384".into()),
                |jwk: &mut Jwk| jwk.kty = "oct".into(),
            ] {
                let mut other = jwk.clone();
                change(&mut other);
                assert_eq!(other.public_key(), None, "{other:?}");
            }
        }
    }
}

//! The public keys for other services: a JWK Set (RFC 7517, section 5), and how long it may be kept.

use std::time::Duration;

use serde::Serialize;

use super::Auth;
use crate::keys::{Jwk, PublicKey};

/// The longest time that a service may cache the set. For as long it may go on accepting a key that was revoked because it was
/// stolen.
const LONGEST_KEPT: Duration = Duration::from_mins(5);

/// The public keys, as they are served.
#[derive(Clone, Debug)]
pub struct Jwks {
    /// The JSON text.
    pub json: String,
    /// Whether it has no key.
    pub is_empty: bool,
    /// How long a client may cache it. A new key is in the set for longer than this before it signs.
    pub max_age: Duration,
}

#[derive(Serialize)]
struct JwkSet {
    keys: Vec<Jwk>,
}

impl Auth {
    /// The public keys with which other services verify tokens, in the order in which they sign. HS256 has none: its key would
    /// mint tokens as well.
    #[must_use]
    pub fn jwks(&self) -> Jwks {
        let ring = self.0.tokens.keys();
        let published = ring.published(self.now());
        let public = published.filter_map(|key| key.material.public_half());
        let set = JwkSet {
            keys: public.map(PublicKey::jwk).collect(),
        };
        Jwks {
            json: serde_json::to_string(&set).unwrap_or_default(),
            is_empty: set.keys.is_empty(),
            max_age: (self.0.publish_ahead / 2).min(LONGEST_KEPT),
        }
    }
}

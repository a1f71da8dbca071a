//! The signing keys as they lie in the database. They lie where a single key lay before there could be several, so that an
//! older version of this server says that it can't read them, instead of making a key of its own.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret, SecretSlice};
use serde::{Deserialize, Serialize};

use super::format::{from_json, to_json, unreadable};
use crate::{
    clock::Timestamp,
    domain::{Algorithm, KeyRing, RingKey},
    store::{
        error::StoreError,
        keys::{KeyMaterial, StoredRing},
    },
};

/// How long the tokens of a lone key may last at the most: its record does not say.
const LONGEST_BEFORE: Duration = Duration::from_hours(24);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum KeyRingRecord {
    Ring {
        revision: u64,
        keys: Vec<KeyRecord>,
    },
    /// Of a database from before there could be several.
    Lone(LoneKeyRecord),
}

#[derive(Serialize, Deserialize)]
pub(crate) struct KeyRecord {
    id: String,
    algorithm: String,
    /// In base64; absent when the key comes from the settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    private: Option<String>,
    mark: String,
    created_at: Timestamp,
    published: bool,
    signs_from: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signs_until: Option<Timestamp>,
    /// In seconds.
    lifetime: u64,
    tokens_until: Timestamp,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct LoneKeyRecord {
    id: String,
    #[serde(default)]
    secret: Option<Vec<u8>>,
    check: String,
}

impl KeyRingRecord {
    pub(crate) fn write(ring: &StoredRing) -> Result<Vec<u8>, StoreError> {
        to_json(&Self::Ring {
            revision: ring.revision,
            keys: ring.keys.keys().iter().map(KeyRecord::of).collect(),
        })
    }

    pub(crate) fn read(bytes: &[u8]) -> Result<StoredRing, StoreError> {
        let unreadable = || unreadable("the signing keys");
        match from_json(bytes).ok_or_else(unreadable)? {
            Self::Ring { revision, keys } => {
                let keys: Option<_> = keys.into_iter().map(KeyRecord::key).collect();
                Ok(StoredRing {
                    revision,
                    keys: KeyRing::of(keys.ok_or_else(unreadable)?),
                })
            }
            Self::Lone(lone) => Ok(StoredRing {
                revision: 0,
                keys: KeyRing::of(vec![lone.key()]),
            }),
        }
    }
}

impl KeyRecord {
    fn of(key: &RingKey<KeyMaterial>) -> Self {
        let private = key.material.private.as_ref();
        Self {
            id: key.id.clone(),
            algorithm: key.algorithm.to_string(),
            private: private.map(|private| STANDARD.encode(private.expose_secret())),
            mark: key.material.mark.clone(),
            created_at: key.created_at,
            published: key.published,
            signs_from: key.signs_from,
            signs_until: key.signs_until,
            lifetime: key.lifetime.as_secs(),
            tokens_until: key.tokens_until,
        }
    }

    fn key(self) -> Option<RingKey<KeyMaterial>> {
        let private = self
            .private
            .map(|private| STANDARD.decode(private))
            .transpose()
            .ok()?;
        Some(RingKey {
            id: self.id,
            algorithm: Algorithm::parse(&self.algorithm)?,
            material: KeyMaterial {
                private: private.map(SecretSlice::from),
                mark: self.mark,
            },
            created_at: self.created_at,
            published: self.published,
            signs_from: self.signs_from,
            signs_until: self.signs_until,
            lifetime: Duration::from_secs(self.lifetime),
            tokens_until: self.tokens_until,
        })
    }
}

impl LoneKeyRecord {
    fn key(self) -> RingKey<KeyMaterial> {
        let long_ago = Timestamp::from_secs(0);
        RingKey {
            id: self.id,
            algorithm: Algorithm::Hs256,
            material: KeyMaterial {
                private: self.secret.map(SecretSlice::from),
                mark: self.check,
            },
            created_at: long_ago,
            published: true,
            signs_from: long_ago,
            signs_until: None,
            lifetime: LONGEST_BEFORE,
            tokens_until: long_ago,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_key_of_an_older_database_is_a_ring_of_one() {
        let own = br#"{"id":"k1","secret":[7,7,7],"check":"mark"}"#;
        let given = br#"{"id":"k1","check":"mark"}"#;
        for (bytes, secret) in [(&own[..], Some(&[7; 3][..])), (given, None)] {
            let ring = KeyRingRecord::read(bytes).unwrap();
            let [key] = ring.keys.keys() else { panic!() };
            assert_eq!((key.id.as_str(), key.algorithm), ("k1", Algorithm::Hs256));
            let private = key.material.private.as_ref().map(ExposeSecret::expose_secret);
            assert_eq!((private, key.material.mark.as_str()), (secret, "mark"));
            assert_eq!((ring.revision, key.signs_until), (0, None));
            let again = KeyRingRecord::read(&KeyRingRecord::write(&ring).unwrap()).unwrap();
            assert_eq!(again.keys.keys()[0].id, "k1");
        }
    }

    #[test]
    fn a_record_that_makes_no_sense_is_an_error_and_shows_nothing_of_itself() {
        for bytes in [&b"{}"[..], b"", br#"{"revision":1,"keys":[{"id":"secret"}]}"#] {
            let error = KeyRingRecord::read(bytes).map(|_| ()).unwrap_err().to_string();
            assert!(
                error.contains("the signing keys") && !error.contains("secret"),
                "{error}"
            );
        }
    }
}

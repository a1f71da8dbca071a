//! The signing keys as one record. A database keeps it where it kept a single key before there could be several, so that an
//! older version of this server fails to read it, instead of making a key of its own.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret, SecretSlice};
use serde::{Deserialize, Serialize};

use super::format::{Record, Version, from_json, to_json, unreadable};
use crate::{
    clock::Timestamp,
    domain::{Algorithm, KeyRing, RingKey},
    store::{
        error::StoreError,
        keys::{KeyMaterial, StoredRing},
    },
};

/// The longest lifetime of the tokens of a lone key: its record has none.
const LONGEST_BEFORE: Duration = Duration::from_hours(24);

/// What an error calls the record.
const SIGNING_KEYS: &str = "the signing keys";

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum KeyRingRecord {
    Ring {
        /// The version of this form.
        #[serde(default)]
        v: Version,
        revision: u64,
        keys: Vec<KeyRecord>,
    },
    /// The only key of a database from before there could be several.
    Lone(LoneKeyRecord),
}

#[derive(Serialize, Deserialize)]
pub(crate) struct KeyRecord {
    id: String,
    algorithm: String,
    /// In base64; absent if the settings give the key.
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
    #[serde(default)]
    v: Version,
    id: String,
    #[serde(default)]
    secret: Option<Vec<u8>>,
    check: String,
}

impl Record for KeyRingRecord {
    fn version(&self) -> Version {
        match self {
            Self::Ring { v, .. } => *v,
            Self::Lone(lone) => lone.v,
        }
    }
}

impl KeyRingRecord {
    pub(crate) fn write(ring: &StoredRing) -> Result<Vec<u8>, StoreError> {
        to_json(&Self::Ring {
            v: Self::LATEST,
            revision: ring.revision,
            keys: ring.keys.keys().iter().map(KeyRecord::of).collect(),
        })
    }

    pub(crate) fn read(bytes: &[u8]) -> Result<StoredRing, StoreError> {
        let unreadable = || unreadable(SIGNING_KEYS);
        match from_json(bytes, || SIGNING_KEYS.to_owned())? {
            Self::Ring { revision, keys, .. } => {
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

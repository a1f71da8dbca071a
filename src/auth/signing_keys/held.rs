//! A signing key in its two forms: as the store keeps it, and as it signs and verifies.

use secrecy::{ExposeSecret, SecretSlice};

use crate::{
    auth::error::StartError,
    config::TokenConfig,
    domain::{Algorithm, KeyRing, RingKey, random},
    keys::{Jwk, KeyError, KeyPair, PublicKey},
    store::KeyMaterial,
    tokens::TokenKey,
};

/// A key in both forms.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) kept: KeyMaterial,
    /// `None` if it is a secret that the settings no longer have.
    pub(super) usable: Option<TokenKey>,
}

impl Held {
    pub(super) fn can_sign(&self) -> bool {
        self.usable.as_ref().is_some_and(TokenKey::can_sign)
    }
}

/// A key to add to the ring.
pub(super) type NewKey = (String, Algorithm, Held);

/// The stored keys, completed from the settings.
pub(super) fn all(ring: &KeyRing<KeyMaterial>, given: &TokenConfig) -> Result<KeyRing<Held>, StartError> {
    let mut damaged = false;
    let held = ring.map(|key| {
        let usable = usable(key, given);
        damaged |= usable.is_none();
        Held {
            kept: key.material.clone(),
            usable: usable.flatten(),
        }
    });
    if damaged {
        Err(StartError::DamagedKey)
    } else {
        Ok(held)
    }
}

/// The key as it signs and verifies. Returns `None` if what is stored of it is damaged, `Some(None)` if the settings no longer
/// have its secret.
#[expect(clippy::option_option, reason = "a damaged key is not one that is missing")]
fn usable(key: &RingKey<KeyMaterial>, given: &TokenConfig) -> Option<Option<TokenKey>> {
    let KeyMaterial { private, mark } = &key.material;
    let is_marked = |secret: &TokenKey| secret.mark().as_ref() == Some(mark);
    match (key.algorithm, private) {
        (Algorithm::Hs256, Some(secret)) => Some(TokenKey::hs256(secret)).filter(is_marked).map(Some),
        (Algorithm::Hs256, None) => {
            let secret = given.secret.as_ref().map(|secret| TokenKey::hs256(&secret.bytes));
            Some(secret.filter(is_marked))
        }
        (algorithm, Some(pkcs8)) => {
            let pair = KeyPair::from_pkcs8(algorithm, pkcs8.expose_secret()).ok()?;
            (pair.public().thumbprint() == key.id).then(|| Some(TokenKey::pair(&pair)))
        }
        (_, None) => match &given.key_file {
            Some(file) if file.pair.public().thumbprint() == key.id => Some(Some(TokenKey::pair(&file.pair))),
            _ => {
                let public = serde_json::from_str::<Jwk>(mark).ok()?.public_key()?;
                (public.thumbprint() == key.id).then(|| Some(TokenKey::public(&public)))
            }
        },
    }
}

/// Whether `key` is the one that the settings ask for.
pub(super) fn is_wanted(key: &RingKey<Held>, settings: &TokenConfig) -> bool {
    let made_here = key.material.kept.private.is_some();
    key.algorithm == settings.algorithm
        && match (settings.algorithm, &settings.secret, &settings.key_file) {
            (Algorithm::Hs256, Some(_), _) => !made_here && key.material.usable.is_some(),
            (Algorithm::EdDsa | Algorithm::Es256 | Algorithm::Rs256, _, Some(file)) => {
                !made_here && key.id == file.pair.public().thumbprint()
            }
            (Algorithm::Hs256, None, _) | (_, _, None) => made_here,
        }
}

/// The key that the settings give, or a new one. A new RSA key can take most of a second.
pub(super) fn make(settings: &TokenConfig) -> Result<NewKey, KeyError> {
    match (settings.algorithm, &settings.secret, &settings.key_file) {
        (Algorithm::Hs256, Some(secret), _) => hs256(&secret.bytes, None),
        (Algorithm::Hs256, None, _) => {
            let secret = SecretSlice::from(random::<32>().to_vec());
            hs256(&secret, Some(secret.clone()))
        }
        (_, _, Some(file)) => Ok(pair(&file.pair, false)),
        (algorithm, _, None) => Ok(pair(&KeyPair::generate(algorithm)?, true)),
    }
}

fn hs256(secret: &SecretSlice<u8>, private: Option<SecretSlice<u8>>) -> Result<NewKey, KeyError> {
    let key = TokenKey::hs256(secret);
    let mark = key.mark().ok_or(KeyError::NotMade)?;
    // No thumbprint: with one, a client could check guesses of the secret.
    let id = format!("{:016x}", u64::from_be_bytes(random()));
    let held = Held {
        kept: KeyMaterial { private, mark },
        usable: Some(key),
    };
    Ok((id, Algorithm::Hs256, held))
}

fn pair(pair: &KeyPair, made_here: bool) -> NewKey {
    let public: &PublicKey = pair.public();
    let held = Held {
        kept: KeyMaterial {
            private: made_here.then(|| pair.pkcs8().clone()),
            mark: serde_json::to_string(&public.jwk()).unwrap_or_default(),
        },
        usable: Some(TokenKey::pair(pair)),
    };
    (public.thumbprint(), public.algorithm(), held)
}

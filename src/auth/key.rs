//! Which key signs tokens: the settings' secret if there is one, else the one that the store keeps, else a new one.

use secrecy::SecretSlice;

use super::{error::OpenError, tokens::SigningKey};
use crate::{
    config::{Origin, Secret},
    domain::random,
    store::{Store, StoredKey},
};

/// Where the signing key came from.
#[derive(Clone, Debug)]
pub struct KeyStatus {
    /// Its `kid`.
    pub id: String,
    /// What the settings' secret came from; `None` if the key was made by this server and lies in its database.
    pub given_by: Option<Origin>,
    /// Whether it is another key than at the last start, and so every token from before is dead: how many sessions that
    /// ended. `None` if it is the same, or the first.
    pub replaced: Option<usize>,
}

pub(super) async fn load(
    secret: Option<&Secret>,
    store: &dyn Store,
) -> Result<(SigningKey, KeyStatus), OpenError> {
    let stored = store.signing_key().await?;
    let given_by = secret.map(|secret| secret.origin.clone());
    let known = match (&stored, secret) {
        (Some(stored), Some(secret)) => Some(SigningKey::hs256(stored.id.clone(), &secret.bytes)),
        (Some(stored), None) => {
            let own = stored.secret.as_ref();
            own.map(|own| SigningKey::hs256(stored.id.clone(), own))
        }
        (None, _) => None,
    };
    if let (Some(key), Some(stored)) = (known, &stored) {
        if key.check()? == stored.check {
            let status = KeyStatus {
                id: stored.id.clone(),
                given_by,
                replaced: None,
            };
            return Ok((key, status));
        }
        if secret.is_none() {
            return Err(OpenError::DamagedKey);
        }
    }

    let own = secret
        .is_none()
        .then(|| SecretSlice::from(random::<32>().to_vec()));
    let id = format!("{:016x}", u64::from_be_bytes(random()));
    let bytes = secret
        .map(|secret| &secret.bytes)
        .or(own.as_ref())
        .ok_or(OpenError::DamagedKey)?;
    let key = SigningKey::hs256(id.clone(), bytes);
    let record = StoredKey {
        id: id.clone(),
        check: key.check()?,
        secret: own,
    };
    let ended = store.replace_signing_key(record).await?;
    let replaced = stored.is_some().then_some(ended);
    Ok((
        key,
        KeyStatus {
            id,
            given_by,
            replaced,
        },
    ))
}

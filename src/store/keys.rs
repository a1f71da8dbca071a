//! What a store does for keys: it keeps the ring of signing keys under a revision, and the key of refresh tokens. It does not
//! know how either is used.

use async_trait::async_trait;
use secrecy::SecretSlice;

use super::error::StoreError;
use crate::domain::KeyRing;

/// The signing keys, and the key that refresh tokens are made with.
#[async_trait]
pub trait Keys: Send + Sync + 'static {
    /// Returns the key that refresh tokens are made with. If none is kept, keeps `fresh` and returns it.
    ///
    /// # Errors
    /// [`StoreError`]; `fresh` may or may not be kept then.
    async fn refresh_key(&self, fresh: SecretSlice<u8>) -> Result<SecretSlice<u8>, StoreError>;

    /// Returns the signing keys as last kept: none before the first start.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn key_ring(&self) -> Result<StoredRing, StoreError>;

    /// Replaces the signing keys of revision `instead_of`, unless other keys have been kept since. No key of `keys` may sign
    /// before this has returned.
    ///
    /// # Errors
    /// [`StoreError`]; either the old keys or the new ones are kept then.
    async fn keep_key_ring(
        &self,
        keys: KeyRing<KeyMaterial>,
        instead_of: u64,
    ) -> Result<KeyRingUpdate, StoreError>;
}

/// The signing keys, as they are kept.
#[derive(Clone, Debug, Default)]
pub struct StoredRing {
    /// How often the keys have changed.
    pub revision: u64,
    /// The keys.
    pub keys: KeyRing<KeyMaterial>,
}

/// What is kept of a signing key, besides its times.
#[derive(Clone, Debug)]
pub struct KeyMaterial {
    /// The private key, if this server made it: a secret, or a key pair in PKCS #8. `None` if the settings give the key at
    /// every start.
    pub private: Option<SecretSlice<u8>>,
    /// Tells whether a key is still the same, and is no secret. For a secret: a MAC of a fixed text. For a key pair: the
    /// public key as a JSON Web Key.
    pub mark: String,
}

/// The outcome of [`keep_key_ring`](Keys::keep_key_ring).
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRingUpdate {
    /// The keys are kept, as this revision.
    Kept(u64),
    /// Another process or task kept other keys; nothing was changed.
    ChangedMeanwhile,
}

//! The handle that every verb is a method of, and what it holds.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use tokio::sync::Mutex;

use super::{Accounts, AuthError, KeyStatus, Parts, StartError, limits::Limits, signing_keys::SigningKeys};
use crate::{
    clock::Timestamp,
    config::{Config, ConfigError},
    domain::{RequestContext, TokenPolicy, UserId},
    event::{Actor, EventKind, Listeners},
    store::{Store, StoreCounts},
    throttle::Throttle,
    tokens::{RefreshTokens, Tokens},
};

/// The whole server, without its socket. Cheap to clone: every clone is a handle of the same one.
#[derive(Clone)]
pub struct Auth(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) parts: Parts,
    pub(super) accounts: Accounts,
    pub(super) throttle: Throttle,
    pub(super) tokens: Tokens,
    pub(super) refresh_tokens: RefreshTokens,
    pub(super) keys: SigningKeys,
    key: KeyStatus,
    pub(super) publish_ahead: Duration,
    pub(super) policy: TokenPolicy,
    limits: RwLock<Arc<Limits>>,
    /// Held by one change of the keys at a time.
    pub(super) key_changes: Mutex<()>,
}

impl Auth {
    /// Opens the database that `config` names, with the system's clock, and starts its upkeep. The `listeners` are told of
    /// each event. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// [`StartError::Config`] if [`Config::validate`] fails, [`Database`](StartError::Database) if the directory can't be opened; else
    /// as [`new`](Self::new).
    pub async fn open(config: &Config, listeners: Listeners) -> Result<Self, StartError> {
        config.validate()?;
        let auth = Self::new(config, Parts::open(config, listeners).await?).await?;
        auth.look_after();
        Ok(auth)
    }

    /// The same over any store and clock. Nothing is pruned, no key changes, and no failed attempts and not all events are kept
    /// unless [`prune`](Self::prune), [`prune_events`](Self::prune_events), [`keep_events`](Self::keep_events),
    /// [`keep_api_token_uses`](Self::keep_api_token_uses), [`tend_keys`](Self::tend_keys) and
    /// [`keep_attempts`](Self::keep_attempts) are called.
    ///
    /// # Errors
    /// [`StartError::Config`] if [`Config::validate`] fails;
    /// [`Store`](StartError::Store) if the store can't be read, or can't keep what a first start makes;
    /// [`DamagedKey`](StartError::DamagedKey) if the signing keys can't be used; [`NoKey`](StartError::NoKey) if none can be made.
    pub async fn new(config: &Config, parts: Parts) -> Result<Self, StartError> {
        config.validate()?;
        let keys = SigningKeys::new(config, parts.clone());
        let (ring, status) = keys.start().await?;
        let refresh_key = parts.store.refresh_key(RefreshTokens::fresh_key()).await?;
        let accounts = Accounts::new(config, parts.clone());
        let inner = Arc::new(Inner {
            throttle: accounts.throttle().await?.clone(),
            accounts,
            tokens: Tokens::new(&ring, &config.token),
            refresh_tokens: RefreshTokens::new(&refresh_key),
            keys,
            key: status,
            publish_ahead: config.token.publish_ahead,
            policy: config.token.policy,
            limits: RwLock::new(Arc::new(Limits::from(config))),
            key_changes: Mutex::new(()),
            parts,
        });
        let server = Arc::downgrade(&inner);
        inner.accounts.keys.are_used_by(server);
        Ok(Self(inner))
    }

    /// Applies the limits of `config` from the next request on: those of `session`, `api_tokens`, `signup`, `password`,
    /// `introspection`, `throttle` and `audit`, except `audit.log`. What was granted before stays as it was granted: a session
    /// keeps its end.
    ///
    /// Every other setting needs a restart: `store`, `token`, `log` and `server`, and of `password` the number of hashing
    /// threads and the lengths of their lines.
    ///
    /// # Errors
    /// [`ConfigError`] if [`Config::validate`] fails; then the limits stay as they were.
    pub fn apply_limits(&self, config: &Config) -> Result<(), ConfigError> {
        config.validate()?;
        self.0.accounts.passwords.apply(&config.password);
        self.0.throttle.apply(&config.throttle);
        let limits = Arc::new(Limits::from(config));
        *self.0.limits.write().unwrap_or_else(PoisonError::into_inner) = limits;
        Ok(())
    }

    /// The users, for what an operator or an administrator does with them. It checks no role.
    #[must_use]
    pub fn accounts(&self) -> &Accounts {
        &self.0.accounts
    }

    /// How many users and live sessions there are.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn count(&self) -> Result<StoreCounts, AuthError> {
        Ok(self.store().count().await?)
    }

    /// What the start found of signing keys.
    #[must_use]
    pub fn key(&self) -> &KeyStatus {
        &self.0.key
    }

    /// The limits that apply now.
    pub(super) fn limits(&self) -> Arc<Limits> {
        // A panic cannot leave the pointer half replaced.
        Arc::clone(&self.0.limits.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn store(&self) -> &dyn Store {
        &*self.0.parts.store
    }

    pub(super) fn now(&self) -> Timestamp {
        self.0.parts.now()
    }

    /// How far that is ahead of the time that tokens show.
    pub(super) fn ahead_of_tokens(&self) -> Duration {
        self.0.parts.clock.ahead_of_tokens()
    }

    pub(super) fn emit(
        &self,
        kind: EventKind,
        subject: Option<UserId>,
        actor: Actor,
        context: &RequestContext,
    ) {
        self.0.parts.emit(kind, subject, actor, context);
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretSlice;

    use super::*;
    use crate::{
        auth::Credentials,
        clock::{ManualClock, Timestamp},
        config::{Origin, Secret},
        domain::{Client, ClientAddress},
        store,
    };

    const START: Timestamp = Timestamp::from_secs(1_800_000_000);

    async fn parts(directory: &tempfile::TempDir) -> (Config, Parts) {
        let mut config = Config::default();
        config.store.path = directory.path().join("data");
        config.password.bcrypt_cost = 4;
        let store = store::open(&config.store, START, Listeners::default())
            .await
            .unwrap();
        (config, Parts::new(store, Arc::new(ManualClock::new(START))))
    }

    /// Each number of the settings is either refused, or one with which a sign-in is answered.
    #[tokio::test]
    async fn no_number_set_in_code_breaks_the_verbs() {
        let directory = tempfile::tempdir().unwrap();
        let (config, parts) = parts(&directory).await;
        let context = RequestContext::of_client(Client {
            address: Some(ClientAddress::new([192, 0, 2, 1].into())),
            device: None,
        });
        let running = Auth::new(&config, parts.clone()).await.unwrap();
        for (key, is_accepted, config) in config.at_the_ends() {
            let auth = match Auth::new(&config, parts.clone()).await {
                Ok(auth) => auth,
                Err(StartError::Config(ConfigError::Conflict(_))) => continue,
                Err(StartError::Config(error)) => {
                    assert!(!is_accepted && error.to_string().contains(key), "{error}");
                    let applied = running.apply_limits(&config).unwrap_err();
                    assert!(applied.to_string().contains(key), "{applied}");
                    continue;
                }
                Err(error) => panic!("{key}: {error}"),
            };
            assert!(is_accepted, "{key}");
            // The greatest cost takes seconds.
            if config.password.bcrypt_cost == 4 {
                let claimed = Credentials::new("ada", "wrong password".to_owned().into());
                assert!(auth.sign_in(claimed, &context).await.is_err(), "{key}");
                running.apply_limits(&config).unwrap();
                auth.prune().await.unwrap();
            }
        }
    }

    #[tokio::test]
    async fn a_secret_of_no_bytes_signs_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let (mut config, parts) = parts(&directory).await;
        config.token.secret = Some(Secret {
            bytes: SecretSlice::from(Vec::new()),
            origin: Origin::Code,
        });
        let refused = Auth::new(&config, parts).await.err().unwrap().to_string();
        assert!(
            refused.starts_with("set in code: an HS256 secret has at least 32 bytes"),
            "{refused}"
        );
        let listeners = Listeners::default;
        for refused in [
            Auth::open(&config, listeners()).await.err(),
            Accounts::open(&config, listeners()).await.err(),
        ] {
            assert!(matches!(refused, Some(StartError::Config(_))), "{refused:?}");
        }
    }

    #[tokio::test]
    async fn a_database_is_open_once_in_a_process() {
        let directory = tempfile::tempdir().unwrap();
        let (config, parts) = parts(&directory).await;
        let auth = Auth::new(&config, parts).await.unwrap();
        let listeners = Listeners::default;
        for refused in [
            Accounts::open(&config, listeners()).await.err(),
            Auth::open(&config, listeners()).await.err(),
        ] {
            let refused = refused.unwrap().to_string();
            assert!(refused.contains("is open in this process already"), "{refused}");
            assert!(!refused.contains("another process"), "{refused}");
        }
        drop(auth);
        Accounts::open(&config, listeners()).await.map(drop).unwrap();
    }
}

//! What the server does, in the words of the domain: sign up, sign in, authenticate, refresh, log out. Only this module
//! makes a [`Principal`]. It knows nothing of HTTP.

mod accounts;
mod api_tokens;
mod apply_limits;
mod error;
mod introspect;
mod issue;
mod jwks;
mod limits;
mod my_account;
mod parts;
mod password_check;
mod principal;
mod refresh;
mod revoke;
mod rotate_keys;
mod sessions;
mod sign_up;
mod signed_in;
mod signing_keys;

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use tokio::sync::Mutex;

use self::limits::Limits;
pub use self::{
    accounts::Accounts,
    api_tokens::{IssuedApiToken, NewApiToken},
    error::{ApiTokenRejection, AuthError, CredentialsRefusal, RotationError, StartError},
    introspect::Introspection,
    issue::{IssuedRefreshToken, IssuedToken},
    jwks::Jwks,
    my_account::{Ending, PasswordChange},
    parts::Parts,
    principal::Principal,
    sessions::Credentials,
    signed_in::SignedIn,
    signing_keys::{KeyRotation, KeySource, KeyStatus, Rotated, SigningKeys},
};
use crate::{
    clock::Timestamp,
    config::Config,
    domain::{RequestContext, TokenPolicy, UserId},
    event::{Actor, EventKind, Listeners},
    store::{Store, StoreCounts},
    throttle::Throttle,
    tokens::{RefreshTokens, Tokens},
};
pub use crate::{
    passwords::PasswordRejection,
    throttle::Axis,
    tokens::{Audience, TokenRefusal},
};

/// How often the server looks for what the time has brought: sessions that have run out, keys to make and to drop.
const TEND_EVERY: Duration = Duration::from_mins(1);
/// How often failed attempts are written down: what a crash may forget of them, and how often a flood may wear the disk.
const KEEP_ATTEMPTS_EVERY: Duration = Duration::from_secs(10);
/// How many records the store is asked to see to at a time.
const PRUNE_BATCH: usize = 500;

/// The whole server, without its socket. Cheap to clone: every clone is a handle of the same one.
#[derive(Clone)]
pub struct Auth(Arc<Inner>);

struct Inner {
    parts: Parts,
    accounts: Accounts,
    throttle: Throttle,
    tokens: Tokens,
    keys: SigningKeys,
    key: KeyStatus,
    publish_ahead: Duration,
    policy: TokenPolicy,
    refresh_tokens: RefreshTokens,
    limits: RwLock<Arc<Limits>>,
    /// Held by one change of the keys at a time.
    key_changes: Mutex<()>,
    /// Shared by what mints a token, and held alone while other keys take over.
    minting: tokio::sync::RwLock<()>,
}

impl Auth {
    /// Opens the database that `config` names, with the system's clock, and looks after it from then on. The `listeners` are
    /// told of each event. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// [`StartError::Database`] if the directory can't be opened, [`StartError::Store`] if it can't be read.
    pub async fn open(config: &Config, listeners: Listeners) -> Result<Self, StartError> {
        let auth = Self::new(config, Parts::open(config, listeners).await?).await?;
        auth.look_after();
        Ok(auth)
    }

    /// The same over any store and clock. Nothing is pruned, no key changes and no failed attempts are kept unless
    /// [`prune`](Self::prune), [`keep_api_token_uses`](Self::keep_api_token_uses), [`tend_keys`](Self::tend_keys) and
    /// [`keep_attempts`](Self::keep_attempts) are called.
    ///
    /// # Errors
    /// [`StartError::Store`] if the store can't be read, or what is made at a first start can't be kept,
    /// [`DamagedKey`](StartError::DamagedKey) if the signing keys can't be used, [`NoKey`](StartError::NoKey) if none can be made.
    pub async fn new(config: &Config, parts: Parts) -> Result<Self, StartError> {
        let keys = SigningKeys::new(config, parts.clone());
        let (ring, status) = keys.start().await?;
        let (store, clock) = (&parts.store, &parts.clock);
        let refresh_key = store.refresh_key(RefreshTokens::fresh_key()).await?;
        let refresh_tokens = RefreshTokens::new(&refresh_key);
        Ok(Self(Arc::new(Inner {
            throttle: Throttle::load(&config.throttle, Arc::clone(store), Arc::clone(clock)).await?,
            accounts: Accounts::new(config, parts.clone()),
            tokens: Tokens::new(&ring, &config.token),
            keys,
            key: status,
            publish_ahead: config.token.publish_ahead,
            policy: config.token.policy,
            refresh_tokens,
            limits: RwLock::new(Arc::new(Limits::from(config))),
            key_changes: Mutex::new(()),
            minting: tokio::sync::RwLock::new(()),
            parts,
        })))
    }

    /// Forgets the sessions and API tokens that have run out, and returns how many; and gives back the memory of tokens that are
    /// good no more.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn prune(&self) -> Result<usize, AuthError> {
        let now = self.now();
        self.0.tokens.tidy(now).await;
        let mut pruned = 0;
        loop {
            let batch = self.store().prune(now, PRUNE_BATCH).await?;
            pruned += batch;
            if batch < PRUNE_BATCH {
                return Ok(pruned);
            }
        }
    }

    /// Writes down when API tokens were used last, so far as that is worth a write, and returns of how many.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn keep_api_token_uses(&self) -> Result<usize, AuthError> {
        // One batch a time: what it leaves is for the next.
        Ok(self.store().keep_api_token_uses(PRUNE_BATCH).await?)
    }

    /// Writes down which attempts have failed since the last time, so that a restart does not forget them. To be called when
    /// the server has stopped; while it runs, that is done every ten seconds.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn keep_attempts(&self) -> Result<(), AuthError> {
        Ok(self.0.throttle.keep().await?)
    }

    /// Makes the next signing key if it is time for it, and drops those whose last token has expired.
    ///
    /// # Errors
    /// [`StartError`]; then the keys are as they were.
    pub async fn tend_keys(&self) -> Result<(), StartError> {
        let _changing = self.0.key_changes.lock().await;
        if let Some(keys) = self.0.keys.tend(&self.0.tokens.keys()).await? {
            self.0.tokens.use_keys(&keys);
        }
        Ok(())
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

    /// The users, for what an operator or an administrator does with them. It checks no role.
    #[must_use]
    pub fn accounts(&self) -> &Accounts {
        &self.0.accounts
    }

    /// The limits that apply now.
    fn limits(&self) -> Arc<Limits> {
        // A panic cannot leave the pointer half replaced.
        Arc::clone(&self.0.limits.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn replace_limits(&self, limits: Limits) {
        *self.0.limits.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(limits);
    }

    fn store(&self) -> &dyn Store {
        &*self.0.parts.store
    }

    fn now(&self) -> Timestamp {
        self.0.parts.now()
    }

    fn emit(&self, kind: EventKind, subject: Option<UserId>, actor: Actor, context: &RequestContext) {
        self.0.parts.emit(kind, subject, actor, context);
    }

    /// Does what has to be done from time to time, for as long as anybody holds a handle.
    fn look_after(&self) {
        self.every(TEND_EVERY, |auth| async move {
            match auth.prune().await {
                Ok(0) => {}
                Ok(pruned) => tracing::debug!(pruned, "what had run out was forgotten"),
                Err(AuthError::Store(error)) if error.is_logged() => {}
                Err(error) => tracing::error!(%error, "what had run out could not be forgotten"),
            }
            match auth.keep_api_token_uses().await {
                Ok(_) => {}
                Err(AuthError::Store(error)) if error.is_logged() => {}
                Err(error) => tracing::error!(%error, "last uses of API tokens could not be kept"),
            }
            if let Err(error) = auth.tend_keys().await {
                tracing::error!(%error, "the signing keys could not be looked after");
            }
        });
        self.every(KEEP_ATTEMPTS_EVERY, |auth| async move {
            match auth.keep_attempts().await {
                Ok(()) => {}
                Err(AuthError::Store(error)) if error.is_logged() => {}
                Err(error) => tracing::error!(%error, "failed attempts could not be written down"),
            }
        });
    }

    fn every<F: Future<Output = ()> + Send>(
        &self,
        time: Duration,
        work: impl Fn(Self) -> F + Send + 'static,
    ) {
        let inner = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(time).await;
                let Some(auth) = inner.upgrade().map(Self) else {
                    return;
                };
                work(auth).await;
            }
        });
    }
}

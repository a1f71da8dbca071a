//! Passwords: what a new one must be, how one is hashed, and how one is verified with the same work whether or not there is
//! such a user. Hashing runs on threads of its own ([`threads`]). This room knows no store, no session and no client.

mod error;
mod hash;
mod line;
mod strength;
mod threads;

use std::{
    sync::{Arc, PoisonError, RwLock},
    thread,
    time::Duration,
};

use once_cell::sync::OnceCell;

pub(crate) use self::error::HashingError;
pub use self::error::PasswordRejection;
pub(crate) use self::threads::HashFor;
use self::{
    hash::{cost_of, costs_between, decoy, hash, matches},
    strength::strength,
    threads::{HashThreads, NotDone},
};
use crate::{
    config::PasswordConfig,
    domain::{Network, Password, PasswordHash, User, Username},
};

/// When to come back after the queue was full: about as long as a full queue of the default settings takes two threads.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// Hashes and verifies passwords, by the settings.
pub(crate) struct Passwords {
    rules: RwLock<Arc<PasswordConfig>>,
    /// Started with the first password: a process that only checks tokens never needs them. If starting fails, the next
    /// password tries again.
    threads: OnceCell<HashThreads>,
}

/// A user whose password was right.
pub(crate) struct VerifiedPassword {
    pub(crate) user: Arc<User>,
    /// The same password, normalised and under the configured cost, if the stored hash is of another text, cost or prefix.
    pub(crate) rehashed: Option<PasswordHash>,
}

impl Passwords {
    pub(crate) fn new(config: &PasswordConfig) -> Self {
        Self {
            rules: RwLock::new(Arc::new(config.clone())),
            threads: OnceCell::new(),
        }
    }

    /// Applies the rules of `config` from the next password on. The hashing threads and their queue stay as they are.
    pub(crate) fn apply(&self, config: &PasswordConfig) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config.clone());
    }

    /// The rules that apply now.
    fn rules(&self) -> Arc<PasswordConfig> {
        // A panic cannot leave the pointer half replaced.
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether a new password is long enough.
    pub(crate) fn check_length(&self, password: &Password) -> Result<(), PasswordRejection> {
        let minimum = self.rules().min_length;
        if password.chars() < minimum {
            return Err(PasswordRejection::TooShort { minimum });
        }
        Ok(())
    }

    /// The hash of a new password. Fails with [`PasswordRejection::TooWeak`] if a guesser who knows the username finds it
    /// too easily.
    pub(crate) async fn hash_new(
        &self,
        password: Password,
        username: &Username,
        purpose: HashFor,
    ) -> Result<PasswordHash, HashingError> {
        let (rules, username) = (self.rules(), username.clone());
        self.run(purpose, move || {
            if rules.min_strength > 0 && strength(&password, &username) < rules.min_strength {
                return Err(PasswordRejection::TooWeak.into());
            }
            hash(&password, rules.bcrypt_cost)
        })
        .await
    }

    /// Returns `user` if the password is theirs, which a client in the network `from` presents. The work is the same when there is
    /// no user, or no password that a user can have: then a decoy is verified, and the answer is `None`.
    pub(crate) async fn verify(
        &self,
        user: Option<Arc<User>>,
        password: Option<Password>,
        from: Option<Network>,
    ) -> Result<Option<VerifiedPassword>, HashingError> {
        let cost = self.rules().bcrypt_cost;
        self.run(HashFor::SignIn(from), move || {
            let Some(password) = password else {
                let _ = matches("a password that no user has", &decoy(cost))?;
                return Ok(None);
            };
            let Some(user) = user else {
                for text in password.expose_all() {
                    let _ = matches(text, &decoy(cost))?;
                }
                return Ok(None);
            };
            let found = cost_of(&user.password_hash).unwrap_or(cost);
            for text in password.expose_all() {
                if matches(text, &user.password_hash)? {
                    // Other servers write other prefixes for the same hash.
                    let is_ours = user.password_hash.expose().starts_with("$2b$");
                    let rehash = found != cost || text != password.expose() || !is_ours;
                    let rehashed = rehash.then(|| hash(&password, cost)).transpose()?;
                    return Ok(Some(VerifiedPassword { user, rehashed }));
                }
                // A hash that is cheaper than the decoy would tell that there is such a user.
                for between in costs_between(found, cost) {
                    let _ = matches(text, &decoy(between))?;
                }
            }
            Ok(None)
        })
        .await
    }

    /// Returns `password` unless it is that of `user`. A client in the network `from` presents it.
    pub(crate) async fn unless_it_is_of(
        &self,
        user: Arc<User>,
        password: Password,
        from: Option<Network>,
    ) -> Result<Option<Password>, HashingError> {
        self.run(HashFor::SignIn(from), move || {
            for text in password.expose_all() {
                if matches(text, &user.password_hash)? {
                    return Ok(None);
                }
            }
            Ok(Some(password))
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        purpose: HashFor,
        work: impl FnOnce() -> Result<T, HashingError> + Send + 'static,
    ) -> Result<T, HashingError> {
        let start = || HashThreads::start(self.thread_count(), self.rules().hash_queue);
        let threads = self.threads.get_or_try_init(start);
        let threads =
            threads.map_err(|error| HashingError::Internal(format!("no hashing thread: {error}")))?;
        threads.run(purpose, work).await.map_err(|error| match error {
            NotDone::QueueFull => HashingError::Busy {
                retry_after: RETRY_AFTER,
            },
            NotDone::Broken => HashingError::Internal("a hashing thread panicked".into()),
        })?
    }

    /// As many as the settings ask for; else one less than the processors, so that one is always free for requests of
    /// clients that have signed in.
    fn thread_count(&self) -> usize {
        match self.rules().hash_threads {
            0 => thread::available_parallelism().map_or(1, |n| n.get().saturating_sub(1).max(1)),
            asked => asked,
        }
    }
}

#[cfg(test)]
mod tests;

//! bcrypt, the decoy, and what a new password must be. The only file that names bcrypt.

use std::{sync::Arc, thread, time::Duration};

use bcrypt::HashParts;
use once_cell::sync::OnceCell;

use super::{
    error::{AuthError, PasswordRejection},
    hash_threads::{HashThreads, NotDone},
};
use crate::{
    config::PasswordConfig,
    domain::{Password, PasswordHash, User, Username},
};

/// When to come back after the queue was full: about as long as a full queue of the default settings takes two threads.
const RETRY_AFTER: Duration = Duration::from_secs(10);

pub(super) struct Passwords {
    config: PasswordConfig,
    decoy: PasswordHash,
    /// Started with the first password: a process that only checks tokens never needs them. Starting can fail, and is
    /// then tried again with the next password.
    threads: OnceCell<HashThreads>,
}

/// A user whose password was right.
pub(super) struct Verified {
    pub(super) user: Arc<User>,
    /// The same password under the configured cost, if the stored hash has another one.
    pub(super) rehashed: Option<PasswordHash>,
}

impl Passwords {
    pub(super) fn new(config: &PasswordConfig) -> Self {
        Self {
            config: config.clone(),
            decoy: decoy(config.bcrypt_cost),
            threads: OnceCell::new(),
        }
    }

    pub(super) fn check_length(&self, password: &Password) -> Result<(), AuthError> {
        let minimum = self.config.min_length;
        if password.chars() < minimum {
            return Err(AuthError::PasswordRejected(PasswordRejection::TooShort {
                minimum,
            }));
        }
        Ok(())
    }

    /// The hash of a new password, if it is hard enough to guess for somebody who knows the username.
    pub(super) async fn hash_new(
        &self,
        password: Password,
        username: &Username,
    ) -> Result<PasswordHash, AuthError> {
        let (cost, min_strength, username) = (
            self.config.bcrypt_cost,
            self.config.min_strength,
            username.clone(),
        );
        self.run(move || {
            let strength = || u8::from(zxcvbn::zxcvbn(password.expose(), &[username.as_str()]).score());
            if min_strength > 0 && strength() < min_strength {
                return Err(AuthError::PasswordRejected(PasswordRejection::TooWeak));
            }
            hash(&password, cost)
        })
        .await
    }

    /// `user`, if the password is theirs. The work is the same when there is no user or no password that could be anybody's:
    /// then a decoy is verified, and the answer is no.
    pub(super) async fn verify(
        &self,
        user: Option<Arc<User>>,
        password: Option<Password>,
    ) -> Result<Option<Verified>, AuthError> {
        let cost = self.config.bcrypt_cost;
        let decoy = self.decoy.clone();
        self.run(move || {
            let (Some(user), Some(password)) = (user, password) else {
                let _ = matches("a password that nobody has", &decoy)?;
                return Ok(None);
            };
            if !matches(password.expose(), &user.password_hash)? {
                return Ok(None);
            }
            let rehash = cost_of(&user.password_hash) != Some(cost);
            let rehashed = rehash.then(|| hash(&password, cost)).transpose()?;
            Ok(Some(Verified { user, rehashed }))
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, AuthError> + Send + 'static,
    ) -> Result<T, AuthError> {
        let start = || HashThreads::start(self.thread_count(), self.config.hash_queue);
        let threads = self.threads.get_or_try_init(start);
        let threads = threads.map_err(|error| AuthError::Internal(format!("no hashing thread: {error}")))?;
        threads.run(work).await.map_err(|error| match error {
            NotDone::QueueFull => AuthError::Busy {
                retry_after: RETRY_AFTER,
            },
            NotDone::Broken => AuthError::Internal("a hashing thread panicked".into()),
        })?
    }

    /// As many as were asked for; else one less than the processors, so that one is always free for everybody who is
    /// signed in already.
    fn thread_count(&self) -> usize {
        match self.config.hash_threads {
            0 => thread::available_parallelism().map_or(1, |n| n.get().saturating_sub(1).max(1)),
            asked => asked,
        }
    }
}

/// A hash of the given cost that no password has: its salt and its digest are all zeros.
#[expect(clippy::expect_used, reason = "a test makes one of every cost")]
fn decoy(cost: u32) -> PasswordHash {
    let text = format!("$2b${cost:02}${}", ".".repeat(53));
    PasswordHash::parse(&text).expect("a decoy has the form of a hash")
}

fn hash(password: &Password, cost: u32) -> Result<PasswordHash, AuthError> {
    let text = bcrypt::non_truncating_hash(password.expose(), cost).map_err(|error| internal(&error))?;
    PasswordHash::parse(&text)
        .ok_or_else(|| AuthError::Internal("bcrypt's hash has not the form of one".into()))
}

fn matches(password: &str, hash: &PasswordHash) -> Result<bool, AuthError> {
    bcrypt::non_truncating_verify(password, hash.expose()).map_err(|error| internal(&error))
}

fn cost_of(hash: &PasswordHash) -> Option<u32> {
    hash.expose()
        .parse()
        .ok()
        .map(|parts: HashParts| parts.get_cost())
}

fn internal(error: &bcrypt::BcryptError) -> AuthError {
    AuthError::Internal(error.to_string())
}

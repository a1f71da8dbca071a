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
            if min_strength > 0 && strength(&password, &username) < min_strength {
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
            let (Some(user), Some(password)) = (&user, &password) else {
                let _ = matches("a password that nobody has", &decoy)?;
                return Ok(None);
            };
            let found = cost_of(&user.password_hash).unwrap_or(cost);
            if !matches(password.expose(), &user.password_hash)? {
                // A hash that is cheaper than the decoy would tell that there is such a user.
                for between in costs_between(found, cost) {
                    let _ = matches(password.expose(), &self::decoy(between))?;
                }
                return Ok(None);
            }
            let rehash = found != cost;
            let rehashed = rehash.then(|| hash(password, cost)).transpose()?;
            let user = Arc::clone(user);
            Ok(Some(Verified { user, rehashed }))
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl Fn() -> Result<T, AuthError> + Send + Sync + 'static,
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

/// The costs of further work that make verifying a hash of the cost `found` as long as one of the cost `configured`:
/// `2^c + (2^c + 2^(c+1) + … + 2^(C-1)) = 2^C`. None if it takes as long or longer already.
fn costs_between(found: u32, configured: u32) -> std::ops::Range<u32> {
    found..configured
}

/// The zxcvbn score of a password, 0 to 4, where the username and the words in it are guessed first.
fn strength(password: &Password, username: &Username) -> u8 {
    let whole = username.as_str();
    let words = whole.split(|c: char| !c.is_ascii_alphanumeric());
    let known: Vec<&str> = words.chain([whole]).filter(|word| !word.is_empty()).collect();
    zxcvbn::zxcvbn(password.expose(), &known).score().into()
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

#[cfg(test)]
mod tests {
    use std::{env, fs, path::Path};

    use super::*;
    use crate::{
        clock::Timestamp,
        config::Config,
        domain::{Roles, UserId},
    };

    const PASSWORD: &str = "correct horse battery";

    fn passwords(cost: u32) -> Passwords {
        let mut config = Config::default().password;
        config.bcrypt_cost = cost;
        config.hash_threads = 2;
        Passwords::new(&config)
    }

    fn password(text: &str) -> Password {
        Password::parse(text.into()).unwrap()
    }

    fn username() -> Username {
        Username::parse("ada.lovelace").unwrap()
    }

    fn user(password_hash: PasswordHash) -> Arc<User> {
        let now = Timestamp::from_secs(0);
        Arc::new(User {
            id: UserId::generate(now),
            username: username(),
            password_hash,
            password_version: 0,
            roles: Roles::default(),
            disabled: false,
            display_name: None,
            created_at: now,
        })
    }

    #[tokio::test]
    async fn only_the_very_password_is_right() {
        let passwords = passwords(4);
        let user = user(passwords.hash_new(password(PASSWORD), &username()).await.unwrap());
        let mut longer = PASSWORD.to_owned();
        longer.push(' ');
        for (text, right) in [
            (PASSWORD, true),
            (&longer, false),
            (&PASSWORD.to_uppercase(), false),
            (&PASSWORD[1..], false),
        ] {
            let verified = passwords
                .verify(Some(Arc::clone(&user)), Some(password(text)))
                .await
                .unwrap();
            assert_eq!(verified.is_some(), right, "{text:?}");
        }
    }

    #[tokio::test]
    async fn all_71_bytes_of_a_password_count() {
        let passwords = passwords(4);
        let long: String = (0..71u32)
            .map(|n| char::from(b'!' + (n * n * 31 % 89) as u8))
            .collect();
        let user = user(passwords.hash_new(password(&long), &username()).await.unwrap());
        let mut other = long.clone();
        other.replace_range(70.., "~");
        assert_ne!(other, long);
        for (text, right) in [(long, true), (other, false)] {
            let verified = passwords
                .verify(Some(Arc::clone(&user)), Some(password(&text)))
                .await
                .unwrap();
            assert_eq!(verified.is_some(), right);
        }
    }

    #[tokio::test]
    async fn nobody_is_verified_by_the_decoy() {
        let passwords = passwords(4);
        for text in ["a password that nobody has", PASSWORD] {
            assert!(
                passwords
                    .verify(None, Some(password(text)))
                    .await
                    .unwrap()
                    .is_none()
            );
        }
        let somebody = user(decoy(4));
        assert!(passwords.verify(Some(somebody), None).await.unwrap().is_none());
        assert!(passwords.verify(None, None).await.unwrap().is_none());
    }

    #[test]
    fn the_decoy_is_a_hash_of_the_configured_cost() {
        for cost in 4..=16 {
            assert_eq!(cost_of(&decoy(cost)), Some(cost));
        }
        assert!(!matches("", &decoy(4)).unwrap());
    }

    #[tokio::test]
    async fn a_hash_of_another_cost_is_made_anew_and_only_for_the_right_password() {
        let user = user(
            passwords(4)
                .hash_new(password(PASSWORD), &username())
                .await
                .unwrap(),
        );
        let passwords = passwords(5);
        let wrong = passwords.verify(Some(Arc::clone(&user)), Some(password("wrong")));
        assert!(wrong.await.unwrap().is_none());

        let right = passwords.verify(Some(Arc::clone(&user)), Some(password(PASSWORD)));
        let rehashed = right.await.unwrap().unwrap().rehashed.unwrap();
        assert_eq!(cost_of(&rehashed), Some(5));
        assert!(matches(PASSWORD, &rehashed).unwrap());

        let settled = self::user(rehashed);
        let again = passwords
            .verify(Some(settled), Some(password(PASSWORD)))
            .await
            .unwrap();
        assert!(again.unwrap().rehashed.is_none());
    }

    #[tokio::test]
    async fn easy_passwords_are_refused_and_the_username_counts_as_known() {
        let passwords = passwords(4);
        for easy in [
            "password",
            "12345678",
            "qwertyuiop",
            "iloveyou1",
            "adalovelace",
            "ada.lovelace1",
            "aaaaaaaaaaaa",
        ] {
            let refused = passwords.hash_new(password(easy), &username()).await;
            let weak = matches!(
                refused,
                Err(AuthError::PasswordRejected(PasswordRejection::TooWeak))
            );
            assert!(weak, "{easy}");
        }
        assert!(
            passwords
                .hash_new(password("correcthorse"), &username())
                .await
                .is_ok()
        );
    }

    #[test]
    fn a_wrong_password_costs_the_same_whatever_the_cost_of_the_hash() {
        for configured in 4..=16 {
            for found in 4..=configured {
                let rounds = |cost: u32| 1_u64 << cost;
                let work = rounds(found) + costs_between(found, configured).map(rounds).sum::<u64>();
                assert_eq!(work, rounds(configured));
            }
        }
        assert_eq!(costs_between(12, 10).count(), 0);
    }

    #[test]
    fn length_is_counted_in_characters() {
        let passwords = passwords(4);
        assert!(passwords.check_length(&password("pässwör")).is_err());
        assert!(passwords.check_length(&password("pässwörd")).is_ok());
    }

    #[test]
    fn known_hashes_are_verified_whatever_their_version() {
        let Some(folder) = env::var_os("JWT_SERVER_VECTORS") else {
            println!("skipped: JWT_SERVER_VECTORS does not name the folder with the test vectors");
            return;
        };
        let text = fs::read_to_string(Path::new(&folder).join("bcrypt/vectors.json")).unwrap();
        let vectors: serde_json::Value = serde_json::from_str(&text).unwrap();
        let mut verified = 0;
        for vector in vectors.as_array().unwrap() {
            let hex = vector["password_hex"].as_str().unwrap();
            let bytes: Vec<u8> = (0..hex.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
                .collect();
            // The `2x` hashes are those of a fault in one old library; the fault is not repeated here.
            if vector["hash"].as_str().unwrap().starts_with("$2x$") {
                continue;
            }
            // What is not text, or is longer than a password may be, can never be asked of this server.
            let Some(password) = String::from_utf8(bytes)
                .ok()
                .and_then(|text| Password::parse(text.into()).ok())
            else {
                continue;
            };
            let hash = PasswordHash::parse(vector["hash"].as_str().unwrap()).unwrap();
            assert!(matches(password.expose(), &hash).unwrap(), "{vector}");
            assert!(
                !matches(&format!("{}x", password.expose()), &hash).unwrap(),
                "{vector}"
            );
            verified += 1;
        }
        assert!(verified >= 10, "only {verified} vectors were usable");
    }

    #[test]
    fn the_30000_most_common_passwords_are_refused() {
        let Some(folder) = env::var_os("JWT_SERVER_VECTORS") else {
            println!("skipped: JWT_SERVER_VECTORS does not name the folder with the test vectors");
            return;
        };
        let text = fs::read_to_string(Path::new(&folder).join("passwords/zxcvbn-30000.txt")).unwrap();
        let config = Config::default().password;
        let mut common = 0;
        for line in text
            .lines()
            .filter(|line| line.chars().count() >= config.min_length)
        {
            let score = u8::from(zxcvbn::zxcvbn(line, &[]).score());
            assert!(score < config.min_strength, "{line:?} has score {score}");
            common += 1;
        }
        assert!(common > 1000, "only {common} were long enough to be asked");
    }
}

//! bcrypt hashes and the decoy. The only file that names bcrypt.

use std::ops::Range;

use bcrypt::{BcryptError, HashParts};

use super::error::HashingError;
use crate::domain::{Password, PasswordHash};

/// The bcrypt hash of `password` under `cost`.
pub(super) fn hash(password: &Password, cost: u32) -> Result<PasswordHash, HashingError> {
    hash_text(password.expose(), cost)
}

pub(super) fn hash_text(text: &str, cost: u32) -> Result<PasswordHash, HashingError> {
    let text = bcrypt::non_truncating_hash(text, cost).map_err(|error| internal(&error))?;
    PasswordHash::parse(&text)
        .ok_or_else(|| HashingError::Internal("bcrypt's hash has not the form of one".into()))
}

/// Whether `hash` is of `password`.
pub(super) fn matches(password: &str, hash: &PasswordHash) -> Result<bool, HashingError> {
    bcrypt::non_truncating_verify(password, hash.expose()).map_err(|error| internal(&error))
}

/// The cost that `hash` was made with. Returns `None` if it does not say.
pub(super) fn cost_of(hash: &PasswordHash) -> Option<u32> {
    let parts: HashParts = hash.expose().parse().ok()?;
    Some(parts.get_cost())
}

/// A hash of the given cost that no password has: its salt and its digest are all zeros.
#[expect(clippy::expect_used, reason = "a test makes one of every cost")]
pub(super) fn decoy(cost: u32) -> PasswordHash {
    let text = format!("$2b${cost:02}${}", ".".repeat(53));
    PasswordHash::parse(&text).expect("a decoy has the form of a hash")
}

/// The costs of further work that make verifying a hash of the cost `found` as long as one of the cost `configured`:
/// `2^c + (2^c + 2^(c+1) + … + 2^(C-1)) = 2^C`. Empty if it takes as long or longer already.
pub(super) fn costs_between(found: u32, configured: u32) -> Range<u32> {
    found..configured
}

fn internal(error: &BcryptError) -> HashingError {
    HashingError::Internal(error.to_string())
}

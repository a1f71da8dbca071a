//! `[password]`: what a password must be, and how much of this machine its hashing may use.

use super::{accepts::Whole, section::section};
use crate::domain::MAX_PASSWORD_BYTES;

section! {
    /// What a password must be, and how much of this machine its hashing may use.
    pub struct PasswordConfig in "password" {
        /// bcrypt's cost: each step doubles the time of a sign-in and of a guess. Below 10 is for tests.
        bcrypt_cost: u32 = 12, Whole(4..=16);
        /// How many characters a new password has at least.
        min_length: usize = 8, Whole(1..=MAX_PASSWORD_BYTES);
        /// How hard a new password is to guess at least, as a zxcvbn score. With 0, only the length counts.
        min_strength: u8 = 2, Whole(0..=4);
        /// How many threads hash passwords. 0 is one less than the processors, but at least one.
        hash_threads: usize = 0, Whole(0..=256);
        /// How many sign-ins may wait to be hashed, and half as many sign-ups beside them. If all places are taken, the
        /// address with most of them loses its newest to an address with fewer. What has no place is answered 503.
        hash_queue: usize = 64, Whole(1..=100_000);
    }
}

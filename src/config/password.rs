//! `[password]`: what a password must be, and how much its hashing may cost this machine.

use super::{
    error::ConfigError,
    setting::{Kind, Setting},
    source::Settings,
    value::number,
};
use crate::domain::MAX_PASSWORD_BYTES;

const BCRYPT_COST: Setting = Setting {
    key: "password.bcrypt_cost",
    default: "12",
    kind: Kind::Integer,
    accepts: "a whole number from 4 to 16",
    help: "bcrypt's cost: each step doubles the time of a sign-in and of a guess. Below 10 is for tests.",
};
const MIN_LENGTH: Setting = Setting {
    key: "password.min_length",
    default: "8",
    kind: Kind::Integer,
    accepts: "a whole number from 1 to 71",
    help: "How many characters a new password has at least.",
};
const MIN_STRENGTH: Setting = Setting {
    key: "password.min_strength",
    default: "2",
    kind: Kind::Integer,
    accepts: "a whole number from 0 to 4",
    help: "How hard a new password is to guess at least, as a zxcvbn score. 0 asks for length alone.",
};
const HASH_THREADS: Setting = Setting {
    key: "password.hash_threads",
    default: "0",
    kind: Kind::Integer,
    accepts: "a whole number from 0 to 256",
    help: "How many threads hash passwords. 0 is one less than the processors, but at least one.",
};
const HASH_QUEUE: Setting = Setting {
    key: "password.hash_queue",
    default: "64",
    kind: Kind::Integer,
    accepts: "a whole number from 1 to 100000",
    help: "How many passwords may wait to be hashed. The next one is answered 503.",
};

pub(super) const SETTINGS: &[Setting] = &[BCRYPT_COST, MIN_LENGTH, MIN_STRENGTH, HASH_THREADS, HASH_QUEUE];

/// What a password must be, and how much its hashing may cost.
#[derive(Clone, Debug)]
pub struct PasswordConfig {
    /// bcrypt's cost, 4 to 16.
    pub bcrypt_cost: u32,
    /// Characters, at least.
    pub min_length: usize,
    /// zxcvbn score, at least; 0 to 4.
    pub min_strength: u8,
    /// Threads that hash; 0 for one less than the processors.
    pub hash_threads: usize,
    /// Passwords that may wait.
    pub hash_queue: usize,
}

impl PasswordConfig {
    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        Ok(Self {
            bcrypt_cost: settings.read(&BCRYPT_COST, |raw| number(raw, 4..=16))?,
            min_length: settings.read(&MIN_LENGTH, |raw| number(raw, 1..=MAX_PASSWORD_BYTES))?,
            min_strength: settings.read(&MIN_STRENGTH, |raw| number(raw, 0..=4))?,
            hash_threads: settings.read(&HASH_THREADS, |raw| number(raw, 0..=256))?,
            hash_queue: settings.read(&HASH_QUEUE, |raw| number(raw, 1..=100_000))?,
        })
    }
}

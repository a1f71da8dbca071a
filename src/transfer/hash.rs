//! Hashes that come from elsewhere: which can be taken, and what is wrong with the others.

use crate::domain::PasswordHash;

/// The highest cost of a hash that is taken. Each step doubles the time of a sign-in: 16 takes seconds.
pub const MAX_COST: u32 = 16;

/// The characters of bcrypt's salt and digest, without the prefix `$2b$12$`.
const DIGITS: usize = 53;

/// Why a text is no hash that can be taken.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashProblem {
    /// Each `$` stands twice, as Docker Compose wants it.
    #[error("each $ of the hash stands twice, as in a file for Docker Compose: write each once")]
    Doubled,
    /// A shell has replaced `$2`, `$10` and what follows by nothing.
    #[error(
        "the hash has {0} of the 60 characters of a bcrypt hash. A shell replaces what begins with $: put the hash in single quotes"
    )]
    Mangled(usize),
    /// A hash of another kind.
    #[error("the hash is {0}, and only bcrypt can be taken ($2a$, $2b$ or $2y$; htpasswd -B makes it)")]
    OtherKind(&'static str),
    /// A sign-in would take too long.
    #[error("the hash has the cost {0}, and a sign-in would take too long above {MAX_COST}")]
    Cost(u32),
    /// Not a hash that is known.
    #[error("the hash is no bcrypt hash ($2a$, $2b$ or $2y$, then the cost, then 53 characters)")]
    NotBcrypt,
}

/// The kinds of hash that are known and can't be taken, by how they begin.
const OTHER_KINDS: [(&str, &str); 11] = [
    ("$apr1$", "Apache's MD5"),
    ("$argon2", "Argon2"),
    ("$scrypt$", "scrypt"),
    ("$7$", "scrypt"),
    ("$pbkdf2", "PBKDF2"),
    ("$y$", "yescrypt"),
    ("$1$", "MD5-crypt"),
    ("$5$", "SHA-256-crypt"),
    ("$6$", "SHA-512-crypt"),
    ("{SHA}", "SHA-1"),
    ("{SSHA}", "salted SHA-1"),
];

/// The hash with this text, if this server can verify passwords with it in a reasonable time.
pub(super) fn check(text: &str) -> Result<PasswordHash, HashProblem> {
    if text.starts_with("$$") {
        return Err(HashProblem::Doubled);
    }
    if let Some((_, kind)) = OTHER_KINDS.iter().find(|(start, _)| text.starts_with(start)) {
        return Err(HashProblem::OtherKind(kind));
    }
    let Some(cost) = cost(text) else {
        return Err(what_else(text));
    };
    if cost > MAX_COST {
        return Err(HashProblem::Cost(cost));
    }
    PasswordHash::parse(&without_spare_bits(text)).ok_or(HashProblem::NotBcrypt)
}

/// The cost of a hash of the form `$2b$12$` and 53 digits.
fn cost(text: &str) -> Option<u32> {
    let versions = ["$2a$", "$2b$", "$2y$"];
    let rest = versions.iter().find_map(|version| text.strip_prefix(version))?;
    let (cost, digits) = rest.split_once('$')?;
    let is_number = cost.len() == 2 && cost.bytes().all(|byte| byte.is_ascii_digit());
    let is_whole = digits.len() == DIGITS && digits.bytes().all(is_digit);
    let cost = cost.parse().ok().filter(|_| is_number && is_whole)?;
    (4..=31).contains(&cost).then_some(cost)
}

/// The same hash with zeros for the bits that its last digits have and its salt and digest have not. Some programs leave
/// other bits there, and a strict decoder refuses those.
fn without_spare_bits(text: &str) -> String {
    const SALT_DIGITS: usize = 22;
    let mut hash = text.to_owned().into_bytes();
    let salt = hash.len() - DIGITS + SALT_DIGITS - 1;
    for (place, bits) in [(salt, 0b11_0000), (hash.len() - 1, 0b11_1100)] {
        let value = DIGITS_OF_BASE_64.iter().position(|digit| *digit == hash[place]);
        hash[place] = DIGITS_OF_BASE_64[value.unwrap_or_default() & bits];
    }
    String::from_utf8(hash).unwrap_or_default()
}

/// bcrypt's order of the digits of base 64.
const DIGITS_OF_BASE_64: &[u8; 64] = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

fn is_digit(byte: u8) -> bool {
    DIGITS_OF_BASE_64.contains(&byte)
}

/// What a text is that has not the form of a bcrypt hash.
fn what_else(text: &str) -> HashProblem {
    let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let could_be_part = text.bytes().all(|byte| is_digit(byte) || byte == b'$');
    match text.len() {
        32 if is_hex => HashProblem::OtherKind("MD5"),
        40 if is_hex => HashProblem::OtherKind("SHA-1"),
        13 if !text.contains('$') => HashProblem::OtherKind("DES-crypt"),
        length if length < 60 && could_be_part => HashProblem::Mangled(length),
        _ => HashProblem::NotBcrypt,
    }
}

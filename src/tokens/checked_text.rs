//! The text of tokens that carry no claims: API tokens, device tokens and one-time codes. The store has its SHA-256, and looks it up by that.
//!
//! | characters | what |
//! |---|---|
//! | 4 | a prefix, which says what kind of token it is |
//! | 43 | 32 random bytes, base64url |
//! | 6 | CRC-32 (ISO-HDLC, as in PNG and zip) of the 47 characters before, 4 bytes, big endian, base64url |
//!
//! In both parts the unused bits of the last character are zero, so a token has one spelling, and ends in one of `A`, `Q`, `g`
//! and `w`. The checksum is no security: with it, a scanner for secrets tells a token from what only looks like one, and the
//! server refuses a typing error without a look-up.

use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::SecretString;

use crate::domain::random;

const SECRET: usize = 32;
/// The prefix and the secret, in characters.
const CHECKED: usize = 4 + 43;

/// A new random token with this prefix, and its hash.
pub(super) fn fresh(prefix: &str) -> (SecretString, [u8; 32]) {
    let mut text = String::with_capacity(CHECKED + 6);
    text.push_str(prefix);
    URL_SAFE_NO_PAD.encode_string(random::<SECRET>(), &mut text);
    text.push_str(&checksum(&text));
    let hash = sha256(&text);
    (text.into(), hash)
}

/// The hash of `text`. Returns `None` unless it has exactly the form of a token with this prefix, and the right checksum.
pub(super) fn hash(prefix: &str, text: &str) -> Option<[u8; 32]> {
    let (checked, sum) = text.split_at_checked(CHECKED)?;
    let mut secret = [0; SECRET];
    let decoded = URL_SAFE_NO_PAD.decode_slice(checked.strip_prefix(prefix)?, &mut secret);
    let well_formed = decoded == Ok(SECRET) && sum == checksum(checked);
    well_formed.then(|| sha256(text))
}

/// The checksum of the `checked` part of a token.
pub(super) fn checksum(checked: &str) -> String {
    URL_SAFE_NO_PAD.encode(crc32fast::hash(checked.as_bytes()).to_be_bytes())
}

fn sha256(text: &str) -> [u8; 32] {
    let mut bytes = [0; digest::SHA256_OUTPUT_LEN];
    bytes.copy_from_slice(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
    bytes
}

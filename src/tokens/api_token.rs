//! The text of API tokens. It carries no claims: the store has its SHA-256, and looks it up by that.
//!
//! | characters | what |
//! |---|---|
//! | 4 | `jws_` |
//! | 43 | 32 random bytes, base64url |
//! | 6 | CRC-32 (ISO-HDLC, as in PNG and zip) of the 47 characters before, 4 bytes, big endian, base64url |
//!
//! In both parts the unused bits of the last character are zero, so a token has one spelling, and ends in one of `A`, `Q`, `g`
//! and `w`. The checksum is no security: with it, a scanner for secrets tells a token from what only looks like one, and the
//! server refuses a typing error without a look-up.

use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::SecretString;

use crate::domain::{ApiTokenHash, random};

/// The beginning of every API token, and of no access token and no refresh token.
pub(crate) const PREFIX: &str = "jws_";
const SECRET: usize = 32;
/// The prefix and the secret, in characters.
const CHECKED: usize = PREFIX.len() + 43;

/// A new random token, and the hash that the store keeps of it.
pub(crate) fn fresh() -> (SecretString, ApiTokenHash) {
    let mut text = String::with_capacity(CHECKED + 6);
    text.push_str(PREFIX);
    URL_SAFE_NO_PAD.encode_string(random::<SECRET>(), &mut text);
    text.push_str(&checksum(&text));
    let hash = sha256(&text);
    (text.into(), hash)
}

/// The hash of `text`. Returns `None` unless it has exactly the form of an API token, and the right checksum.
pub(crate) fn hash(text: &str) -> Option<ApiTokenHash> {
    let (checked, sum) = text.split_at_checked(CHECKED)?;
    let mut secret = [0; SECRET];
    let decoded = URL_SAFE_NO_PAD.decode_slice(checked.strip_prefix(PREFIX)?, &mut secret);
    let well_formed = decoded == Ok(SECRET) && sum == checksum(checked);
    well_formed.then(|| sha256(text))
}

fn checksum(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(crc32fast::hash(text.as_bytes()).to_be_bytes())
}

fn sha256(text: &str) -> ApiTokenHash {
    let mut bytes = [0; digest::SHA256_OUTPUT_LEN];
    bytes.copy_from_slice(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
    ApiTokenHash::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn an_api_token_reads_back_and_no_two_are_alike() {
        let (first, hash_of_first) = fresh();
        let (second, hash_of_second) = fresh();
        assert_eq!(first.expose_secret().len(), 53);
        assert_eq!(hash(first.expose_secret()), Some(hash_of_first));
        assert_eq!(hash(second.expose_secret()), Some(hash_of_second));
        assert_ne!(first.expose_secret()[..47], second.expose_secret()[..47]);
        assert_ne!(hash_of_first, hash_of_second);
    }

    #[test]
    fn the_text_is_what_the_papers_say() {
        // Made once with Python: zlib.crc32 and hashlib.sha256.
        let text = "jws_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8dHQ6aA";
        let hash = hash(text).unwrap();
        assert_eq!(
            URL_SAFE_NO_PAD.encode(hash.as_bytes()),
            "gPCVS9bVXE2WAx1dbaBJS43hBRD4EIX2VUbmxECJTJ8"
        );
    }

    #[test]
    fn an_api_token_with_any_bit_changed_is_refused() {
        let (text, _) = fresh();
        let text = text.expose_secret();
        for at in 0..text.len() {
            for bit in 0..8 {
                let mut bytes = text.as_bytes().to_vec();
                bytes[at] ^= 1 << bit;
                let Ok(changed) = String::from_utf8(bytes) else {
                    continue;
                };
                assert_eq!(hash(&changed), None, "{changed}");
            }
        }
    }

    #[test]
    fn what_only_resembles_an_api_token_is_refused() {
        let (text, _) = fresh();
        let text = text.expose_secret();
        let checked = &text[..CHECKED];
        // Unused bits that are not zero, under a checksum that is right.
        let loose = format!("{}{}", &checked[..CHECKED - 1], "B");
        for other in [
            "",
            PREFIX,
            checked,
            &text[4..],
            &text[..52],
            &format!("{text}="),
            &format!("{text}A"),
            &format!(" {text}"),
            &format!("{}é", &text[..CHECKED - 1]),
            &text.to_uppercase(),
            &text.to_lowercase(),
            &format!("JWS_{}", &text[4..]),
            &format!("jwr_{}", &text[4..]),
            &format!("{loose}{}", checksum(&loose)),
        ] {
            assert_eq!(hash(other), None, "{other}");
        }
    }
}

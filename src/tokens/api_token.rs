//! The text of API tokens, in the form that [`checked_text`](super::checked_text) has.

use secrecy::SecretString;

use super::checked_text;
use crate::domain::ApiTokenHash;

/// The beginning of every API token, and of no other token.
pub(crate) const PREFIX: &str = "jws_";

/// A new random token, and the hash that the store keeps of it.
pub(crate) fn fresh() -> (SecretString, ApiTokenHash) {
    let (text, hash) = checked_text::fresh(PREFIX);
    (text, ApiTokenHash::from_bytes(hash))
}

/// The hash of `text`. Returns `None` unless it has exactly the form of an API token, and the right checksum.
pub(crate) fn hash(text: &str) -> Option<ApiTokenHash> {
    checked_text::hash(PREFIX, text).map(ApiTokenHash::from_bytes)
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use secrecy::ExposeSecret;

    use super::*;
    use crate::tokens::checked_text::checksum;

    /// The prefix and the secret, in characters.
    const CHECKED: usize = 47;

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

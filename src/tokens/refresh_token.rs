//! The text of refresh tokens. None is stored: each is made of its session, its generation and a key that never leaves the
//! server. So the same successor can be issued twice, and the database holds nothing that a client could present.
//!
//! | bytes | what |
//! |---|---|
//! | 16 | the session's id |
//! | 4 | the generation, big endian |
//! | 32 | HMAC-SHA256 (RFC 2104) of the prefix and the bytes before, under the refresh key |
//!
//! written as `jwr_` and 70 characters of base64url. No access token begins so.

use std::sync::{PoisonError, RwLock};

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretSlice, SecretString};

use crate::domain::{SessionId, random};

/// The beginning of every refresh token, by which people and scanners recognise one.
pub(crate) const PREFIX: &str = "jwr_";
const SESSION: usize = 16;
const GENERATION: usize = 4;
const MAC: usize = 32;

pub(crate) struct RefreshTokens {
    key: RwLock<hmac::Key>,
}

impl RefreshTokens {
    pub(crate) fn new(key: &SecretSlice<u8>) -> Self {
        Self {
            key: RwLock::new(hmac_key(key)),
        }
    }

    /// Writes with another key from now on, and reads nothing that the one before has written. The store must have it already.
    pub(crate) fn use_key(&self, key: &SecretSlice<u8>) {
        *self.key.write().unwrap_or_else(PoisonError::into_inner) = hmac_key(key);
    }

    fn key(&self) -> hmac::Key {
        // A panic cannot leave the key half replaced.
        self.key.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A new random key.
    pub(crate) fn fresh_key() -> SecretSlice<u8> {
        random::<32>().to_vec().into()
    }

    pub(crate) fn write(&self, session: SessionId, generation: u32) -> SecretString {
        let claim = [session.as_bytes().as_slice(), &generation.to_be_bytes()].concat();
        let mac = hmac::sign(&self.key(), &signed(&claim));
        let text = URL_SAFE_NO_PAD.encode([&claim, mac.as_ref()].concat());
        format!("{PREFIX}{text}").into()
    }

    /// The session and the generation of `text`. Returns `None` unless this server wrote exactly that.
    pub(crate) fn read(&self, text: &str) -> Option<(SessionId, u32)> {
        let mut bytes = [0; SESSION + GENERATION + MAC];
        let length = URL_SAFE_NO_PAD
            .decode_slice(text.strip_prefix(PREFIX)?, &mut bytes)
            .ok()?;
        let (claim, mac) = bytes.get(..length)?.split_at_checked(SESSION + GENERATION)?;
        hmac::verify(&self.key(), &signed(claim), mac).ok()?;
        let (session, generation) = claim.split_at(SESSION);
        let session = SessionId::from_bytes(session.try_into().ok()?);
        Some((session, u32::from_be_bytes(generation.try_into().ok()?)))
    }
}

fn hmac_key(key: &SecretSlice<u8>) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, key.expose_secret())
}

/// With the prefix, so that no other kind of token under the same key can pass for a refresh token.
fn signed(claim: &[u8]) -> Vec<u8> {
    [PREFIX.as_bytes(), claim].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    fn tokens() -> RefreshTokens {
        RefreshTokens::new(&RefreshTokens::fresh_key())
    }

    #[test]
    fn a_refresh_token_reads_back_and_differs_each_generation() {
        let tokens = tokens();
        let session = SessionId::generate(Timestamp::from_secs(1_800_000_000));
        for generation in [0, 1, u32::MAX] {
            let text = tokens.write(session, generation);
            let text = text.expose_secret();
            assert_eq!(text.len(), 74);
            assert_eq!(tokens.read(text), Some((session, generation)));
            assert_eq!(tokens.write(session, generation).expose_secret(), text);
            assert_ne!(tokens.write(session, 7).expose_secret(), text);
        }
    }

    #[test]
    fn a_changed_or_foreign_refresh_token_is_refused() {
        let tokens = tokens();
        let session = SessionId::generate(Timestamp::from_secs(1_800_000_000));
        let text = tokens.write(session, 3);
        let text = text.expose_secret();
        assert_eq!(self::tokens().read(text), None);
        for at in 0..text.len() {
            for bit in 0..8 {
                let mut bytes = text.as_bytes().to_vec();
                bytes[at] ^= 1 << bit;
                let Ok(changed) = String::from_utf8(bytes) else {
                    continue;
                };
                assert_eq!(tokens.read(&changed), None, "{changed}");
            }
        }
        for other in [
            "",
            PREFIX,
            &text[4..],
            &text[..73],
            &format!("{text}="),
            &format!("{text}A"),
            &format!(" {text}"),
            &text.to_uppercase(),
        ] {
            assert_eq!(tokens.read(other), None, "{other}");
        }
    }
}

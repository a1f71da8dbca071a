//! A password as a user typed it, and the hash that the store keeps of it. `Debug` shows neither. How strong a password must
//! be is not decided here.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

/// The longest password, in bytes of UTF-8. bcrypt reads 72 bytes, of which the last is its own NUL. It would cut a longer
/// password silently, so a longer password is refused.
pub const MAX_PASSWORD_BYTES: usize = 71;

/// A password that can be hashed whole: not empty, no NUL, at most [`MAX_PASSWORD_BYTES`].
///
/// It is compared exactly: nothing is trimmed, folded or normalised. Whether it is strong enough is for the settings to say,
/// not for this type.
#[derive(Debug)]
pub struct Password(SecretString);

impl Password {
    /// The password `input`.
    ///
    /// # Errors
    /// Each variant of [`PasswordError`], for the reason that it names.
    pub fn parse(input: SecretString) -> Result<Self, PasswordError> {
        let text = input.expose_secret();
        if text.is_empty() {
            return Err(PasswordError::Empty);
        }
        if text.len() > MAX_PASSWORD_BYTES {
            return Err(PasswordError::TooLong);
        }
        if text.contains('\0') {
            return Err(PasswordError::ContainsNul);
        }
        Ok(Self(input))
    }

    /// The password in the clear, for the one line that hashes or rates it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// How many characters (Unicode scalar values) it has.
    #[must_use]
    pub fn chars(&self) -> usize {
        self.expose().chars().count()
    }
}

/// Why a text is not a [`Password`].
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// The text is empty.
    #[error("A password can't be empty.")]
    Empty,
    /// More than [`MAX_PASSWORD_BYTES`] bytes.
    #[error(
        "A password has at most {MAX_PASSWORD_BYTES} bytes (letters a to z take one, others up to four)."
    )]
    TooLong,
    /// The text has a NUL character, at which bcrypt would stop reading.
    #[error("A password can't contain a NUL character.")]
    ContainsNul,
}

/// How many characters a bcrypt hash has.
const HASH_CHARS: usize = 60;

/// The hash of a password, as the store keeps it: bcrypt in its modular crypt form, `$2b$12$…`, 60 characters of ASCII.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash([u8; HASH_CHARS]);

impl PasswordHash {
    /// The hash with this text. Returns `None` unless the text has the form of a bcrypt hash.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let hash = text.as_bytes().try_into().ok()?;
        (text.is_ascii() && text.starts_with("$2")).then_some(Self(hash))
    }

    /// The hash in its modular crypt form.
    #[must_use]
    pub fn expose(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Password, PasswordError> {
        Password::parse(text.into())
    }

    #[test]
    fn a_password_has_at_most_71_bytes() {
        assert!(parse(&"x".repeat(71)).is_ok());
        assert_eq!(parse(&"x".repeat(72)).unwrap_err(), PasswordError::TooLong);
        assert!(parse(&"é".repeat(35)).is_ok());
        assert_eq!(parse(&"é".repeat(36)).unwrap_err(), PasswordError::TooLong);
    }

    #[test]
    fn a_password_is_kept_as_it_was_typed() {
        assert_eq!(parse(" Pass Word\t").unwrap().expose(), " Pass Word\t");
        assert_eq!(parse("pässwörd").unwrap().chars(), 8);
        assert_eq!(parse("").unwrap_err(), PasswordError::Empty);
        assert_eq!(parse("pass\0word").unwrap_err(), PasswordError::ContainsNul);
    }

    #[test]
    fn debug_shows_neither_password_nor_hash() {
        let hash = PasswordHash::parse(&format!("$2b$12${}", "k".repeat(53))).unwrap();
        let shown = format!("{:?} {hash:?}", parse("hunter2-hunter2").unwrap());
        assert!(!shown.contains("hunter2") && !shown.contains("kkk"), "{shown}");
    }

    #[test]
    fn only_text_of_the_form_of_a_bcrypt_hash_is_a_hash() {
        for text in [
            "",
            "$2b$12$short",
            &"x".repeat(60),
            &format!("$2b$12${}", "é".repeat(26)),
        ] {
            assert_eq!(PasswordHash::parse(text), None, "{text:?}");
        }
    }
}

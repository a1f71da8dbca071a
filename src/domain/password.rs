//! A password as a user typed it, and the hash that the store keeps of it. `Debug` shows neither. How strong a password must
//! be is not decided here.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use unicode_normalization::{UnicodeNormalization, is_nfc};

/// The longest password, in bytes of UTF-8. bcrypt reads 72 bytes, of which the last is its own NUL. It would cut a longer
/// password silently, so a longer password is refused.
pub const MAX_PASSWORD_BYTES: usize = 71;

/// The longest text that is normalised, in bytes: no longer one can be a password.
const MAX_TYPED_BYTES: usize = 16 * MAX_PASSWORD_BYTES;

/// A password that can be hashed whole: not empty, no NUL, at most [`MAX_PASSWORD_BYTES`] in its normal form.
///
/// The normal form is NFC (NIST SP 800-63B, section 3.1.1.2), because keyboards write one letter in different ways. A text that
/// only fits as it was typed stays as it is. Otherwise it is compared exactly: nothing is trimmed or folded. Whether it is strong
/// enough is for the settings to say, not for this type.
#[derive(Debug)]
pub struct Password {
    normal: SecretString,
    /// The text as it was typed, if that is another one and not too long. Earlier versions hashed that.
    typed: Option<SecretString>,
}

impl Password {
    /// The password `input`.
    ///
    /// # Errors
    /// Each variant of [`PasswordError`], for the reason that it names.
    pub fn parse(input: SecretString) -> Result<Self, PasswordError> {
        let typed = input.expose_secret();
        if typed.len() > MAX_TYPED_BYTES {
            return Err(PasswordError::TooLong);
        }
        if !is_nfc(typed) {
            // Large enough for every normal form, so that no copy is left behind by a growing text.
            let mut normal = String::with_capacity(3 * typed.len());
            normal.extend(typed.nfc());
            let normal = SecretString::from(normal);
            let fits = |text: &SecretString| text.expose_secret().len() <= MAX_PASSWORD_BYTES;
            // A few letters have a longer normal form. Earlier versions accepted what fits without it.
            if fits(&normal) || !fits(&input) {
                return Self::check(normal, Some(input).filter(fits));
            }
        }
        Self::check(input, None)
    }

    fn check(normal: SecretString, typed: Option<SecretString>) -> Result<Self, PasswordError> {
        let text = normal.expose_secret();
        if text.is_empty() {
            return Err(PasswordError::Empty);
        }
        if text.len() > MAX_PASSWORD_BYTES {
            return Err(PasswordError::TooLong);
        }
        if text.contains('\0') {
            return Err(PasswordError::ContainsNul);
        }
        Ok(Self { normal, typed })
    }

    /// The password in the clear, in its normal form, for the one line that hashes or rates it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.normal.expose_secret()
    }

    /// The texts that a hash of this password can have been made from: the normal form, and what was typed, if that differs.
    pub fn expose_all(&self) -> impl Iterator<Item = &str> {
        let typed = self.typed.as_ref().map(ExposeSecret::expose_secret);
        [self.expose()].into_iter().chain(typed)
    }

    /// How many characters (Unicode scalar values) its normal form has.
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
    fn a_password_is_the_same_however_its_letters_are_typed() {
        let (composed, decomposed) = ("p\u{e4}ssw\u{f6}rd", "pa\u{308}sswo\u{308}rd");
        for text in [composed, decomposed] {
            let password = parse(text).unwrap();
            assert_eq!((password.expose(), password.chars()), (composed, 8));
        }
        let all = |text: &str| {
            parse(text)
                .unwrap()
                .expose_all()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(all(composed), [composed]);
        assert_eq!(all(decomposed), [composed, decomposed]);
        // What is shown alike and is not the same is another password.
        assert_ne!(parse("\u{ff50}assword").unwrap().expose(), "password");
        // 70 bytes as it is kept, 105 as it was typed, which no earlier version accepted.
        let long = "e\u{301}".repeat(35);
        assert_eq!(all(&long), ["\u{e9}".repeat(35)]);
        assert_eq!(parse(&"e\u{301}".repeat(36)).unwrap_err(), PasswordError::TooLong);
        // One letter whose normal form takes 12 bytes, not 4.
        let longer = "\u{1d160}".repeat(10);
        assert_eq!(all(&longer), [longer.as_str()]);
        assert_eq!(
            parse(&"\u{1d160}".repeat(18)).unwrap_err(),
            PasswordError::TooLong
        );
        assert_eq!(parse(&"x".repeat(1 << 20)).unwrap_err(), PasswordError::TooLong);
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

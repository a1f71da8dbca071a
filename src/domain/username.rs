//! The name that a user signs in with: folded and checked once, here.

use std::fmt;

use smol_str::SmolStr;

/// 3 to 64 of `a-z 0-9 . _ @ + -`, starting with a letter or a digit.
///
/// Text is trimmed and ASCII lower-cased first, so `" Ada "` and `ada` are one user. Only ASCII is accepted, so two names
/// that look alike can't be two users.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Username(SmolStr);

impl Username {
    const MIN: usize = 3;
    const MAX: usize = 64;

    /// The username `input`, trimmed and in lower case.
    ///
    /// # Errors
    /// Each variant of [`UsernameError`], for the reason that it names.
    pub fn parse(input: &str) -> Result<Self, UsernameError> {
        let name = input.trim_matches(|c: char| c.is_ascii_whitespace());
        if !name.bytes().all(is_allowed) {
            return Err(UsernameError::BadCharacter);
        }
        if name.len() < Self::MIN {
            return Err(UsernameError::TooShort);
        }
        if name.len() > Self::MAX {
            return Err(UsernameError::TooLong);
        }
        if !name.as_bytes()[0].is_ascii_alphanumeric() {
            return Err(UsernameError::BadStart);
        }
        Ok(Self(name.to_ascii_lowercase().into()))
    }

    /// The name, lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const fn is_allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'@' | b'+' | b'-')
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is not a [`Username`].
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsernameError {
    /// Fewer than 3 characters.
    #[error("A username has at least {} characters.", Username::MIN)]
    TooShort,
    /// More than 64 characters.
    #[error("A username has at most {} characters.", Username::MAX)]
    TooLong,
    /// A character outside `a-z 0-9 . _ @ + -`.
    #[error("A username has only letters a to z, digits, and . _ @ + -")]
    BadCharacter,
    /// It starts with one of `. _ @ + -`.
    #[error("A username starts with a letter or a digit.")]
    BadStart,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_username_is_trimmed_and_folded() {
        let name = Username::parse("\t Ada.Lovelace+1@Example-Site_x \r\n").unwrap();
        assert_eq!(name.as_str(), "ada.lovelace+1@example-site_x");
        assert_eq!(Username::parse(name.as_str()), Ok(name));
    }

    #[test]
    fn a_text_that_is_no_username_is_refused_with_the_reason() {
        for (input, why) in [
            ("", UsernameError::TooShort),
            ("ab", UsernameError::TooShort),
            (&"a".repeat(65), UsernameError::TooLong),
            ("_ada", UsernameError::BadStart),
            ("ada lovelace", UsernameError::BadCharacter),
            ("admin:x:ADMIN", UsernameError::BadCharacter),
            ("ada\nroot", UsernameError::BadCharacter),
            ("ada\0", UsernameError::BadCharacter),
            // Cyrillic, full width, a sign that lower-cases into ASCII, a non-breaking space
            ("\u{430}da", UsernameError::BadCharacter),
            ("\u{ff41}da", UsernameError::BadCharacter),
            ("\u{212a}elvin", UsernameError::BadCharacter),
            ("\u{a0}ada", UsernameError::BadCharacter),
        ] {
            assert_eq!(Username::parse(input), Err(why), "{input:?}");
        }
        assert!(Username::parse(&"a".repeat(64)).is_ok());
        assert!(Username::parse("007").is_ok());
    }
}

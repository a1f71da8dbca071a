//! The name that a user signs in with: folded and checked once, here.

use std::fmt;

use smol_str::SmolStr;
use unicode_normalization::UnicodeNormalization;

/// 2 to 64 of `a-z 0-9 . _ @ + - '`, starting with a letter or a digit. E-mail addresses may have an apostrophe.
///
/// Text is trimmed and ASCII lower-cased first, so `" Ada "` and `ada` are one user. Only ASCII is accepted, so two names
/// that look alike can't be two users.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Username(SmolStr);

impl Username {
    const MIN: usize = 2;
    const MAX: usize = 64;

    /// The username `input`, trimmed and in lower case.
    ///
    /// # Errors
    /// Each variant of [`UsernameError`], for the reason that it names.
    pub fn parse(input: &str) -> Result<Self, UsernameError> {
        let name = input.trim_matches(|c: char| c.is_ascii_whitespace());
        if !name.bytes().all(is_allowed) {
            return Err(UsernameError::BadCharacter(suggestion(name)));
        }
        if name.len() < Self::MIN {
            return Err(UsernameError::TooShort);
        }
        if name.len() > Self::MAX {
            return Err(UsernameError::TooLong);
        }
        if !name.as_bytes()[0].is_ascii_alphanumeric() {
            return Err(UsernameError::BadStart(suggestion(name)));
        }
        Ok(Self(name.to_ascii_lowercase().into()))
    }

    /// The name, lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The start of a username, to look for: trimmed and folded as a whole one is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsernamePrefix(SmolStr);

impl UsernamePrefix {
    /// The prefix `input`, trimmed and in lower case.
    ///
    /// # Errors
    /// [`UsernameError::BadCharacter`] or [`TooLong`](UsernameError::TooLong): no username starts with it.
    pub fn parse(input: &str) -> Result<Self, UsernameError> {
        let prefix = input.trim_matches(|c: char| c.is_ascii_whitespace());
        if !prefix.bytes().all(is_allowed) {
            return Err(UsernameError::BadCharacter(suggestion(prefix)));
        }
        if prefix.len() > Username::MAX {
            return Err(UsernameError::TooLong);
        }
        Ok(Self(prefix.to_ascii_lowercase().into()))
    }

    /// The prefix, lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `name` starts with it.
    #[must_use]
    pub fn starts(&self, name: &Username) -> bool {
        name.0.starts_with(self.as_str())
    }
}

const fn is_allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'@' | b'+' | b'-' | b'\'')
}

/// The username that is most like `name`: accents and other characters are left out, and a space becomes a dot. Returns `None` if
/// too little is left.
fn suggestion(name: &str) -> Option<Username> {
    let plain = |c: char| match u8::try_from(c) {
        Ok(byte) if is_allowed(byte) => Some(c),
        _ if c.is_whitespace() => Some('.'),
        _ => None,
    };
    let plain: String = name.nfkd().filter_map(plain).take(Username::MAX).collect();
    let plain = plain.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    Username::parse(plain.trim_end_matches('.')).ok()
}

/// What to write instead: completes the message of an error.
fn instead(suggestion: Option<&Username>) -> String {
    suggestion.map_or_else(String::new, |name| format!(" Write {name}, for instance."))
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is not a [`Username`].
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsernameError {
    /// Fewer than 2 characters.
    #[error("A username has at least {} characters.", Username::MIN)]
    TooShort,
    /// More than 64 characters.
    #[error("A username has at most {} characters.", Username::MAX)]
    TooLong,
    /// A character outside `a-z 0-9 . _ @ + - '`. Has a username that is like the text.
    #[error("A username has only the letters a to z, digits, and . _ @ + - ' as other characters.{}", instead(.0.as_ref()))]
    BadCharacter(Option<Username>),
    /// It starts with one of `. _ @ + - '`. Has a username that is like the text.
    #[error("A username starts with a letter or a digit.{}", instead(.0.as_ref()))]
    BadStart(Option<Username>),
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
            ("a", UsernameError::TooShort),
            (&"a".repeat(65), UsernameError::TooLong),
        ] {
            assert_eq!(Username::parse(input), Err(why), "{input:?}");
        }
        for (input, instead) in [
            ("ada lovelace", Some("ada.lovelace")),
            ("Ada  M\u{fc}ller ", Some("ada..muller")),
            ("Mu\u{308}ller", Some("muller")),
            ("admin:x:ADMIN", Some("adminxadmin")),
            ("ada\nroot", Some("ada.root")),
            ("ada\0", Some("ada")),
            // Cyrillic, full width, a sign that lower-cases into ASCII, a non-breaking space, characters that show nothing
            ("\u{430}da", Some("da")),
            ("\u{ff41}da", Some("ada")),
            ("\u{212a}elvin", Some("kelvin")),
            ("\u{a0}ada", Some("ada")),
            ("a\u{200b}da", Some("ada")),
            ("ada\u{202e}", Some("ada")),
            ("\u{3164}", None),
            ("\u{430}", None),
        ] {
            let instead = instead.map(|name| Username::parse(name).unwrap());
            let why = UsernameError::BadCharacter(instead);
            assert_eq!(Username::parse(input), Err(why), "{input:?}");
        }
        for start in [".", "_", "@", "+", "-", "'"] {
            let why = UsernameError::BadStart(Username::parse("ada").ok());
            assert_eq!(Username::parse(&format!("{start}ada")), Err(why));
        }
        for good in ["007", &"a".repeat(64), "bo", "x1", "conan.o'brien@example.org"] {
            assert!(Username::parse(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn a_prefix_is_folded_as_the_names_that_it_starts() {
        let name = Username::parse("ada.lovelace").unwrap();
        for (prefix, starts) in [("", true), (" Ada", true), (".", false), ("ada.lovelace", true)] {
            assert_eq!(UsernamePrefix::parse(prefix).unwrap().starts(&name), starts);
        }
        assert!(
            UsernamePrefix::parse("ad\u{e4}").is_err() && UsernamePrefix::parse(&"a".repeat(65)).is_err()
        );
    }

    #[test]
    fn a_refused_username_says_what_to_write_instead() {
        let message = |input: &str| Username::parse(input).unwrap_err().to_string();
        assert_eq!(
            message("ada lovelace"),
            "A username has only the letters a to z, digits, and . _ @ + - ' as other characters. Write ada.lovelace, for instance."
        );
        assert_eq!(
            message("_ada"),
            "A username starts with a letter or a digit. Write ada, for instance."
        );
        assert!(message("\u{430}").ends_with(" as other characters."));
    }
}

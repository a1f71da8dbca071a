//! The names that users choose: their own display name, and the names of their API tokens. One rule holds for both.

use std::{fmt, sync::Arc};

use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

/// The longest name, in characters.
const MAX_CHARS: usize = 64;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        // One pointer, because each session in memory has its user.
        pub struct $name(Arc<String>);

        impl $name {
            /// The name `input`, without the white space around it.
            ///
            /// # Errors
            /// [`NameError`] if it is empty, has more than 64 characters, or has a character that shows nothing.
            pub fn parse(input: &str) -> Result<Self, NameError> {
                let name = Self::parse_stored(input.trim())?;
                if shows_nothing(&name.0) { Err(NameError) } else { Ok(name) }
            }

            /// The name `input`, as a store has it. Accepts format characters and invisible ones, which earlier versions accepted.
            ///
            /// # Errors
            /// [`NameError`] if it is empty, has more than 64 characters, or has a control character.
            pub fn parse_stored(input: &str) -> Result<Self, NameError> {
                check(input).map(|name| Self(Arc::new(name.to_owned())))
            }

            /// The name.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// The name under which a user is shown: 1 to 64 characters, each of which shows something or is a space.
    DisplayName
}
name! {
    /// The name that a user gives to an API token: 1 to 64 characters, each of which shows something or is a space.
    ApiTokenName
}

fn check(name: &str) -> Result<&str, NameError> {
    let good = (1..=MAX_CHARS).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    good.then_some(name).ok_or(NameError)
}

/// Whether `name` has a character that controls how others are shown, or shows nothing, so that two names look alike or one
/// looks empty. U+FE0F behind a symbol is none of these: it makes an emoji of the symbol.
fn shows_nothing(name: &str) -> bool {
    let mut before = None;
    name.chars().any(|c| {
        let is_emoji = c == '\u{fe0f}' && before.is_some_and(is_symbol);
        before = Some(c);
        !is_emoji && is_invisible(c)
    })
}

fn is_symbol(c: char) -> bool {
    c.general_category_group() == GeneralCategoryGroup::Symbol
}

/// Whether `c` is a control character, a format character, a separator of lines, or one that is not shown (Unicode's
/// `Default_Ignorable_Code_Point`, and the blank of Braille).
fn is_invisible(c: char) -> bool {
    let category = c.general_category();
    let is_control = matches!(
        category,
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
    );
    let is_ignorable = matches!(c,
        '\u{34f}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{2065}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fff8}' | '\u{e0000}'..='\u{e0fff}');
    is_control || is_ignorable
}

/// The text is not a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "A name has 1 to 64 characters, each visible or a space. Leave out control, format and invisible characters."
)]
pub struct NameError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_trimmed_and_has_no_control_characters() {
        assert_eq!(
            DisplayName::parse(" Ada Lovelace ").unwrap().as_str(),
            "Ada Lovelace"
        );
        assert!(ApiTokenName::parse(&"é".repeat(64)).is_ok());
        for bad in ["", "  ", "a\nb", "a\u{1b}[2Jb", &"é".repeat(65)] {
            assert_eq!(DisplayName::parse(bad), Err(NameError), "{bad:?}");
            assert_eq!(ApiTokenName::parse(bad), Err(NameError), "{bad:?}");
        }
    }

    #[test]
    fn a_name_has_no_character_that_shows_nothing() {
        for c in [
            '\u{7f}',
            '\u{85}',
            '\u{ad}',
            '\u{34f}',
            '\u{61c}',
            '\u{115f}',
            '\u{180e}',
            '\u{200b}',
            '\u{200d}',
            '\u{200e}',
            '\u{2028}',
            '\u{2029}',
            '\u{202a}',
            '\u{202e}',
            '\u{2060}',
            '\u{2066}',
            '\u{2069}',
            '\u{2800}',
            '\u{3164}',
            '\u{fe0f}',
            '\u{feff}',
            '\u{ffa0}',
            '\u{fff9}',
            '\u{e0041}',
            '\u{e0100}',
        ] {
            let name = format!("a{c}b");
            assert_eq!(DisplayName::parse(&name), Err(NameError), "{c:?}");
            assert_eq!(ApiTokenName::parse(&name), Err(NameError), "{c:?}");
            assert_eq!(DisplayName::parse(&c.to_string()), Err(NameError), "{c:?}");
        }
        for good in [
            "\u{5d0}\u{5d3}\u{5d4}",
            "\u{2764}\u{fe0f} Ada",
            "\u{1f469}\u{1f3fd}",
            "\u{e9}",
            "e\u{301}",
            "\u{4f60}\u{597d}",
        ] {
            assert!(DisplayName::parse(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn a_stored_name_of_an_earlier_version_is_still_one() {
        assert_eq!(
            DisplayName::parse_stored("a\u{200b}").unwrap().as_str(),
            "a\u{200b}"
        );
        assert_eq!(DisplayName::parse_stored("a\n"), Err(NameError));
    }
}

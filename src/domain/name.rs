//! The names that users choose: their own display name, and the names of their API tokens. One rule holds for both.

use std::fmt;

/// The longest name, in characters.
const MAX_CHARS: usize = 64;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name(Box<str>);

        impl $name {
            /// The name `input`, without the white space around it.
            ///
            /// # Errors
            /// [`NameError`] if it is empty, has more than 64 characters, or has a control character.
            pub fn parse(input: &str) -> Result<Self, NameError> {
                check(input.trim()).map(|name| Self(name.into()))
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
    /// The name under which a user is shown: 1 to 64 characters, none of them a control character.
    DisplayName
}
name! {
    /// The name that a user gives to an API token: 1 to 64 characters, none of them a control character.
    ApiTokenName
}

fn check(name: &str) -> Result<&str, NameError> {
    let good = (1..=MAX_CHARS).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    good.then_some(name).ok_or(NameError)
}

/// The text is not a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("A name has 1 to 64 characters and no control characters.")]
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
}

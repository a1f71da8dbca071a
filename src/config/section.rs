//! `section!` declares a section of the settings: each setting once, as one field with its help, default and range.
//!
//! From that line come the field of the section's type, the key, the environment variable, the flag, the lines of the
//! shipped file, the row of the documentation, and the check of a value that was set in code.

/// Declares a section's type and its settings.
///
/// ```text
/// section! {
///     /// About the section.
///     pub struct LogConfig in "log" {
///         /// The help: one or more lines, which become one sentence after another.
///         name: Type = default as in TOML, what is accepted;
///     }
/// }
/// ```
///
/// The type gets `SETTINGS`, `read`, `check`, and for each field a function of its name that returns its
/// [`Setting`](super::setting::Setting).
macro_rules! section {
    (
        $(#[$about:meta])*
        $vis:vis struct $section:ident in $name:literal {
            $(
                $(#[doc = $help:literal])+
                $field:ident: $value:ty = $default:tt, $accepts:expr;
            )+
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug)]
        $vis struct $section {
            $( $(#[doc = $help])+ $vis $field: $value, )+
        }

        impl $section {
            /// The settings of this section, in the order of the shipped file.
            pub(super) const SETTINGS: &[$crate::config::setting::AnySetting] = &[$( Self::$field().any() ),+];

            /// The section's values.
            ///
            /// Fails with `BadValue` for each setting whose value is not accepted.
            pub(super) fn read(
                settings: &$crate::config::settings::Settings,
            ) -> Result<Self, $crate::config::error::ConfigError> {
                let mut errors = $crate::config::errors::Errors::default();
                $( let $field = errors.keep(settings.read(Self::$field())); )+
                match ($( $field, )+) {
                    ($( Some($field), )+) => Ok(Self { $( $field, )+ }),
                    _ => Err(errors.into_error()),
                }
            }

            /// Fails with `BadValue` for each value that its setting does not accept.
            pub(crate) fn check(&self) -> Result<(), $crate::config::error::ConfigError> {
                let mut errors = $crate::config::errors::Errors::default();
                $( errors.keep(Self::$field().check(&self.$field)); )+
                errors.result()
            }

            /// Copies of these values, each with one of them at an end of what its setting accepts, or right outside: with the
            /// setting, and whether it accepts the value.
            #[cfg(test)]
            pub(super) fn at_the_ends(&self) -> Vec<(&'static str, bool, Self)> {
                let mut copies = Vec::new();
                $(
                    let $crate::config::accepts::Ends { inside, outside } = Self::$field().accepts.ends();
                    let inside = inside.into_iter().map(|value| (true, value));
                    let outside = outside.into_iter().map(|value| (false, value));
                    for (is_accepted, value) in inside.chain(outside) {
                        let mut copy = self.clone();
                        copy.$field = value;
                        copies.push((Self::$field().key, is_accepted, copy));
                    }
                )+
                copies
            }

            $(
                pub(super) const fn $field() -> &'static $crate::config::setting::Setting<$value> {
                    static SETTING: $crate::config::setting::Setting<$value> =
                        $crate::config::setting::Setting {
                            key: concat!($name, ".", stringify!($field)),
                            default: stringify!($default),
                            accepts: &$accepts,
                            // A line of a doc comment begins with a space.
                            help: concat!($($help),+).trim_ascii(),
                        };
                    &SETTING
                }
            )+
        }
    };
}

pub(super) use section;

//! What a setting is: a name, a default, and the words that explain it.

/// What the names of environment variables begin with.
pub(super) const PREFIX: &str = "JWT_SERVER__";

/// The environment variable that holds the signing secret: the one that is no setting, so that it is never in the file.
pub const SECRET_VARIABLE: &str = "JWT_SERVER__TOKEN__SECRET";

/// One setting. The tables of them are the source of the flags, the shipped file and the error messages.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// `section.name`, as in the file; also the flag's name.
    pub key: &'static str,
    /// Its default, as it would stand in the file.
    pub default: &'static str,
    /// What form its value has.
    pub kind: Kind,
    /// What is accepted: completes "accepted: …".
    pub accepts: &'static str,
    /// One line for the file and for `--help`.
    pub help: &'static str,
}

/// The form of a setting's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string in the file.
    Text,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// A list of strings; separated by commas in the environment and in a flag.
    List,
}

impl Setting {
    /// The part of the key before the dot.
    #[must_use]
    pub fn section(&self) -> &'static str {
        self.key.split_once('.').map_or("", |(section, _)| section)
    }

    /// The part of the key behind the dot.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.key.split_once('.').map_or(self.key, |(_, name)| name)
    }

    /// The environment variable that sets it.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("{}{}", PREFIX, self.key.replace('.', "__").to_uppercase())
    }
}

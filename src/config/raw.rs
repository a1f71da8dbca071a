//! A setting's value as it was written: in the file, in the environment or in a flag.

use std::fmt::{self, Write};

use toml::de::DeValue;

/// The form of a setting's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
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

/// A value as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Raw {
    Text(String),
    Integer(String),
    Boolean(bool),
    List(Vec<String>),
    /// Of a form that no setting has: what it is instead.
    Other(String),
}

/// As TOML.
impl fmt::Display for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(&quoted(text)),
            Self::Integer(digits) => f.write_str(digits),
            Self::Boolean(value) => value.fmt(f),
            Self::List(items) => {
                let items: Vec<_> = items.iter().map(|item| quoted(item)).collect();
                write!(f, "[{}]", items.join(", "))
            }
            Self::Other(text) => f.write_str(text),
        }
    }
}

/// A basic string of TOML, whose escapes differ from Rust's.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\'' => quoted.push(c),
            // Characters that a terminal does not show, or that control it.
            _ if c.escape_debug().len() > 1 => {
                let _ = write!(quoted, "\\U{:08X}", u32::from(c));
            }
            _ => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

impl Raw {
    /// The value that stands in a TOML document.
    pub(super) fn of(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Raw::Text(text.to_string()),
            DeValue::Integer(number) => {
                // TOML has hexadecimal, octal and binary numbers too. A number too large for any setting is shown as written.
                let decimal = i64::from_str_radix(number.as_str(), number.radix());
                Raw::Integer(decimal.map_or_else(|_| number.to_string(), |decimal| decimal.to_string()))
            }
            DeValue::Boolean(value) => Raw::Boolean(*value),
            DeValue::Array(items) => {
                let texts = items
                    .iter()
                    .map(|item| item.get_ref().as_str().map(str::to_owned));
                let texts: Option<Vec<_>> = texts.collect();
                texts.map_or_else(
                    || Raw::Other("a list of other things than strings".to_owned()),
                    Raw::List,
                )
            }
            other => Raw::Other(format!("a {}", other.type_str())),
        }
    }

    /// The items of a list that is written as a string, separated by commas.
    pub(super) fn items(text: &str) -> Vec<String> {
        let items = text.split(',').map(|item| item.trim().to_owned());
        items.filter(|item| !item.is_empty()).collect()
    }

    /// The string, if this is one.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

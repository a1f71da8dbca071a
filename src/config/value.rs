//! A setting's value: as it was written, and the readers that make something runnable of it.

use std::{
    fmt::{self, Write},
    ops::RangeInclusive,
    str::FromStr,
    time::Duration,
};

use bytesize::ByteSize;
use toml::de::DeValue;

/// A value as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Raw {
    Text(String),
    Integer(String),
    Boolean(bool),
    List(Vec<String>),
    /// Of a form that no setting has.
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

/// A basic string of TOML. Rust's own form of one differs in its escapes.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\'' => quoted.push(c),
            // What can't be seen in a terminal, or does something there.
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
    /// The value that TOML has.
    pub(super) fn of(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Raw::Text(text.to_string()),
            DeValue::Integer(number) => Raw::Integer(number.to_string()),
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
}

pub(super) fn text(raw: &Raw) -> Option<&str> {
    if let Raw::Text(text) = raw {
        Some(text)
    } else {
        None
    }
}

pub(super) fn boolean(raw: &Raw) -> Option<bool> {
    if let Raw::Boolean(value) = raw {
        Some(*value)
    } else {
        None
    }
}

/// A number within `range`.
pub(super) fn number<T: FromStr + PartialOrd>(raw: &Raw, range: RangeInclusive<T>) -> Option<T> {
    let Raw::Integer(digits) = raw else { return None };
    digits.parse().ok().filter(|number| range.contains(number))
}

/// A list, each of whose items `parse` accepts.
pub(super) fn list<T>(raw: &Raw, parse: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    let Raw::List(items) = raw else { return None };
    items.iter().map(|item| parse(item)).collect()
}

/// A span of time such as `90s` or `1h 30m`, up to a hundred years: no clock can add much more to the present.
pub(super) fn span(raw: &Raw) -> Option<Duration> {
    const LONGEST: Duration = Duration::from_hours(100 * 365 * 24);
    humantime::parse_duration(text(raw)?)
        .ok()
        .filter(|span| *span <= LONGEST)
}

/// A span of time of whole seconds.
pub(super) fn seconds(raw: &Raw) -> Option<Duration> {
    span(raw).filter(|span| span.subsec_nanos() == 0)
}

/// A number of bytes such as `16KiB`.
pub(super) fn bytes(raw: &Raw) -> Option<u64> {
    text(raw)?.parse().ok().map(|size: ByteSize| size.as_u64())
}

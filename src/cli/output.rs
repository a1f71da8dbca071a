//! What a command prints of an answer in JSON: as text for people, or as it came for programs.

use std::fmt::Write as _;

use clap::{Arg, ArgAction, ArgMatches};
use serde_json::Value;

/// The flag for programs.
pub(super) fn json() -> Arg {
    Arg::new("json")
        .long("json")
        .action(ArgAction::SetTrue)
        .help("Print JSON, one object a line")
}

pub(super) fn is_json(arguments: &ArgMatches) -> bool {
    arguments.get_flag("json")
}

/// Each value on a line of its own.
pub(super) fn lines(values: &[Value]) -> String {
    let mut text = String::new();
    for value in values {
        let _ = writeln!(text, "{value}");
    }
    text
}

/// The text of a string; empty for `null`.
pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The strings of a list.
pub(super) fn list(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(text).collect()
}

/// The strings of a list, with spaces between them.
pub(super) fn texts(value: &Value) -> String {
    list(value).join(" ")
}

/// The roles of a user, each with its end if it has one.
pub(super) fn roles(user: &Value) -> String {
    let role = |role: String| match user["role_ends"][&role].as_str() {
        Some(until) => format!("{role} until {until}"),
        None => role,
    };
    let roles = list(&user["roles"]).into_iter().map(role);
    roles.collect::<Vec<_>>().join(" ")
}

/// The attributes of a user, each with its value as JSON.
pub(super) fn attributes(user: &Value) -> String {
    let all = user["attributes"].as_object().into_iter().flatten();
    let all = all.map(|(name, value)| format!("{name}={value}"));
    all.collect::<Vec<_>>().join(" ")
}

/// A count with its noun.
pub(super) fn counted(count: u64, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// The day of a moment in UTC.
pub(super) fn day(value: &Value) -> String {
    value
        .as_str()
        .and_then(|moment| moment.get(..10))
        .unwrap_or_default()
        .to_owned()
}

/// The second of a moment in UTC.
pub(super) fn second(value: &Value) -> String {
    let second = value.as_str().and_then(|moment| moment.get(..19));
    second.map_or_else(String::new, |second| second.replace('T', " "))
}

/// The minute of a moment in UTC.
pub(super) fn minute(value: &Value) -> String {
    let minute = value.as_str().and_then(|moment| moment.get(..16));
    minute.map_or_else(String::new, |minute| minute.replace('T', " "))
}

//! How long something lasts that a command makes: the flag `--valid`.

use clap::{Arg, ArgMatches};

use super::failure::Failure;

/// The flag, with this default. `bounds` says what it accepts.
pub(super) fn argument(default: &'static str, bounds: &str) -> Arg {
    Arg::new("valid")
        .long("valid")
        .value_name("TIME")
        .default_value(default)
        .help(format!("How long it lasts, such as 30m, 12h or 2d; {bounds}"))
}

/// The time that the flag gives, in whole seconds.
pub(super) fn seconds(arguments: &ArgMatches) -> Result<u64, Failure> {
    let text = arguments.get_one::<String>("valid").map_or("", String::as_str);
    let span = humantime::parse_duration(text).map_err(|_| {
        Failure::Argument(format!(
            "{} is no time; write one such as 30m, 12h or 2d",
            text.escape_debug()
        ))
    })?;
    Ok(span.as_secs())
}

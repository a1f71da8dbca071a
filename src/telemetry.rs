//! The log: the only place that installs a subscriber, and the process's panic hook with it.

use std::{io, panic};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    filter::{Targets, filter_fn},
    fmt,
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::{
    config::{LogConfig, LogFormat},
    store::is_opening,
};

/// Sends the log to standard error, and panics into the log as one line each.
pub(crate) fn install(config: &LogConfig) {
    let lines = fmt::layer()
        .with_target(false)
        .with_ansi(false)
        .with_writer(io::stderr)
        // It would report a log that can't be written on standard error, and panic if that can't be written either.
        .log_internal_errors(false);
    // What the database says below a warning is about its own insides; what it says of damage while it is opened, whoever
    // opens it says better.
    let levels = Targets::new()
        .with_default(config.level)
        .with_target("sled", config.level.min(LevelFilter::WARN));
    let opening = filter_fn(|line| !(is_opening() && line.target().starts_with("sled")));
    let log = tracing_subscriber::registry().with(levels).with(opening);
    // A second one in a process changes nothing: somebody else has the log then.
    let _ = match config.format {
        LogFormat::Text => log.with(lines).try_init(),
        LogFormat::Json => log.with(lines.json().flatten_event(true)).try_init(),
    };
    panic::set_hook(Box::new(|info| {
        // A damaged database is reported by who opens it.
        if is_opening() {
            return;
        }
        let place = info
            .location()
            .map_or_else(|| "?".to_owned(), ToString::to_string);
        tracing::error!(
            place,
            message = info.payload_as_str().unwrap_or("?"),
            "internal error"
        );
    }));
}

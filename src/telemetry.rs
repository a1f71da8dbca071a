//! The log: the only place that installs a subscriber, and the process's panic hook with it.

use std::{io, panic};

use crate::{
    config::{LogConfig, LogFormat},
    store::is_opening,
};

/// Sends the log to standard error, and panics into the log as one line each.
pub(crate) fn install(config: &LogConfig) {
    let log = tracing_subscriber::fmt()
        .with_max_level(config.level)
        .with_target(false)
        .with_ansi(false)
        .with_writer(io::stderr);
    // A second one in a process changes nothing: somebody else has the log then.
    let _ = match config.format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
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

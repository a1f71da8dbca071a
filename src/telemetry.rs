//! The log: the only place that installs a subscriber, and the process's panic hook with it.

use std::{io, panic, time::Duration};

use tokio::time;
use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
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

/// How many lines may wait to be written. More are dropped: no request waits for whoever reads the log.
const WAITING_LINES: usize = 8192;
/// How often it is said that lines were dropped.
const SAY_DROPPED_EVERY: Duration = Duration::from_secs(10);

/// The log, until this is dropped: then what waits is written.
#[must_use]
pub(crate) struct Log {
    _writer: WorkerGuard,
    dropped: ErrorCounter,
}

/// Sends the log to standard error, through a thread of its own, and panics into the log as one line each.
pub(crate) fn install(config: &LogConfig) -> Log {
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(WAITING_LINES)
        .thread_name("log")
        .finish(io::stderr());
    let log = Log {
        _writer: guard,
        dropped: writer.error_counter(),
    };
    let lines = fmt::layer()
        .with_target(false)
        .with_ansi(false)
        .with_writer(writer)
        // It would report a log that can't be written on standard error, and panic if that can't be written either.
        .log_internal_errors(false);
    // What the database says below a warning is about its own insides; what it says of damage while it is opened, whoever
    // opens it says better.
    let levels = Targets::new()
        .with_default(config.level)
        .with_target("sled", config.level.min(LevelFilter::WARN));
    let opening = filter_fn(|line| !(is_opening() && line.target().starts_with("sled")));
    let registry = tracing_subscriber::registry().with(levels).with(opening);
    // A second one in a process changes nothing: somebody else has the log then.
    let _ = match config.format {
        LogFormat::Text => registry.with(lines).try_init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
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
    log
}

impl Log {
    /// Says, for as long as this is awaited, how many lines were dropped because they came faster than they were read.
    pub(crate) async fn say_dropped(&self) {
        let mut said = 0;
        loop {
            time::sleep(SAY_DROPPED_EVERY).await;
            let dropped = self.dropped.dropped_lines();
            if dropped > said {
                tracing::warn!(
                    lines = dropped - said,
                    "the log could not be written fast enough, and lines were dropped"
                );
                said = dropped;
            }
        }
    }
}

//! The log: the only place that installs a subscriber, and the process's panic hook with it.

use std::{
    cell::Cell,
    io, panic,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{filter::Targets, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use super::{
    alike::Alike,
    writer::{Lines, LinesGuard},
};
use crate::config::{LogConfig, LogFormat};

/// How often the log says that lines were left out.
const SAY_EVERY: Duration = Duration::from_secs(10);
/// The most that the log has of the message of a panic, in bytes. It may have a text that a client wrote.
const LONGEST_MESSAGE: usize = 1024;

/// Keeps the log open. Dropping it writes the lines that wait.
#[must_use]
pub(crate) struct Log {
    lines: Lines,
    too_fast: Told,
    alike: Arc<AtomicUsize>,
    too_alike: Told,
    _guard: LinesGuard,
}

/// How many lines the log has said to be left out.
#[derive(Default)]
struct Told(Cell<usize>);

/// Sends the log to standard error, through a thread of its own. A panic becomes one line of the log.
///
/// If the process has a log already, that one stays.
///
/// # Errors
/// The system can start no thread.
pub(crate) fn install(config: &LogConfig) -> io::Result<Log> {
    let (lines, guard) = Lines::to(io::stderr())?;
    let alike = Alike::default();
    let log = Log {
        lines: lines.clone(),
        too_fast: Told::default(),
        alike: alike.left_out(),
        too_alike: Told::default(),
        _guard: guard,
    };
    let format = fmt::layer()
        .with_target(false)
        .with_ansi(false)
        .with_writer(lines)
        // It would report on standard error that the log can't be written, and panic if standard error can't be written.
        .log_internal_errors(false);
    // Below a warning the database logs its own internals only.
    let levels = Targets::new()
        .with_default(config.level)
        .with_target("sled", config.level.min(LevelFilter::WARN));
    let registry = tracing_subscriber::registry().with(levels).with(alike);
    // Fails if a library user has installed a log, which then stays.
    let _ = match config.format {
        LogFormat::Text => registry.with(format).try_init(),
        LogFormat::Json => registry.with(format.json().flatten_event(true)).try_init(),
    };
    panic::set_hook(Box::new(|info| {
        let place = info
            .location()
            .map_or_else(|| "?".to_owned(), ToString::to_string);
        let message = info.payload_as_str().unwrap_or("?");
        let message = &message[..message.floor_char_boundary(LONGEST_MESSAGE)];
        tracing::error!(place, message, "internal error");
    }));
    Ok(log)
}

impl Log {
    /// Logs, while it is polled, how many lines were left out.
    pub(crate) async fn say_left_out(&self) {
        loop {
            time::sleep(SAY_EVERY).await;
            self.say();
        }
    }

    fn say(&self) {
        // While the log is not read, this line would be left out as well.
        if !self.lines.has_room() {
            return;
        }
        if let Some(lines) = self.too_fast.news(self.lines.left_out()) {
            tracing::warn!(
                lines,
                "lines were left out, because the log was not read fast enough, or they were too long"
            );
        }
        if let Some(lines) = self.too_alike.news(self.alike.load(Relaxed)) {
            tracing::warn!(
                lines,
                "lines were left out, because too many alike came within a second"
            );
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.say();
    }
}

impl Told {
    /// How many of `total` have not been told, and now are. Returns `None` if there are none.
    fn news(&self, total: usize) -> Option<usize> {
        let lines = total.checked_sub(self.0.replace(total))?;
        Some(lines).filter(|lines| *lines > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_told_once() {
        let told = Told::default();
        let news = [0, 0, 7, 7, 9].map(|total| told.news(total));
        assert_eq!(news, [None, None, Some(7), None, Some(2)]);
    }
}

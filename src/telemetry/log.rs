//! The log: the only place that installs a subscriber, and the process's panic hook with it.

use std::{io, panic, time::Duration};

use tokio::time;
use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{filter::Targets, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::{LogConfig, LogFormat};

/// How many lines may wait to be written. More are dropped, so that no request waits for the reader of the log.
const WAITING_LINES: usize = 8192;
/// How often the log says that lines were dropped.
const SAY_DROPPED_EVERY: Duration = Duration::from_secs(10);

/// Keeps the log open. Dropping it writes the lines that wait.
#[must_use]
pub(crate) struct Log {
    _writer: WorkerGuard,
    dropped: ErrorCounter,
}

/// Sends the log to standard error, through a thread of its own. A panic becomes one line of the log.
///
/// If the process has a log already, that one stays.
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
        // It would report on standard error that the log can't be written, and panic if standard error can't be written.
        .log_internal_errors(false);
    // Below a warning the database logs its own internals only.
    let levels = Targets::new()
        .with_default(config.level)
        .with_target("sled", config.level.min(LevelFilter::WARN));
    let registry = tracing_subscriber::registry().with(levels);
    // Fails if a library user has installed a log, which then stays.
    let _ = match config.format {
        LogFormat::Text => registry.with(lines).try_init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    };
    panic::set_hook(Box::new(|info| {
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
    /// Logs, while it is polled, how many lines were dropped because they came faster than the log was read.
    pub(crate) async fn say_dropped(&self) {
        let mut said = 0;
        loop {
            time::sleep(SAY_DROPPED_EVERY).await;
            if let Some(lines) = newly_dropped(&self.dropped, &mut said) {
                tracing::warn!(lines, "the log was not read fast enough, and lines were dropped");
            }
        }
    }
}

/// How many lines were dropped beyond those already `said`. Returns `None` if there are none.
fn newly_dropped(dropped: &ErrorCounter, said: &mut usize) -> Option<usize> {
    let total = dropped.dropped_lines();
    let lines = total.checked_sub(*said).filter(|lines| *lines > 0)?;
    *said = total;
    Some(lines)
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        sync::mpsc::{self, Receiver},
    };

    use super::*;

    /// A reader of the log that reads nothing until the other end of the channel is dropped.
    struct Blocked(Receiver<()>);

    impl Write for Blocked {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn dropped_lines_are_reported_once_and_only_the_new_ones() {
        let (unblock, blocked) = mpsc::channel();
        let builder = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(2);
        let (mut writer, guard) = builder.finish(Blocked(blocked));
        let dropped = writer.error_counter();
        let mut said = 0;
        assert_eq!(newly_dropped(&dropped, &mut said), None);

        // One line may be with the reader, and two wait.
        for _ in 0..13 {
            writer.write_all(b"a line").unwrap();
        }
        let lines = newly_dropped(&dropped, &mut said).unwrap();
        assert!((10..=11).contains(&lines), "{lines}");
        assert_eq!(newly_dropped(&dropped, &mut said), None);
        writer.write_all(b"a line").unwrap();
        let more = newly_dropped(&dropped, &mut said);
        assert!(more.is_none_or(|lines| lines == 1), "{more:?}");
        drop((unblock, guard));
    }
}

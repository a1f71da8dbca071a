//! `[log]`: which lines the log has, and their format.

use tracing::level_filters::LevelFilter;

use super::{accepts::Choice, section::section};

section! {
    /// The log.
    pub struct LogConfig in "log" {
        /// The least important lines that are still logged.
        level: LevelFilter = "info", Choice(&[
            ("off", LevelFilter::OFF),
            ("error", LevelFilter::ERROR),
            ("warn", LevelFilter::WARN),
            ("info", LevelFilter::INFO),
            ("debug", LevelFilter::DEBUG),
            ("trace", LevelFilter::TRACE),
        ]);
        /// The format of a line: text for people, or one JSON object.
        format: LogFormat = "text", Choice(&[("text", LogFormat::Text), ("json", LogFormat::Json)]);
    }
}

/// The format of a line of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

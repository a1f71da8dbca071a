//! `[log]`: what is said, and how.

use tracing::level_filters::LevelFilter;

use super::{
    error::ConfigError,
    setting::{Kind, Setting},
    source::Settings,
    value::text,
};

const LEVEL: Setting = Setting {
    key: "log.level",
    default: "\"info\"",
    kind: Kind::Text,
    accepts: "off, error, warn, info, debug or trace",
    help: "How much is logged: off, error, warn, info, debug or trace.",
};
const FORMAT: Setting = Setting {
    key: "log.format",
    default: "\"text\"",
    kind: Kind::Text,
    accepts: "text or json",
    help: "How a line of the log looks: text or json.",
};

pub(super) const SETTINGS: &[Setting] = &[LEVEL, FORMAT];

/// What is logged, and how.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// The least important lines that are still logged.
    pub level: LevelFilter,
    /// How a line looks.
    pub format: LogFormat,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl LogConfig {
    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        Ok(Self {
            level: settings.read(&LEVEL, |raw| level(text(raw)?))?,
            format: settings.read(&FORMAT, |raw| format(text(raw)?))?,
        })
    }
}

fn level(name: &str) -> Option<LevelFilter> {
    // Its own parser also takes numbers and any case.
    let named = ["off", "error", "warn", "info", "debug", "trace"].contains(&name);
    name.parse().ok().filter(|_| named)
}

fn format(name: &str) -> Option<LogFormat> {
    match name {
        "text" => Some(LogFormat::Text),
        "json" => Some(LogFormat::Json),
        _ => None,
    }
}

//! The flags of the settings, and the settings that the file, the environment and the flags give.

use std::{env, path::Path};

use clap::{Arg, ArgAction, ArgMatches};

use crate::config::{self, AnySetting, ConfigError, Kind, Settings};

/// The configuration file, unless `--config` names another.
pub(super) const DEFAULT_FILE: &str = "jwt-server.toml";

/// The flag of a setting.
pub(super) fn flag(setting: AnySetting) -> Arg {
    let alias = match setting.key {
        "server.listen" => Some("listen"),
        "store.path" => Some("data"),
        _ => None,
    };
    let value = match setting.kind() {
        Kind::Text => "TEXT",
        Kind::Integer => "NUMBER",
        Kind::Boolean => "true|false",
        Kind::List => "A,B,…",
    };
    Arg::new(setting.key)
        .long(setting.key)
        .visible_aliases(alias)
        .value_name(value)
        .action(ArgAction::Set)
        .allow_hyphen_values(true)
        .global(true)
        .hide_short_help(true)
        .help_heading("Settings")
        .help(format!(
            "{} Accepted: {}. [default: {}]",
            setting.help,
            setting.accepts(),
            setting.default.trim_matches('"')
        ))
}

/// The settings that the file, the environment and the flags give.
pub(super) fn gather(matches: &ArgMatches) -> Result<Settings, ConfigError> {
    let mut settings = Settings::default();
    match matches.get_one::<String>("config") {
        Some(file) => settings.add_file_at(Path::new(file))?,
        None if Path::new(DEFAULT_FILE).exists() => settings.add_file_at(Path::new(DEFAULT_FILE))?,
        None => {}
    }
    settings.add_environment(env::vars_os())?;
    add_flags(&mut settings, matches)?;
    Ok(settings)
}

/// Adds the settings that are given as flags.
pub(super) fn add_flags(settings: &mut Settings, matches: &ArgMatches) -> Result<(), ConfigError> {
    for setting in config::settings() {
        if let Some(value) = matches.get_one::<String>(setting.key) {
            settings.add_flag(&setting, &format!("--{}", setting.key), value)?;
        }
    }
    Ok(())
}

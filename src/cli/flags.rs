//! The flags of the settings, and the settings that the file, the environment and the flags give.

use std::{env, fs, io, path::Path};

use clap::{Arg, ArgAction, ArgMatches};

use crate::config::{self, AnySetting, Config, ConfigError, Errors, Kind, Settings};

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
        .action(match setting.kind() {
            Kind::List => ArgAction::Append,
            _ => ArgAction::Set,
        })
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

/// The settings that the file, the environment and the flags give, and what they mean.
///
/// Fails with every error of theirs at once.
pub(super) fn read(matches: &ArgMatches) -> Result<(Settings, Config), ConfigError> {
    let mut settings = Settings::default();
    let mut errors = Errors::default();
    let named = matches.get_one::<String>("config").map(Path::new);
    let found = named.or_else(|| is_there(Path::new(DEFAULT_FILE)).then_some(Path::new(DEFAULT_FILE)));
    if let Some(file) = found {
        errors.keep(settings.add_file_at(file));
    }
    errors.keep(settings.add_environment(env::vars_os()));
    errors.keep(add_flags(&mut settings, matches));
    let were_added = errors.is_empty();
    let config = errors.keep(Config::read(&settings));
    if !were_added {
        errors.forget_conflicts();
    }
    match config {
        Some(config) if were_added => Ok((settings, config)),
        _ => Err(errors.into_error()),
    }
}

/// Whether the directory has an entry of that name, or can't tell. The entry may be a symbolic link that leads nowhere.
fn is_there(file: &Path) -> bool {
    !matches!(fs::symlink_metadata(file), Err(error) if error.kind() == io::ErrorKind::NotFound)
}

/// Adds the settings that are given as flags.
pub(super) fn add_flags(settings: &mut Settings, matches: &ArgMatches) -> Result<(), ConfigError> {
    let mut errors = Errors::default();
    for setting in config::settings() {
        if let Some(values) = matches.get_many::<String>(setting.key) {
            // Only the flag of a list can be repeated.
            let value = values.map(String::as_str).collect::<Vec<_>>().join(",");
            errors.keep(settings.add_flag(&setting, &format!("--{}", setting.key), &value));
        }
    }
    errors.result()
}

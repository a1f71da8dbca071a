//! The command line. Each command has a file; this one knows their names, the flags, and how a failure ends the process:
//! one line on standard error, and exit code 2 for a bad argument, 1 for any other failure.

mod check_config;
mod key_list;
mod key_rotate;
mod serve;
mod user_add;
mod write_config;

use std::{
    env,
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::config::{self, AnySetting, Config, ConfigError, Kind, Origin, Settings};

/// The configuration file, unless `--config` names another.
const DEFAULT_FILE: &str = "jwt-server.toml";

/// Runs the command that this process was started with.
#[must_use]
pub fn main() -> ExitCode {
    let matches = match command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::from(2)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    match run(&matches) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(io::stderr(), "jwt-server: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Open(#[from] crate::auth::StartError),
    #[error(transparent)]
    Rotation(#[from] crate::auth::RotationError),
    /// A bad argument.
    #[error("{0}")]
    Argument(String),
    #[error("{0}")]
    Other(String),
}

impl Failure {
    /// What failed, and the system's error.
    fn io(what: &str, error: &io::Error) -> Self {
        Self::Other(format!("{what}: {error}"))
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::Argument(_)
            | Self::Config(ConfigError::BadValue {
                origin: Origin::Flag(_),
                ..
            }) => 2,
            Self::Config(_) | Self::Open(_) | Self::Rotation(_) | Self::Other(_) => 1,
        }
    }
}

fn run(matches: &ArgMatches) -> Result<(), Failure> {
    if let Some(("write-config", arguments)) = matches.subcommand() {
        // Without reading the file: it may be the one to overwrite, and need not be valid.
        let mut flags = Settings::default();
        add_flags(&mut flags, matches)?;
        return write_config::run(arguments, &flags);
    }
    let settings = gather(matches)?;
    let config = Config::read(&settings)?;
    match matches.subcommand() {
        Some(("check-config", _)) => {
            say(&check_config::effective(&settings, &config));
            Ok(())
        }
        Some(("user", user)) => match user.subcommand() {
            Some(("add", add)) => user_add::run(add, &config),
            // clap requires one of its commands.
            _ => Ok(()),
        },
        Some(("key", key)) => match key.subcommand() {
            Some(("list", _)) => key_list::run(&config),
            Some(("rotate", rotate)) => key_rotate::run(rotate, &config),
            _ => Ok(()),
        },
        _ => serve::run(&config),
    }
}

fn command() -> Command {
    let config = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .global(true)
        .help(format!("Read settings from FILE instead of {DEFAULT_FILE}"));
    Command::new("jwt-server")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Sign-up, sign-in, refresh and log-out with JSON Web Tokens, on a database of its own")
        .after_help(
            "Without a command it serves. It needs no configuration: it listens on 127.0.0.1:8000 and keeps its data in ./data.\n\
             Settings come from jwt-server.toml, then the environment (JWT_SERVER__SECTION__KEY), then flags (--section.key);\n\
             `jwt-server --help` lists them, `jwt-server write-config` writes the file, `jwt-server check-config` prints those in force.",
        )
        .arg(config)
        .args(config::settings().map(flag))
        .subcommand(Command::new("serve").about("Serve until told to stop (the default)"))
        .subcommand(Command::new("check-config").about("Print the settings in force, and where each came from"))
        .subcommand(write_config::command())
        .subcommand(
            Command::new("user")
                .about("Manage users, while the server is not running")
                .subcommand_required(true)
                .arg_required_else_help(true)
                .subcommand(user_add::command()),
        )
        .subcommand(
            Command::new("key")
                .about("Manage the signing keys, while the server is not running")
                .subcommand_required(true)
                .arg_required_else_help(true)
                .subcommand(key_list::command())
                .subcommand(key_rotate::command()),
        )
}

/// The flag of a setting.
fn flag(setting: AnySetting) -> Arg {
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
fn gather(matches: &ArgMatches) -> Result<Settings, ConfigError> {
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

fn add_flags(settings: &mut Settings, matches: &ArgMatches) -> Result<(), ConfigError> {
    for setting in config::settings() {
        if let Some(value) = matches.get_one::<String>(setting.key) {
            settings.add_flag(&setting, &format!("--{}", setting.key), value)?;
        }
    }
    Ok(())
}

/// A runtime for a command.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::io("the runtime can't start", &error))
}

/// Prints `text` on standard output. A failure is ignored: the command has done its work.
fn say(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        command().debug_assert();
    }
}

//! The command line. Each command has a file; this one knows their names. A failure ends the process with one line on
//! standard error (bad settings: a line each), and exit code 2 for a bad argument, 1 for any other failure.

mod audit;
mod check_config;
mod connection;
mod control;
mod database;
mod description;
mod export;
mod failure;
mod flags;
mod import;
mod invite;
mod key;
mod lasting;
mod named;
mod output;
mod password;
mod process;
mod serve;
mod sign_ins;
mod status;
mod table;
mod threads;
mod throttle;
mod user;
mod write_config;

use std::{env, process::ExitCode};

use clap::{Arg, ArgMatches, Command, error::ErrorKind};

use self::{
    failure::Failure,
    flags::{DEFAULT_FILE, add_flags, flag},
    process::{complain, keep_files_private, say},
};
use crate::config::{self, Settings};

/// Runs the command that this process was started with.
#[must_use]
pub fn main() -> ExitCode {
    let matches = match command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            let _ = error.print();
            complain_of_no_such_command(&error);
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
            complain(&failure.to_string());
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(matches: &ArgMatches) -> Result<(), Failure> {
    match matches.subcommand() {
        Some(("completions", arguments)) => {
            description::completions(arguments, command());
            return Ok(());
        }
        Some(("manual", arguments)) => return description::manual(arguments, command()),
        _ => {}
    }
    if let Some(("write-config", arguments)) = matches.subcommand() {
        // Without reading the file: it may be the one to overwrite, and need not be valid.
        let mut flags = Settings::default();
        add_flags(&mut flags, matches)?;
        return write_config::run(arguments, &flags);
    }
    let (settings, config) = flags::read(matches)?;
    keep_files_private();
    let command = matches.subcommand();
    // The server has the warnings in its banner: a line here would be a foreign one in its log.
    if !matches!(command, None | Some(("serve", _))) {
        for warning in settings.ignored() {
            complain(&format!("warning: {warning}"));
        }
    }
    match command {
        Some(("check-config", _)) => {
            say(&check_config::effective(&settings, &config));
            Ok(())
        }
        Some(("user", arguments)) => user::run(arguments, &config),
        Some(("session", arguments)) => sign_ins::run(sign_ins::SESSIONS, arguments, &config),
        Some(("token", arguments)) => sign_ins::run(sign_ins::TOKENS, arguments, &config),
        Some(("audit", arguments)) => audit::run(arguments, &config),
        Some(("invite", arguments)) => invite::run(arguments, &config),
        Some(("status", arguments)) => status::run(arguments, &config),
        Some(("key", arguments)) => key::run(arguments, &config),
        Some(("throttle", arguments)) => throttle::run(arguments, &config),
        Some(("import", arguments)) => import::run(arguments, &config),
        Some(("export", arguments)) => export::run(arguments, &config),
        _ => serve::run(&config, settings.ignored()),
    }
}

/// If a command was mistyped, lists those that exist at its place.
fn complain_of_no_such_command(error: &clap::Error) {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return;
    }
    let mut command = command();
    let words = env::args_os().skip(1);
    for word in words.filter_map(|word| word.into_string().ok()) {
        if let Some(found) = command.find_subcommand(&word).cloned() {
            command = found;
        }
    }
    let commands: Vec<_> = command.get_subcommands().map(Command::get_name).collect();
    complain(&format!("the commands here are {}", commands.join(", ")));
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
            "Without a command it serves. It needs no configuration: it listens on localhost:8000 and keeps its data in ./data.\n\
             Settings come from jwt-server.toml, then the environment (JWT_SERVER__SECTION__KEY), then flags (--section.key);\n\
             `jwt-server --help` lists them, `jwt-server write-config` writes the file, `jwt-server check-config` prints those in force.",
        )
        .arg(config)
        .args(config::settings().map(flag))
        .subcommand(Command::new("serve").about("Serve until told to stop (the default)"))
        .subcommand(Command::new("check-config").about("Print the settings in force, and where each came from"))
        .subcommand(write_config::command())
        .subcommand(user::command())
        .subcommands(sign_ins::commands())
        .subcommand(audit::command())
        .subcommand(invite::command())
        .subcommand(status::command())
        .subcommand(import::command())
        .subcommand(export::command())
        .subcommand(key::command())
        .subcommand(throttle::command())
        .subcommands(description::commands())
        .mut_subcommands(|command| match command.get_name() {
            "serve" => command,
            _ => hide_settings(command),
        })
}

/// Every setting is a flag of each command too; only `serve` and the whole list them.
fn hide_settings(command: Command) -> Command {
    let has_more = command.get_after_help().is_some();
    let command = command.args(config::settings().map(|setting| flag(setting).hide(true)));
    if has_more {
        command
    } else {
        command
            .after_help("The settings of the server are flags here as well; `jwt-server --help` lists them.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        command().debug_assert();
    }
}

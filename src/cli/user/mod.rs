//! `user`: the commands about users.

mod add;
mod change;
mod list;
mod show;

use clap::{ArgMatches, Command};

use super::failure::Failure;
use crate::config::Config;

pub(super) fn command() -> Command {
    Command::new("user")
        .about("Manage users, also while the server runs")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(add::command())
        .subcommand(list::command())
        .subcommand(show::command())
        .subcommands(change::commands())
}

pub(super) fn run(arguments: &ArgMatches, config: &Config) -> Result<(), Failure> {
    match arguments.subcommand() {
        Some(("add", add)) => add::run(add, config),
        Some(("list", list)) => list::run(list, config),
        Some(("show", show)) => show::run(show, config),
        Some((name, change)) => change::run(name, change, config),
        // clap requires one of the commands.
        None => Ok(()),
    }
}

//! `write-config`: a configuration file with every setting, to start from.

use std::{fs::OpenOptions, io::Write as _, path::Path};

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::{failure::Failure, flags::DEFAULT_FILE, process::say};
use crate::config::{self, Config, Settings};

pub(super) fn command() -> Command {
    Command::new("write-config")
        .about("Write a configuration file with every setting, each at its default")
        .after_help(format!(
            "The file is {DEFAULT_FILE}, or what --config names. A setting that is given as a flag gets that value:\n\
             \n    jwt-server write-config --token.lifetime 15m"
        ))
        .arg(
            Arg::new("force")
                .long("force")
                .action(ArgAction::SetTrue)
                .help("Overwrite the file if it exists"),
        )
}

/// Writes the values that the `flags` set, and the defaults of the other settings.
pub(super) fn run(arguments: &ArgMatches, flags: &Settings) -> Result<(), Failure> {
    Config::read(flags)?;
    let name = arguments
        .get_one::<String>("config")
        .map_or(DEFAULT_FILE, String::as_str);
    let force = arguments.get_flag("force");
    write(Path::new(name), &config::file_of(flags), force)?;
    say(&format!("wrote {name}\n"));
    Ok(())
}

fn write(path: &Path, text: &str, force: bool) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    options.write(true);
    if force {
        options.create(true).truncate(true);
    } else {
        // In one step with the check: another process may create it meanwhile.
        options.create_new(true);
    }
    let written = options
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => Failure::Other(format!(
            "{} exists and was left as it is; overwrite it with --force, or name another file with --config",
            path.display()
        )),
        _ => Failure::io(&format!("{} can't be written", path.display()), &error),
    })
}

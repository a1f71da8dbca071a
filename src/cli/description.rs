//! `completions` and `manual`: what other programs make of the description of the command line.

use std::{fs, io, path::Path};

use clap::{Arg, ArgMatches, Command, value_parser};
use clap_complete::Shell;

use super::{failure::Failure, process::say_bytes};

const NAME: &str = "jwt-server";

pub(super) fn commands() -> [Command; 2] {
    let shell = Arg::new("shell")
        .value_name("SHELL")
        .required(true)
        .value_parser(value_parser!(Shell))
        .help("The shell for which it is");
    let directory = Arg::new("directory")
        .value_name("DIRECTORY")
        .help("Write a page for each command into this directory, such as /usr/local/share/man/man1");
    [
        Command::new("completions")
            .about("Print what a shell needs to complete the commands and flags")
            .after_help("For bash, for example:\n\n    jwt-server completions bash > ~/.local/share/bash-completion/completions/jwt-server")
            .arg(shell),
        Command::new("manual")
            .about("Print the manual page, or write the pages of all commands")
            .after_help("To read it:\n\n    jwt-server manual | man -l -")
            .arg(directory),
    ]
}

pub(super) fn completions(arguments: &ArgMatches, mut description: Command) {
    if let Some(shell) = arguments.get_one::<Shell>("shell").copied() {
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut description, NAME, &mut text);
        say_bytes(&text);
    }
}

pub(super) fn manual(arguments: &ArgMatches, description: Command) -> Result<(), Failure> {
    let Some(directory) = arguments.get_one::<String>("directory") else {
        let mut text = Vec::new();
        let rendered = clap_mangen::Man::new(description).render(&mut text);
        rendered.map_err(|error| Failure::io("the manual page can't be made", &error))?;
        say_bytes(&text);
        return Ok(());
    };
    write(Path::new(directory), description).map_err(|error| {
        Failure::io(
            &format!("the manual pages can't be written to {directory}"),
            &error,
        )
    })
}

fn write(directory: &Path, description: Command) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    clap_mangen::generate_to(description, directory)
}

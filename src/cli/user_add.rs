//! `user add`: a user from the command line. The way to the first ADMIN.

use std::io::{self, BufRead, IsTerminal};

use clap::{Arg, ArgAction, ArgMatches, Command};
use secrecy::{ExposeSecret, SecretString};

use super::{Failure, runtime, say};
use crate::{
    auth::{Auth, AuthError},
    config::Config,
    domain::{Password, Role, Roles, Username},
};

pub(super) fn command() -> Command {
    Command::new("add")
        .about("Add a user")
        .after_help(
            "The password is asked for twice, or read as one line from standard input if that is not a terminal:\n\
             \n    jwt-server user add ada --role ADMIN\n    pass show ada | jwt-server user add ada --role CLIENT --role ADMIN",
        )
        .arg(Arg::new("name").value_name("NAME").required(true).help("What they sign in with"))
        .arg(
            Arg::new("role")
                .long("role")
                .value_name("ROLE")
                .action(ArgAction::Append)
                .help("A role they have; may be given several times [default: those of signup.roles]"),
        )
}

pub(super) fn run(arguments: &ArgMatches, config: &Config) -> Result<(), Failure> {
    let name = arguments.get_one::<String>("name").map_or("", String::as_str);
    let username = Username::parse(name).map_err(|error| refused(&error))?;
    let roles = match arguments.get_many::<String>("role") {
        Some(names) => names.map(|name| Role::parse(name)).collect::<Result<Roles, _>>(),
        None => Ok(config.signup.roles.clone()),
    };
    let roles = roles.map_err(|error| refused(&error))?;
    let password = Password::parse(read_password(&username)?).map_err(|error| refused(&error))?;
    let user = runtime()?.block_on(async {
        let auth = Auth::open(config).await?;
        let added = auth.add_user(username, password, roles).await;
        added.map_err(|error| match error {
            AuthError::UsernameTaken => Failure::Other(format!("there is a user {name} already")),
            other => refused(&other),
        })
    })?;
    say(&format!(
        "added user {} with roles [{}]; id {}\n",
        user.username, user.roles, user.id
    ));
    Ok(())
}

fn read_password(username: &Username) -> Result<SecretString, Failure> {
    if io::stdin().is_terminal() {
        let ask = |prompt: &str| {
            let answer = rpassword::prompt_password(prompt);
            answer
                .map(SecretString::from)
                .map_err(|error| Failure::io("the password can't be read", &error))
        };
        let password = ask(&format!("Password for {username}: "))?;
        if ask("Once more: ")?.expose_secret() != password.expose_secret() {
            return Err(Failure::Other(
                "the two passwords are not the same; no user was added".into(),
            ));
        }
        return Ok(password);
    }
    let mut line = String::new();
    io::stdin()
        .lock()
        .read_line(&mut line)
        .map_err(|error| Failure::io("the password can't be read from standard input", &error))?;
    let line = line.strip_suffix('\n').unwrap_or(&line);
    Ok(line.strip_suffix('\r').unwrap_or(line).into())
}

fn refused(why: &impl ToString) -> Failure {
    Failure::Other(format!("no user was added. {}", why.to_string()))
}

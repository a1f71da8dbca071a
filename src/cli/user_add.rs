//! `user add`: adds a user from the command line, such as the first one with the role ADMIN.

use std::io::{self, BufRead, IsTerminal};

use clap::{Arg, ArgAction, ArgMatches, Command};
use secrecy::{ExposeSecret, SecretString};

use super::{
    failure::Failure,
    process::{runtime, say},
    threads,
};
use crate::{
    auth::{Accounts, AuthError},
    config::Config,
    domain::{Password, RequestContext, Role, Roles, Username},
    event::Actor,
    telemetry,
};

pub(super) fn command() -> Command {
    Command::new("add")
        .about("Add a user")
        .after_help(
            "The command asks for the password twice. If standard input is not a terminal, it reads one line from there:\n\
             \n    jwt-server user add ada --role ADMIN\n    pass show ada | jwt-server user add ada --role CLIENT --role ADMIN",
        )
        .arg(Arg::new("name").value_name("NAME").required(true).help("The username"))
        .arg(
            Arg::new("role")
                .long("role")
                .value_name("ROLE")
                .action(ArgAction::Append)
                .help("A role of the user; may be given several times [default: the roles of signup.roles]"),
        )
}

pub(super) fn run(arguments: &ArgMatches, config: &Config) -> Result<(), Failure> {
    threads::for_command(config)?;
    let _log = telemetry::install(&config.log);
    let name = arguments.get_one::<String>("name").map_or("", String::as_str);
    let username = Username::parse(name).map_err(|error| Failure::Argument(refusal(&error)))?;
    let role = |name: &String| {
        Role::parse(name)
            .map_err(|error| Failure::Argument(refusal(&format!("{name:?} is no role. {error}"))))
    };
    let roles = match arguments.get_many::<String>("role") {
        Some(names) => names.map(role).collect::<Result<Roles, _>>()?,
        None => config.signup.roles.clone(),
    };
    let password =
        Password::parse(read_password(&username)?).map_err(|error| Failure::Other(refusal(&error)))?;
    let user = runtime()?.block_on(async {
        let accounts = Accounts::open(config, telemetry::EventLog::listeners()).await?;
        let (actor, context) = (Actor::Operator { uid: None }, RequestContext::default());
        let added = accounts.add(username, password, roles, actor, &context).await;
        added.map_err(|error| match error {
            AuthError::UsernameTaken => {
                Failure::Other(format!("no user was added: there is a user {name} already"))
            }
            other => Failure::Other(refusal(&other)),
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
    if line.is_empty() {
        return Err(Failure::Other(
            "no user was added: there is no password on standard input".into(),
        ));
    }
    let line = line.strip_suffix('\n').unwrap_or(&line);
    Ok(line.strip_suffix('\r').unwrap_or(line).into())
}

fn refusal(why: &impl ToString) -> String {
    format!("no user was added. {}", why.to_string())
}

//! `user add`: adds a user from the command line, such as the first one with the role ADMIN.

use std::io::{self, BufRead, IsTerminal, Read};

use clap::{Arg, ArgAction, ArgMatches, Command};
use secrecy::{ExposeSecret, SecretString};

use super::{
    database,
    failure::Failure,
    password_line,
    process::{runtime, say, start_log},
    threads,
};
use crate::{
    auth::{Accounts, AuthError},
    config::Config,
    domain::{Password, RequestContext, Role, Roles, Username},
    event::Actor,
    telemetry,
};

/// In bytes: longer than any password.
const LONGEST_LINE: u64 = 4096;

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
        .arg(
            Arg::new("create")
                .long("create")
                .action(ArgAction::SetTrue)
                .help("Make the database if there is none"),
        )
}

pub(super) fn run(arguments: &ArgMatches, config: &Config) -> Result<(), Failure> {
    threads::for_command(config)?;
    let _log = start_log(config)?;
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
    if !arguments.get_flag("create") {
        let advice = ", or make it with --create; no user was added";
        database::must_exist(config, advice)?;
    }
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
        "added user {} with roles [{}] to the database {}; id {}\n",
        user.username,
        user.roles.lasting(),
        database::name(config),
        user.id
    ));
    Ok(())
}

fn read_password(username: &Username) -> Result<SecretString, Failure> {
    if io::stdin().is_terminal() {
        let ask = |prompt: &str| {
            let answer = rpassword::prompt_password(prompt).map(SecretString::from);
            let answer = answer.map_err(|error| Failure::io("the password can't be read", &error))?;
            let line = answer.expose_secret().as_bytes();
            // What a terminal gives has no end of line, and may be empty.
            match line {
                [] => Ok(answer),
                line => password_line::read(line).map_err(|why| Failure::Other(refusal(&why))),
            }
        };
        let password = ask(&format!("Password for {username}: "))?;
        if ask("Once more: ")?.expose_secret() != password.expose_secret() {
            return Err(Failure::Other(
                "the two passwords are not the same; no user was added".into(),
            ));
        }
        return Ok(password);
    }
    let mut line = Vec::new();
    io::stdin()
        .lock()
        .take(LONGEST_LINE)
        .read_until(b'\n', &mut line)
        .map_err(|error| Failure::io("the password can't be read from standard input", &error))?;
    password_line::read(&line).map_err(|why| Failure::Other(refusal(&why)))
}

fn refusal(why: &impl ToString) -> String {
    format!("no user was added. {}", why.to_string())
}

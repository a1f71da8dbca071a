//! `user add`: adds a user, such as the first one with the role ADMIN.

use clap::{Arg, ArgAction, ArgMatches, Command};
use hyper::Method;
use serde_json::json;

use crate::{
    cli::{
        connection::Connection,
        database,
        failure::Failure,
        password,
        process::{runtime, say},
    },
    config::Config,
    domain::{Role, Roles, Username},
};

const UNDONE: &str = "no user was added";

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
    let create = arguments.get_flag("create");
    runtime()?.block_on(async {
        let advice = if create {
            ""
        } else {
            ", or make it with --create; no user was added"
        };
        // Before the password is asked for: a person types it in vain otherwise.
        let connection = Connection::open(config, create, advice).await?;
        let password = password::read_new(&username, UNDONE)?;
        let new = json!({
            "username": username.as_str(),
            "password": password.expose(),
            "roles": roles.iter().map(Role::as_str).collect::<Vec<_>>(),
        });
        let added = connection.ask(Method::POST, "/admin/users", Some(new)).await;
        let added = added.map_err(|refused| match refused.code.as_str() {
            "username_taken" => Failure::Other(format!("{UNDONE}: there is a user {username} already")),
            _ => refused.failure(UNDONE),
        })?;
        say(&format!(
            "added user {username} with roles [{roles}] to the database {}; id {}\n",
            database::name(config),
            added["id"].as_str().unwrap_or_default()
        ));
        Ok(())
    })
}

fn refusal(why: &impl ToString) -> String {
    format!("{UNDONE}. {}", why.to_string())
}

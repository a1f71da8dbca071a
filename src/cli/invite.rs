//! `invite`: makes, lists and revokes invitations.

use clap::{Arg, ArgAction, ArgMatches, Command};
use hyper::Method;
use serde_json::{Value, json};

use super::{
    connection::Connection,
    failure::Failure,
    lasting, output,
    process::{runtime, say},
    table::table,
};
use crate::{
    config::Config,
    domain::{InvitationId, PageLimit, Role, Roles, Username},
};

const UNDONE: &str = "no invitation was made";

pub(super) fn command() -> Command {
    let role = Arg::new("role")
        .long("role")
        .value_name("ROLE")
        .action(ArgAction::Append)
        .help("A role of the new user; may be given several times [default: the roles of signup.roles]");
    let username = Arg::new("username")
        .long("username")
        .value_name("NAME")
        .help("The only username that it is for");
    let id = Arg::new("id")
        .value_name("ID")
        .required(true)
        .help("The id, as the list has it");
    Command::new("invite")
        .about("Manage invitations: one-time codes with which people sign up, also while sign-up is closed")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("make")
                .about("Make an invitation, and show it once")
                .arg(role)
                .arg(username)
                .arg(lasting::argument("7d", "at most 365d"))
                .arg(output::json()),
        )
        .subcommand(
            Command::new("list")
                .about("List the invitations that are still open")
                .arg(output::json()),
        )
        .subcommand(Command::new("revoke").about("Revoke an invitation").arg(id))
}

pub(super) fn run(arguments: &ArgMatches, config: &Config) -> Result<(), Failure> {
    let Some((name, arguments)) = arguments.subcommand() else {
        // clap requires one of the commands.
        return Ok(());
    };
    runtime()?.block_on(async {
        match name {
            "make" => make(arguments, config).await,
            "list" => list(arguments, config).await,
            _ => revoke(arguments, config).await,
        }
    })
}

async fn make(arguments: &ArgMatches, config: &Config) -> Result<(), Failure> {
    let wrong = |text: &str, what: &str, why: &dyn std::fmt::Display| {
        Failure::Argument(format!("{} is no {what}. {why}", text.escape_debug()))
    };
    let role = |name: &String| Role::parse(name).map_err(|why| wrong(name, "role", &why));
    let roles = match arguments.get_many::<String>("role") {
        Some(names) => names.map(role).collect::<Result<Roles, _>>()?,
        None => config.signup.roles.clone(),
    };
    let roles: Vec<_> = roles.iter().map(Role::as_str).collect();
    let mut wanted = json!({ "roles": roles, "expires_in": lasting::seconds(arguments)? });
    if let Some(name) = arguments.get_one::<String>("username") {
        let name = Username::parse(name).map_err(|why| wrong(name, "username", &why))?;
        wanted["username"] = name.as_str().into();
    }
    let connection = Connection::open(config, false, "").await?;
    let made = connection
        .ask(Method::POST, "/admin/invitations", Some(wanted))
        .await;
    let made = made.map_err(|refusal| refusal.failure(UNDONE))?;
    if output::is_json(arguments) {
        say(&output::lines(std::slice::from_ref(&made)));
        return Ok(());
    }
    let whom = made["username"].as_str();
    say(&format!(
        "invitation for {} with the roles [{}], shown only now; it works once, until {} UTC:\n{}\n",
        whom.unwrap_or("any username"),
        output::texts(&made["roles"]),
        output::minute(&made["expires_at"]),
        output::text(&made["invitation"])
    ));
    Ok(())
}

async fn list(arguments: &ArgMatches, config: &Config) -> Result<(), Failure> {
    let connection = Connection::open(config, false, "").await?;
    let mut all: Vec<Value> = Vec::new();
    let mut path = format!("/admin/invitations?limit={}", PageLimit::MAX.get());
    loop {
        let page = connection.ask(Method::GET, &path, None).await;
        let mut page = page.map_err(|refusal| refusal.failure("no invitation was listed"))?;
        all.extend(
            page["invitations"]
                .as_array_mut()
                .into_iter()
                .flat_map(std::mem::take),
        );
        let Some(next) = page["next"].as_str() else {
            break;
        };
        path = format!("/admin/invitations?limit={}&after={next}", PageLimit::MAX.get());
    }
    if output::is_json(arguments) {
        say(&output::lines(&all));
    } else if all.is_empty() {
        say("there is no open invitation\n");
    } else {
        let rows = all.iter().map(|invitation| {
            [
                output::text(&invitation["id"]),
                output::texts(&invitation["roles"]),
                invitation["username"].as_str().unwrap_or("any").to_owned(),
                output::minute(&invitation["expires_at"]),
            ]
        });
        say(&table(["ID", "ROLES", "FOR", "EXPIRES (UTC)"], rows));
    }
    Ok(())
}

async fn revoke(arguments: &ArgMatches, config: &Config) -> Result<(), Failure> {
    let text = arguments.get_one::<String>("id").map_or("", String::as_str);
    let id = InvitationId::parse(text)
        .map_err(|_| Failure::Argument(format!("{} is no id of an invitation", text.escape_debug())))?;
    let connection = Connection::open(config, false, "").await?;
    let path = format!("/admin/invitations/{id}");
    match connection.ask(Method::DELETE, &path, None).await {
        Ok(_) => {
            say(&format!("revoked the invitation {id}\n"));
            Ok(())
        }
        Err(refusal) if refusal.code == "not_found" => Err(Failure::Other(format!(
            "there is no invitation {id}; nothing was revoked"
        ))),
        Err(refusal) => Err(refusal.failure("nothing was revoked")),
    }
}

//! The commands that change a user: `role`, `passwd`, `reset`, `attribute`, `display-name`, `disable`, `enable` and `delete`.

use clap::{Arg, ArgAction, ArgMatches, Command};
use hyper::Method;
use serde_json::{Value, json};

use crate::{
    cli::{
        connection::Connection,
        failure::Failure,
        lasting,
        named::{self, Named},
        output, password,
        process::{runtime, say},
    },
    config::Config,
    domain::{Attributes, Role, Username},
};

const UNDONE: &str = "nothing was changed";

pub(super) fn commands() -> [Command; 8] {
    let role = |command: Command| {
        let role = Arg::new("role")
            .value_name("ROLE")
            .required(true)
            .help("The role, such as ADMIN");
        command.arg(named::argument()).arg(role)
    };
    let attribute = |command: Command| {
        let name = Arg::new("name")
            .value_name("NAME")
            .required(true)
            .help("The name of the attribute, such as tenant");
        command.arg(named::argument()).arg(name)
    };
    let value = Arg::new("value")
        .value_name("VALUE")
        .required(true)
        .allow_hyphen_values(true)
        .help("A number, true, false or a list of texts, as JSON; anything else is a text");
    let until = Arg::new("until")
        .long("until")
        .value_name("MOMENT")
        .help("When the role ends: a day such as 2027-01-01, or a moment such as 2027-01-01T12:00:00Z");
    let keep = Arg::new("keep-api-tokens")
        .long("keep-api-tokens")
        .action(ArgAction::SetTrue)
        .help("Leave the user's API tokens as they are");
    [
        Command::new("role")
            .about("Give a user a role, or take it away")
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommand(role(Command::new("add").about("Give a user a role")).arg(until))
            .subcommand(role(Command::new("remove").about("Take a role away from a user"))),
        Command::new("passwd")
            .about("Set a user's password, and end their sessions and API tokens")
            .arg(named::argument())
            .arg(keep)
            .arg(
                Arg::new("must-change")
                    .long("must-change")
                    .action(ArgAction::SetTrue)
                    .help("Make it a temporary password: the user has to choose another one at the next sign-in"),
            ),
        Command::new("reset")
            .about("Make a one-time token with which a user who has forgotten their password chooses another one")
            .arg(named::argument())
            .arg(lasting::argument("24h", "at most 24h"))
            .arg(output::json()),
        Command::new("attribute")
            .about("Give a user an attribute, or take it away")
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommand(attribute(Command::new("set").about("Give a user an attribute")).arg(value))
            .subcommand(attribute(
                Command::new("remove").about("Take an attribute away from a user"),
            )),
        Command::new("display-name")
            .about("Set the name that is shown for a user")
            .arg(named::argument())
            .arg(
                Arg::new("name")
                    .value_name("NAME")
                    .help("The name, such as \"Ada Lovelace\"; without one, none is shown"),
            ),
        Command::new("disable")
            .about(
                "Keep a user out: end their sessions, and refuse every sign-in and every API token of theirs",
            )
            .arg(named::argument()),
        Command::new("enable")
            .about("Let a disabled user in again")
            .arg(named::argument()),
        Command::new("delete")
            .about("Delete a user with their sessions and API tokens; the name becomes free")
            .arg(named::argument()),
    ]
}

pub(super) fn run(command: &str, arguments: &ArgMatches, config: &Config) -> Result<(), Failure> {
    runtime()?.block_on(async {
        let connection = Connection::open(config, false, "").await?;
        match (command, arguments.subcommand()) {
            ("role", Some((name, arguments))) => role(&connection, name == "add", arguments).await,
            ("attribute", Some((name, arguments))) => attribute(&connection, name == "set", arguments).await,
            ("display-name", _) => display_name(&connection, arguments).await,
            ("passwd", _) => passwd(&connection, arguments).await,
            ("reset", _) => reset(&connection, arguments).await,
            ("disable", _) => set_disabled(&connection, arguments, true).await,
            ("enable", _) => set_disabled(&connection, arguments, false).await,
            ("delete", _) => delete(&connection, arguments).await,
            // clap knows no other.
            _ => Ok(()),
        }
    })
}

async fn role(connection: &Connection, gives: bool, arguments: &ArgMatches) -> Result<(), Failure> {
    let role = arguments.get_one::<String>("role").map_or("", String::as_str);
    let role = Role::parse(role)
        .map_err(|error| Failure::Argument(format!("{} is no role. {error}", role.escape_debug())))?;
    let user = named::find(connection, arguments).await?;
    let path = format!("/admin/users/{}/roles", user.id);
    let changed = if gives {
        let mut body = json!({ "role": role.as_str() });
        if let Some(until) = arguments.get_one::<String>("until") {
            body["until"] = until.as_str().into();
        }
        connection.ask(Method::POST, &path, Some(body)).await
    } else {
        connection
            .ask(Method::DELETE, &format!("{path}/{role}"), None)
            .await
    };
    let changed = changed.map_err(|refusal| match refusal.code.as_str() {
        "not_found" => Failure::Other(format!("{UNDONE}. {} has not got the role {role}", user.username)),
        _ => refusal.failure(UNDONE),
    })?;
    say(&format!(
        "{} has the roles [{}] now\n",
        user.username,
        output::roles(&changed)
    ));
    Ok(())
}

async fn attribute(connection: &Connection, gives: bool, arguments: &ArgMatches) -> Result<(), Failure> {
    let name = arguments.get_one::<String>("name").map_or("", String::as_str);
    Attributes::check_name(name)
        .map_err(|error| Failure::Argument(format!("{} is no attribute. {error}", name.escape_debug())))?;
    let user = named::find(connection, arguments).await?;
    let path = format!("/admin/users/{}/attributes/{name}", user.id);
    let changed = if gives {
        let text = arguments.get_one::<String>("value").map_or("", String::as_str);
        let body = json!({ "value": value(text) });
        connection.ask(Method::PUT, &path, Some(body)).await
    } else {
        connection.ask(Method::DELETE, &path, None).await
    };
    let changed = changed.map_err(|refusal| match refusal.code.as_str() {
        "not_found" => Failure::Other(format!("{UNDONE}. {} has no attribute {name}", user.username)),
        _ => refusal.failure(UNDONE),
    })?;
    say(&format!(
        "{} has the attributes [{}] now\n",
        user.username,
        output::attributes(&changed)
    ));
    Ok(())
}

/// The value that a text stands for: JSON if it is a number, a boolean or a list, and else the text itself.
fn value(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(value @ (Value::Number(_) | Value::Bool(_) | Value::Array(_))) => value,
        _ => text.into(),
    }
}

async fn display_name(connection: &Connection, arguments: &ArgMatches) -> Result<(), Failure> {
    let user = named::find(connection, arguments).await?;
    let name = arguments.get_one::<String>("name");
    let changed = change(connection, &user, &json!({ "display_name": name })).await?;
    say(&match changed["display_name"].as_str() {
        Some(name) => format!("{} is shown as {name}\n", user.username),
        None => format!("{} has no display name now\n", user.username),
    });
    Ok(())
}

async fn set_disabled(
    connection: &Connection,
    arguments: &ArgMatches,
    disabled: bool,
) -> Result<(), Failure> {
    let user = named::find(connection, arguments).await?;
    change(connection, &user, &json!({ "disabled": disabled })).await?;
    say(&if disabled {
        format!(
            "{} is disabled; their sessions have ended, and none of their API tokens is accepted\n",
            user.username
        )
    } else {
        format!("{} is enabled\n", user.username)
    });
    Ok(())
}

async fn change(connection: &Connection, user: &Named, change: &Value) -> Result<Value, Failure> {
    let path = format!("/admin/users/{}", user.id);
    let changed = connection.ask(Method::PATCH, &path, Some(change.clone())).await;
    changed.map_err(|refusal| refusal.failure(UNDONE))
}

async fn passwd(connection: &Connection, arguments: &ArgMatches) -> Result<(), Failure> {
    let user = named::find(connection, arguments).await?;
    let username = Username::parse(&user.username).map_err(|error| Failure::Other(error.to_string()))?;
    let password = password::read_new(&username, UNDONE)?;
    let keeps = arguments.get_flag("keep-api-tokens");
    let must_change = arguments.get_flag("must-change");
    let body = json!({
        "password": password.expose(),
        "keep_api_tokens": keeps,
        "must_change": must_change,
    });
    let path = format!("/admin/users/{}/password", user.id);
    let set = connection.ask(Method::POST, &path, Some(body)).await;
    set.map_err(|refusal| refusal.failure(UNDONE))?;
    let ended = if keeps {
        "sessions"
    } else {
        "sessions and API tokens"
    };
    let kind = if must_change {
        "temporary password, to be changed at the next sign-in"
    } else {
        "new password"
    };
    say(&format!("{username} has a {kind}; their {ended} have ended\n"));
    Ok(())
}

async fn reset(connection: &Connection, arguments: &ArgMatches) -> Result<(), Failure> {
    let expires_in = lasting::seconds(arguments)?;
    let user = named::find(connection, arguments).await?;
    let path = format!("/admin/users/{}/reset", user.id);
    let made = connection
        .ask(Method::POST, &path, Some(json!({ "expires_in": expires_in })))
        .await;
    let made = made.map_err(|refusal| refusal.failure("no reset token was made"))?;
    if output::is_json(arguments) {
        say(&output::lines(std::slice::from_ref(&made)));
        return Ok(());
    }
    say(&format!(
        "reset token for {}, shown only now; it works once, until {} UTC:\n{}\n",
        user.username,
        output::minute(&made["expires_at"]),
        output::text(&made["token"])
    ));
    Ok(())
}

async fn delete(connection: &Connection, arguments: &ArgMatches) -> Result<(), Failure> {
    let user = named::find(connection, arguments).await?;
    let path = format!("/admin/users/{}", user.id);
    let deleted = connection.ask(Method::DELETE, &path, None).await;
    deleted.map_err(|refusal| refusal.failure(UNDONE))?;
    say(&format!(
        "deleted user {}, whose id was {}\n",
        user.username, user.id
    ));
    Ok(())
}

//! `session` and `token`: where a user is signed in, and what acts for them.

use clap::{Arg, ArgAction, ArgMatches, Command};
use hyper::Method;
use serde_json::Value;

use super::{
    connection::Connection,
    failure::Failure,
    named::{self, Named},
    output,
    process::{runtime, say},
    table::table,
};
use crate::{
    config::Config,
    domain::{ApiTokenId, SessionId},
};

/// Sessions or API tokens.
#[derive(Clone, Copy)]
pub(super) struct Kind {
    /// One of them in a sentence.
    name: &'static str,
    /// The last segment of their route, and the name of the list in its answer.
    route: &'static str,
}

pub(super) const SESSIONS: Kind = Kind {
    name: "session",
    route: "sessions",
};
pub(super) const TOKENS: Kind = Kind {
    name: "token",
    route: "tokens",
};

impl Kind {
    /// The id that `text` is, as it stands in a path.
    fn id(self, text: &str) -> Result<String, Failure> {
        let id = if self.route == SESSIONS.route {
            SessionId::parse(text).map(|id| id.to_string())
        } else {
            ApiTokenId::parse(text).map(|id| id.to_string())
        };
        id.map_err(|_| Failure::Argument(format!("{text:?} is no id of a {}; the list has them", self.name)))
    }
}

pub(super) fn commands() -> [Command; 2] {
    let session = Command::new("session").about("Manage the sessions of a user");
    let token = Command::new("token").about("Manage the API tokens of a user");
    [
        session
            .subcommand(list_of("List where a user is signed in"))
            .subcommand(end_of(
                Command::new("end").about("End one session of a user, or all"),
            )),
        token
            .subcommand(list_of("List the API tokens of a user"))
            .subcommand(end_of(
                Command::new("revoke").about("Revoke one API token of a user, or all"),
            )),
    ]
    .map(|command| command.subcommand_required(true).arg_required_else_help(true))
}

fn list_of(about: &'static str) -> Command {
    let list = Command::new("list").about(about);
    list.arg(named::argument()).arg(output::json())
}

fn end_of(command: Command) -> Command {
    let one = Arg::new("id").value_name("ID").help("The id, as the list has it");
    let all = Arg::new("all")
        .long("all")
        .action(ArgAction::SetTrue)
        .conflicts_with("id")
        .required_unless_present("id")
        .help("All of them");
    command.arg(named::argument()).arg(one).arg(all)
}

pub(super) fn run(kind: Kind, arguments: &ArgMatches, config: &Config) -> Result<(), Failure> {
    let Some((name, arguments)) = arguments.subcommand() else {
        // clap requires one of the commands.
        return Ok(());
    };
    let id = match arguments.try_get_one::<String>("id") {
        Ok(Some(id)) => Some(kind.id(id)?),
        // The list has no such argument.
        Ok(None) | Err(_) => None,
    };
    runtime()?.block_on(async {
        let connection = Connection::open(config, false, "").await?;
        let user = named::find(&connection, arguments).await?;
        if name == "list" {
            list(kind, &connection, &user, output::is_json(arguments)).await
        } else {
            end(kind, &connection, &user, id).await
        }
    })
}

async fn list(kind: Kind, connection: &Connection, user: &Named, as_json: bool) -> Result<(), Failure> {
    let path = format!("/admin/users/{}/{}", user.id, kind.route);
    let answer = connection.ask(Method::GET, &path, None).await;
    let answer = answer.map_err(|refusal| refusal.failure("nothing was listed"))?;
    let all = answer[kind.route].as_array().map_or(&[][..], Vec::as_slice);
    if as_json {
        say(&output::lines(all));
    } else if all.is_empty() {
        say(&format!("{} has no {}\n", user.username, kind.name));
    } else if kind.route == SESSIONS.route {
        say(&sessions(all));
    } else {
        say(&tokens(all));
    }
    Ok(())
}

fn sessions(all: &[Value]) -> String {
    let rows = all.iter().map(|session| {
        let (device, address) = (&session["device"], &session["address"]);
        [
            output::text(&session["id"]),
            output::minute(&session["last_used_at"]),
            format!("{} {}", output::text(device), output::text(address)),
        ]
    });
    table(["ID", "LAST USED (UTC)", "FROM"], rows)
}

fn tokens(all: &[Value]) -> String {
    let rows = all.iter().map(|token| {
        [
            output::text(&token["id"]),
            output::text(&token["name"]),
            output::texts(&token["roles"]),
            output::day(&token["expires_at"]),
        ]
    });
    table(["ID", "NAME", "ROLES", "EXPIRES"], rows)
}

async fn end(kind: Kind, connection: &Connection, user: &Named, id: Option<String>) -> Result<(), Failure> {
    let all = format!("/admin/users/{}/{}", user.id, kind.route);
    let path = match &id {
        Some(id) => format!("{all}/{id}"),
        None if kind.route == SESSIONS.route => format!("{all}?keep_api_tokens=true"),
        None => all,
    };
    let undone = "nothing has ended";
    match connection.ask(Method::DELETE, &path, None).await {
        Ok(Value::Null) => say(&format!("ended one {} of {}\n", kind.name, user.username)),
        Ok(answer) => say(&format!(
            "ended {} of {}\n",
            output::counted(answer["ended"].as_u64().unwrap_or_default(), kind.name),
            user.username
        )),
        Err(refusal) if refusal.code == "not_found" && id.is_some() => {
            return Err(Failure::Other(format!(
                "{} has no {} with that id; {undone}",
                user.username, kind.name
            )));
        }
        Err(refusal) => return Err(refusal.failure(undone)),
    }
    Ok(())
}

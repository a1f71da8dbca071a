//! `session` and `token`: where a user is signed in, and what acts for them.

use clap::{Arg, ArgAction, ArgMatches, Command};
use hyper::Method;
use serde_json::Value;

use super::{
    door::Door,
    failure::Failure,
    named::{self, Named},
    output,
    process::{runtime, say},
    table::table,
};
use crate::config::Config;

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
    runtime()?.block_on(async {
        let door = Door::open(config, false, "").await?;
        let user = named::find(&door, arguments).await?;
        if name == "list" {
            list(kind, &door, &user, output::is_json(arguments)).await
        } else {
            end(kind, &door, &user, arguments.get_one::<String>("id")).await
        }
    })
}

async fn list(kind: Kind, door: &Door, user: &Named, as_json: bool) -> Result<(), Failure> {
    let path = format!("/admin/users/{}/{}", user.id, kind.route);
    let answer = door.ask(Method::GET, &path, None).await;
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

async fn end(kind: Kind, door: &Door, user: &Named, id: Option<&String>) -> Result<(), Failure> {
    let all = format!("/admin/users/{}/{}", user.id, kind.route);
    let (path, none) = match id {
        // The route would take a slash for another segment.
        Some(id) if id.contains('/') => return Err(Failure::Argument(format!("{id:?} is no id"))),
        Some(id) => (format!("{all}/{id}"), "that id"),
        None => (all, ""),
    };
    let path = match (id, kind.route == SESSIONS.route) {
        (None, true) => format!("{path}?keep_api_tokens=true"),
        _ => path,
    };
    match door.ask(Method::DELETE, &path, None).await {
        Ok(Value::Null) => say(&format!("ended one {} of {}\n", kind.name, user.username)),
        Ok(answer) => say(&format!(
            "ended {} {}s of {}\n",
            answer["ended"], kind.name, user.username
        )),
        Err(refusal) if refusal.code == "not_found" => {
            return Err(Failure::Other(format!(
                "{} has no {} with {none}; nothing has ended",
                user.username, kind.name
            )));
        }
        Err(refusal) => return Err(refusal.failure("nothing has ended")),
    }
    Ok(())
}

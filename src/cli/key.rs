//! `key`: lists the signing keys, and nothing secret of them, and replaces the one that signs.

use std::fmt::Write as _;

use clap::{Arg, ArgAction, ArgMatches, Command};
use hyper::Method;
use serde_json::{Value, json};

use super::{
    connection::Connection,
    failure::Failure,
    output,
    process::{runtime, say},
};
use crate::config::Config;

const ADVICE: &str = "; the server makes it at its first start";

pub(super) fn command() -> Command {
    Command::new("key")
        .about("Manage the keys that sign tokens, also while the server runs")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("list")
                .about("List the keys that sign and verify tokens")
                .arg(output::json()),
        )
        .subcommand(rotate_command())
}

fn rotate_command() -> Command {
    let flag = |name: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue);
    Command::new("rotate")
        .about("Make another key, which takes over from the one that signs")
        .after_help(
            "The new key is published for token.publish_ahead before it signs. The old one verifies until its last token has\n\
             expired. No user is signed out.\n\
             \n    jwt-server key rotate            # the ordinary way\n    jwt-server key rotate --revoke   # the key was stolen: every session ends",
        )
        .arg(flag("now").help("Let it sign at once: other services meet tokens of a key that they have not fetched yet"))
        .arg(
            flag("revoke")
                .conflicts_with("now")
                .help("Let it sign at once, drop all other keys at once, and end every session"),
        )
        .arg(
            flag("api-tokens")
                .requires("revoke")
                // Without this, `--now` counts as a reason why `--revoke` is not there.
                .conflicts_with("now")
                .help("With --revoke: end every API token of every user as well"),
        )
        .arg(output::json())
}

pub(super) fn run(arguments: &ArgMatches, config: &Config) -> Result<(), Failure> {
    runtime()?.block_on(async {
        let connection = Connection::open(config, false, ADVICE).await?;
        match arguments.subcommand() {
            Some(("list", arguments)) => list(&connection, arguments).await,
            Some(("rotate", arguments)) => rotate(&connection, arguments).await,
            // clap requires one of the commands.
            _ => Ok(()),
        }
    })
}

async fn list(connection: &Connection, arguments: &ArgMatches) -> Result<(), Failure> {
    let answer = connection.ask(Method::GET, "/admin/keys", None).await;
    let answer = answer.map_err(|refusal| refusal.failure("the keys were not listed"))?;
    let keys = keys_of(&answer);
    say(&if output::is_json(arguments) {
        output::lines(keys)
    } else if keys.is_empty() {
        "there are no keys yet; the server makes one when it starts\n".to_owned()
    } else {
        shown(keys)
    });
    Ok(())
}

async fn rotate(connection: &Connection, arguments: &ArgMatches) -> Result<(), Failure> {
    let (now, revoke) = (arguments.get_flag("now"), arguments.get_flag("revoke"));
    let api_tokens = arguments.get_flag("api-tokens");
    let wanted = json!({ "now": now, "revoke": revoke, "api_tokens": api_tokens });
    let answer = connection
        .ask(Method::POST, "/admin/keys/rotate", Some(wanted))
        .await;
    let undone = if revoke {
        "the keys are as they were, or the new one is in use; what was to end may have ended in part, and the same command ends the rest"
    } else {
        "the keys are as they were"
    };
    let rotated = answer.map_err(|refusal| match refusal.code.as_str() {
        "key_from_settings" | "no_signing_key" => refusal.failure("nothing was changed"),
        _ => refusal.failure(undone),
    })?;
    say(&if output::is_json(arguments) {
        output::lines(std::slice::from_ref(&rotated))
    } else {
        report(&rotated, matches!(connection, Connection::Server(_)))
    });
    Ok(())
}

fn keys_of(answer: &Value) -> &[Value] {
    answer["keys"].as_array().map_or(&[], Vec::as_slice)
}

fn report(rotated: &Value, is_running: bool) -> String {
    let keys = keys_of(rotated);
    let newest = keys.last().unwrap_or(&Value::Null);
    let (id, from) = (output::text(&newest["id"]), output::text(&newest["signs_from"]));
    let is_next = newest["state"] == "next";
    let mut text = if rotated["waiting"] == true {
        format!(
            "nothing was changed: a new key is waiting already,\nand signs from {from}; --now lets it sign at once\n"
        )
    } else if is_next && is_running {
        format!("the key {id} was added;\nit is published, and signs from {from}\n")
    } else if is_next {
        format!(
            "the key {id} was added;\nstart the server soon: it publishes the key,\nand signs with it from {from} at the earliest\n"
        )
    } else {
        format!("the key {id} signs from now on\n")
    };
    if let Some(sessions) = rotated["ended_sessions"].as_u64() {
        let mut ended = output::counted(sessions, "session");
        if let Some(tokens) = rotated["ended_api_tokens"].as_u64() {
            ended = format!("{ended} and {}", output::counted(tokens, "API token"));
        }
        let _ = writeln!(text, "every older token is dead: {ended} ended");
    }
    text + "\n" + &shown(keys)
}

/// A paragraph for each key, in the order in which they sign: the id of a key alone fills half a line.
fn shown(keys: &[Value]) -> String {
    let shown = keys.iter().map(|key| {
        let until = key["verifies_until"].as_str().unwrap_or("no end yet");
        format!(
            "kid       {}\nstate     {}, {}, from the {}\nsigns     from {}\nverifies  until {until}\n",
            output::text(&key["id"]),
            output::text(&key["state"]),
            output::text(&key["algorithm"]),
            output::text(&key["source"]),
            moment(&key["signs_from"]),
        )
    });
    shown.collect::<Vec<_>>().join("\n")
}

/// A key that an older version of this server made has no time of its own.
fn moment(at: &Value) -> String {
    match at.as_str() {
        None => "the first start".to_owned(),
        Some(at) => at.to_owned(),
    }
}

//! `user list`: the users, by the beginning of their names, by role and by state.

use std::io::{self, Write};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use hyper::Method;
use serde_json::Value;

use crate::{
    cli::{
        connection::Connection,
        failure::Failure,
        output,
        process::{runtime, say},
        table::table,
    },
    config::Config,
    domain::PageLimit,
};

pub(super) fn command() -> Command {
    Command::new("list")
        .about("List the users, in the order of their names")
        .arg(
            Arg::new("prefix")
                .value_name("PREFIX")
                .help("Only users whose names start with this"),
        )
        .arg(
            Arg::new("role")
                .long("role")
                .value_name("ROLE")
                .help("Only users with this role"),
        )
        .arg(
            Arg::new("disabled")
                .long("disabled")
                .action(ArgAction::SetTrue)
                .help("Only disabled users"),
        )
        .arg(
            Arg::new("limit")
                .long("limit")
                .value_name("NUMBER")
                .value_parser(value_parser!(u64).range(1..))
                .help("At most so many [default: all]"),
        )
        .arg(output::json())
}

pub(super) fn run(arguments: &ArgMatches, config: &Config) -> Result<(), Failure> {
    let most = arguments.get_one::<u64>("limit").copied().unwrap_or(u64::MAX);
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let as_json = output::is_json(arguments);
    runtime()?.block_on(async {
        let connection = Connection::open(config, false, "").await?;
        let mut left = most;
        let mut after = None;
        let mut has_header = false;
        while left > 0 {
            let path = path(arguments, left.min(PageLimit::MAX.get()), after.as_deref());
            let page = connection.ask(Method::GET, &path, None).await;
            let undone = if after.is_none() {
                "no user was listed"
            } else {
                "the list is not whole"
            };
            let page = page.map_err(|refusal| refusal.failure(undone))?;
            let users = page["users"].as_array().map_or(&[][..], Vec::as_slice);
            left -= users.len().min(left);
            let text = if as_json {
                output::lines(users)
            } else {
                shown(users, &mut has_header)
            };
            // A reader that has gone, such as `head`, wants no more.
            if io::stdout().write_all(text.as_bytes()).is_err() {
                return Ok(());
            }
            after = page["next"].as_str().map(str::to_owned);
            if after.is_none() {
                break;
            }
        }
        if !as_json && !has_header {
            say("there is no such user\n");
        }
        Ok(())
    })
}

fn path(arguments: &ArgMatches, limit: usize, after: Option<&str>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::from("/admin/users?"));
    query.append_pair("limit", &limit.to_string());
    for name in ["prefix", "role"] {
        if let Some(value) = arguments.get_one::<String>(name) {
            query.append_pair(name, value);
        }
    }
    if arguments.get_flag("disabled") {
        query.append_pair("disabled", "true");
    }
    if let Some(after) = after {
        query.append_pair("after", after);
    }
    query.finish()
}

fn shown(users: &[Value], has_header: &mut bool) -> String {
    let rows = users.iter().map(|user| {
        let state = if user["disabled"] == true { "disabled" } else { "" };
        [
            output::text(&user["username"]),
            output::roles(user),
            state.to_owned(),
            output::day(&user["created_at"]),
            output::text(&user["display_name"]),
        ]
    });
    let text = table(["NAME", "ROLES", "STATE", "CREATED", "SHOWN AS"], rows);
    if users.is_empty() {
        return String::new();
    }
    // Only the first page has the header.
    let skipped = usize::from(std::mem::replace(has_header, true));
    text.split_inclusive('\n').skip(skipped).collect()
}

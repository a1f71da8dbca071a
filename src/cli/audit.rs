//! `audit`: who did what, to whom, when and from where.

use std::{
    io::{self, Write},
    time::Duration,
};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use hyper::Method;
use serde_json::Value;

use super::{
    connection::Connection,
    failure::Failure,
    output,
    process::{runtime, say},
    table::table,
};
use crate::{
    clock::{Clock, SystemClock},
    config::Config,
    domain::PageLimit,
};

const UNDONE: &str = "no event was listed";
/// How often `--follow` asks for new events.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// How many events are shown by default.
const SHOWN: usize = 50;

pub(super) fn command() -> Command {
    let filter = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    Command::new("audit")
        .about("List what was done, to whom and by whom, the newest first")
        .arg(filter(
            "user",
            "USER",
            "Only what happened to this user: a username, or an id",
        ))
        .arg(filter(
            "actor",
            "ACTOR",
            "Only what this actor did: a username, an id, operator, server or anonymous",
        ))
        .arg(filter(
            "kind",
            "KIND",
            "Only events of this kind, such as user_disabled",
        ))
        .arg(filter(
            "since",
            "MOMENT",
            "Only from this moment on: 2027-01-01, 2027-01-01T08:00:00Z, or 2h ago as 2h",
        ))
        .arg(filter("until", "MOMENT", "Only before this moment"))
        .arg(
            Arg::new("limit")
                .long("limit")
                .value_name("NUMBER")
                .value_parser(value_parser!(u64).range(1..))
                .help("At most so many events [default: 50]"),
        )
        .arg(
            Arg::new("follow")
                .long("follow")
                .action(ArgAction::SetTrue)
                .conflicts_with("until")
                .help("Show these, the oldest first, and then each new event as it happens"),
        )
        .arg(output::json())
}

pub(super) fn run(arguments: &ArgMatches, config: &Config) -> Result<(), Failure> {
    let follows = arguments.get_flag("follow");
    runtime()?.block_on(async {
        let connection = Connection::open(config, false, "").await?;
        if follows && matches!(connection, Connection::InProcess(_)) {
            return Err(Failure::Other(
                "no server runs on this database, so there is nothing to follow; start it, or leave out --follow".to_owned(),
            ));
        }
        let mut shown = Shown {
            as_json: output::is_json(arguments),
            has_header: false,
        };
        let filters = filters(arguments)?;
        let most = arguments.get_one::<u64>("limit").copied();
        let most = most.map_or(SHOWN, |most| usize::try_from(most).unwrap_or(usize::MAX));
        if follows {
            return follow(&connection, &filters, most, &mut shown).await;
        }
        let mut left = most;
        let mut after = None;
        while left > 0 {
            let page = ask(&connection, &filters, left, "newest", after.as_deref()).await?;
            left -= page.events.len().min(left);
            if shown.show(&page.events).is_err() {
                // A reader that has gone, such as `head`, wants no more.
                return Ok(());
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        if !shown.as_json && !shown.has_header {
            say("there is no such event\n");
        }
        Ok(())
    })
}

/// Shows the last events, and then each new one. Ends only if the server does, or the reader.
async fn follow(
    connection: &Connection,
    filters: &[(&'static str, String)],
    most: usize,
    shown: &mut Shown,
) -> Result<(), Failure> {
    // What has happened by now, whatever the filters say: from there on, each event is looked at once.
    let newest = ask(connection, &[], 1, "newest", None).await?;
    let mut after = newest.events.first().map(|event| output::text(&event["id"]));
    let mut last = Vec::new();
    let mut before = None;
    while last.len() < most {
        let page = ask(
            connection,
            filters,
            most - last.len(),
            "newest",
            before.as_deref(),
        )
        .await?;
        last.extend(page.events);
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    // What came between the two requests is shown below.
    let is_old = |event: &&Value| after.as_deref().is_some_and(|after| is_up_to(event, after));
    let last: Vec<_> = last.iter().rev().filter(is_old).cloned().collect();
    if shown.show(&last).is_err() {
        return Ok(());
    }
    loop {
        let page = ask(
            connection,
            filters,
            PageLimit::MAX.get(),
            "oldest",
            after.as_deref(),
        )
        .await?;
        if shown.show(&page.events).is_err() {
            return Ok(());
        }
        let read = page.events.last().map(|event| output::text(&event["id"]));
        let is_last = page.next.is_none();
        after = page.next.or(read).or(after);
        if is_last {
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
}

/// Whether `event` stands at the place `id`, or before it.
fn is_up_to(event: &Value, id: &str) -> bool {
    use crate::event::TrailCursor;
    let place = |id: &str| TrailCursor::parse(id);
    place(&output::text(&event["id"])) <= place(id)
}

/// The parameters of the query that say which events.
fn filters(arguments: &ArgMatches) -> Result<Vec<(&'static str, String)>, Failure> {
    let mut filters = Vec::new();
    for name in ["user", "actor", "kind", "since", "until"] {
        if let Some(value) = arguments.get_one::<String>(name) {
            let value = match name {
                "since" | "until" => moment(value),
                _ => value.clone(),
            };
            if value.is_empty() {
                return Err(Failure::Argument(format!("--{name} needs a value")));
            }
            filters.push((name, value));
        }
    }
    Ok(filters)
}

/// The moment so long ago if `text` is a time such as `2h`; else the text as it is.
fn moment(text: &str) -> String {
    match humantime::parse_duration(text) {
        Ok(ago) => SystemClock::new().now().minus(ago).to_string(),
        Err(_) => text.to_owned(),
    }
}

struct Page {
    events: Vec<Value>,
    next: Option<String>,
}

async fn ask(
    connection: &Connection,
    filters: &[(&'static str, String)],
    most: usize,
    order: &str,
    after: Option<&str>,
) -> Result<Page, Failure> {
    let mut query = form_urlencoded::Serializer::new(String::from("/admin/events?"));
    query
        .append_pair("limit", &most.min(PageLimit::MAX.get()).to_string())
        .append_pair("order", order)
        .extend_pairs(filters);
    if let Some(after) = after {
        query.append_pair("after", after);
    }
    let page = connection.ask(Method::GET, &query.finish(), None).await;
    let mut page = page.map_err(|refusal| refusal.failure(UNDONE))?;
    let events = match page["events"].take() {
        Value::Array(events) => events,
        _ => Vec::new(),
    };
    let next = page["next"].as_str().map(str::to_owned);
    Ok(Page { events, next })
}

/// What has been printed so far.
struct Shown {
    as_json: bool,
    has_header: bool,
}

impl Shown {
    fn show(&mut self, events: &[Value]) -> io::Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        out.write_all(self.text(events).as_bytes())?;
        out.flush()
    }

    fn text(&mut self, events: &[Value]) -> String {
        if self.as_json {
            return output::lines(events);
        }
        let rows = events.iter().map(|event| {
            [
                output::text(&event["at"]).replace('T', " ").replace('Z', ""),
                // A long one is broken between its words.
                output::text(&event["kind"]).replace('_', " "),
                person(&event["user"]),
                actor(&event["actor"]),
                output::text(&event["address"]),
                details(event),
            ]
        });
        let text = table(["TIME", "EVENT", "USER", "BY", "FROM", "DETAILS"], rows);
        // Only the first page has the header.
        let skipped = usize::from(std::mem::replace(&mut self.has_header, true));
        text.split_inclusive('\n').skip(skipped).collect()
    }
}

/// The name of a user, or the id if the name is not known.
fn person(user: &Value) -> String {
    match user["username"].as_str() {
        Some(name) => name.to_owned(),
        None => output::text(&user["id"]),
    }
}

fn actor(actor: &Value) -> String {
    match (actor["type"].as_str(), actor["uid"].as_u64()) {
        (Some("user"), _) => person(actor),
        (Some("operator"), Some(uid)) => format!("operator {uid}"),
        _ => output::text(&actor["type"]),
    }
}

/// What people want to read of the details: ids are for `--json`.
fn details(event: &Value) -> String {
    let details = event["details"].as_object().into_iter().flatten();
    let shown = details.filter(|(name, _)| !matches!(name.as_str(), "session" | "api_token"));
    let mut words: Vec<_> = shown.map(|(name, value)| word(name, value)).collect();
    if let Some(times) = event["times"].as_u64().filter(|times| *times > 1) {
        words.push(format!("{times} times"));
    }
    words.join(", ")
}

fn word(name: &str, value: &Value) -> String {
    match value {
        // A word of this server, and not an id that may have such a sign.
        Value::String(text) if matches!(name, "reason" | "axis") => text.replace('_', " "),
        Value::String(text) => text.clone(),
        Value::Array(_) => output::texts(value),
        other => format!("{} {other}", name.replace('_', " ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_are_shown_in_80_columns_under_one_header() {
        let event = json!({
            "id": "AAAAAAAAAAE", "at": "2026-11-26T22:10:07Z", "kind": "sign_in_failed",
            "user": {"id": "019a2b3c-0000-7000-8000-000000000001", "username": "ada"},
            "actor": {"type": "anonymous"}, "address": "2001:db8:1:2:3:4:5:6",
            "details": {"reason": "wrong_password"}, "times": 37,
        });
        let by = json!({
            "id": "AAAAAAAAAAI", "at": "2026-11-26T22:10:08Z", "kind": "roles_changed",
            "user": {"id": "019a2b3c-0000-7000-8000-000000000001", "username": null},
            "actor": {"type": "operator", "uid": 1000},
            "details": {"roles": ["ADMIN", "CLIENT"], "session": "019a2b3c-0000-7000-8000-000000000002"},
        });
        let mut shown = Shown {
            as_json: false,
            has_header: false,
        };
        let text = shown.text(&[event, by.clone()]) + &shown.text(&[by]);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert_eq!(text.matches("TIME").count(), 1, "{text}");
        let joined: String = text.split_whitespace().collect();
        for word in ["ada", "anonymous", "37times", "operator"] {
            assert!(joined.contains(word), "{word} is not in {text}");
        }
        assert!(!joined.contains("000000000002"), "{text}");
    }

    #[test]
    fn a_time_is_so_long_ago_and_a_moment_stays() {
        assert_eq!(moment("2027-01-01"), "2027-01-01");
        assert!(moment("2h").ends_with('Z'));
    }
}

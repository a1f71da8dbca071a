//! `throttle`: who has to wait because too much failed, and how to let one of them in.

use clap::{Arg, ArgMatches, Command};
use hyper::Method;
use serde_json::Value;

use super::{
    connection::Connection,
    failure::Failure,
    named, output,
    process::{runtime, say},
    table::table,
};
use crate::{
    config::Config,
    domain::{Network, PageLimit},
};

pub(super) fn command() -> Command {
    let user = || named::argument().required(false);
    let network = || {
        Arg::new("network")
            .long("network")
            .value_name("ADDRESS")
            .help("The address of the client, or any address of its IPv6 /64")
    };
    Command::new("throttle")
        .about("See who has to wait after too many failures, and let one in")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("list")
                .about("List the users and networks that wait, of those that were refused lately; or look one up")
                .arg(user())
                .arg(network())
                .arg(output::json()),
        )
        .subcommand(
            Command::new("clear")
                .about("Let a user in at once, or a network")
                .arg(user().required_unless_present("network"))
                .arg(network()),
        )
}

pub(super) fn run(arguments: &ArgMatches, config: &Config) -> Result<(), Failure> {
    let Some((name, arguments)) = arguments.subcommand() else {
        // clap requires one of the commands.
        return Ok(());
    };
    let network = arguments.get_one::<String>("network").map(|text| {
        let network = Network::parse(text);
        network.map_err(|error| Failure::Argument(format!("{} is no address. {error}", text.escape_debug())))
    });
    let network = network.transpose()?;
    runtime()?.block_on(async {
        let connection = Connection::open(config, false, "").await?;
        let user = if arguments.contains_id("user") {
            Some(named::find(&connection, arguments).await?)
        } else {
            None
        };
        if name == "list" {
            let username = user.map(|user| user.username);
            list(&connection, username, network, output::is_json(arguments)).await
        } else {
            clear(&connection, user.map(|user| (user.id, user.username)), network).await
        }
    })
}

async fn list(
    connection: &Connection,
    username: Option<String>,
    network: Option<Network>,
    as_json: bool,
) -> Result<(), Failure> {
    let is_one = username.is_some() || network.is_some();
    let mut all: Vec<Value> = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let mut query = form_urlencoded::Serializer::new(String::from("/admin/throttle?"));
        query.append_pair("limit", &PageLimit::MAX.get().to_string());
        if let Some(name) = &username {
            query.append_pair("account", name);
        }
        if let Some(network) = network {
            query.append_pair("network", &network.address().to_string());
        }
        if let Some(after) = &after {
            query.append_pair("after", after);
        }
        let page = connection.ask(Method::GET, &query.finish(), None).await;
        let page = page.map_err(|refusal| refusal.failure("nothing was listed"))?;
        all.extend(page["waiting"].as_array().into_iter().flatten().cloned());
        after = page["next"].as_str().map(str::to_owned);
        if after.is_none() {
            break;
        }
    }
    say(&if as_json {
        output::lines(&all)
    } else if !all.is_empty() {
        shown(&all)
    } else if !is_one && matches!(connection, Connection::InProcess(_)) {
        "no server runs, so it is not known who was refused lately;\nname a user or --network\n".to_owned()
    } else {
        "no user and no network waits\n".to_owned()
    });
    Ok(())
}

fn shown(all: &[Value]) -> String {
    let rows = all.iter().map(|one| {
        let why = match output::text(&one["why"]).as_str() {
            "account" => format!("{} wrong passwords", one["failures"]),
            "turn" => "wrong passwords there".to_owned(),
            "address" => "wrong passwords".to_owned(),
            "caller" => "foreign tokens".to_owned(),
            "sign_ups" => "sign-ups".to_owned(),
            "forged_tokens" => "forged tokens".to_owned(),
            other => other.to_owned(),
        };
        [
            output::text(&one["username"]),
            output::text(&one["network"]),
            why,
            output::second(&one["until"]),
            one["refused"].to_string(),
        ]
    });
    table(["USER", "NETWORK", "WHY", "UNTIL (UTC)", "REFUSED"], rows)
}

async fn clear(
    connection: &Connection,
    user: Option<(String, String)>,
    network: Option<Network>,
) -> Result<(), Failure> {
    let address = network.map(|network| network.address().to_string());
    let (path, said) = match (user, address) {
        (Some((id, name)), Some(address)) => {
            let mut query = form_urlencoded::Serializer::new(format!("/admin/throttle/users/{id}?"));
            let path = query.append_pair("network", &address).finish();
            (path, format!("{name} can sign in again, from {address} too\n"))
        }
        (Some((id, name)), None) => (
            format!("/admin/throttle/users/{id}"),
            format!("{name} can sign in again\n"),
        ),
        (None, Some(address)) => (
            format!("/admin/throttle/networks/{address}"),
            format!("clients at {address} can try again\n"),
        ),
        // clap requires one of them.
        (None, None) => return Ok(()),
    };
    let cleared = connection.ask(Method::DELETE, &path, None).await;
    cleared.map_err(|refusal| refusal.failure("nothing was cleared"))?;
    say(&said);
    Ok(())
}

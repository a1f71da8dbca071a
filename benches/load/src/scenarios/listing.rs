//! How long a page of the list of users takes, and what the token check notices of it.

use anyhow::{Context, Result};

use super::{bearer, steady};
use crate::{
    bench::Bench,
    description::{Call, Values},
    fill::{Filling, fill, listed_name, listed_prefix},
    machine::Cores,
    server::Server,
    table::{Table, short},
    wrk::{Load, Outcome},
};

/// The kinds of pages: what each asks for, and its query.
const PAGES: [(&str, &str); 6] = [
    ("from anywhere, 50 users", "prefix={prefix}"),
    ("from anywhere, 500 users", "prefix={prefix}&limit=500"),
    ("with a role that one in 100 has", "role=EDITOR&prefix={prefix}"),
    ("disabled, one in 1000", "disabled=true&prefix={prefix}"),
    ("a role that no user has", "role=NOBODY"),
    ("one user by name", "prefix={name}&limit=1"),
];
/// How many different requests of each kind there are.
const DIFFERENT: usize = 200;

pub(super) fn run(bench: &Bench) -> Result<String> {
    let users = bench.options.sizes.iter().map(|size| size.users).max();
    let users = users.context("sizes to grow through")?;
    let cores = Cores::ONE;
    let data = bench.fresh("listing")?;
    let tokens = fill(&data, bench.algorithm(), &[Filling::Listed { users }])?;
    let token = tokens.first().context("an administrator was signed in")?;
    bench.settle()?;
    let flags = ["--admin.enabled", "true"];
    let mut server = bench.server(&data, &flags, &cores)?;
    server.granted_after(&bench.whole(&bearer(token))?)?;

    let mut table = Table::new([
        "",
        "page p50 ms",
        "page p99 ms",
        "page longest ms",
        "pages a second",
        "/welcome p99 ms",
        "/welcome longest ms",
    ]);
    let quiet = welcome(bench, &server, &cores, token)?;
    let nothing = String::new;
    table.row([
        "quiet".to_owned(),
        nothing(),
        nothing(),
        nothing(),
        nothing(),
        short(quiet.p99()),
        short(quiet.longest()),
    ]);
    for (name, query) in PAGES {
        let (pages, checks) = list(bench, &server, &cores, token, query)?;
        table.row([
            name.to_owned(),
            short(pages.p50()),
            short(pages.p99()),
            short(pages.longest()),
            short(pages.rate()),
            short(checks.p99()),
            short(checks.longest()),
        ]);
    }
    Ok(format!(
        "## Listing\n\n\
         {users} users, of whom one in 100 has the role EDITOR and one in 1000 is disabled; the server on one core. An administrator asks for pages over \
         one connection, one after the other, each of them one of {DIFFERENT} that begin at different places. Meanwhile /welcome is asked over 4 \
         connections as fast as it is answered.\n\n{table}"
    ))
}

/// `/welcome` over 4 connections.
fn welcome(bench: &Bench, server: &Server, cores: &Cores, token: &str) -> Result<Outcome> {
    let requests = bench.requests("welcome.requests", &bench.ours.guarded, [bearer(token)])?;
    let load = Load {
        connections: 4,
        ..steady(&requests, bench.options.seconds, cores)
    };
    load.send(server.port)?.all_granted()
}

/// Asks for pages, and meanwhile for `/welcome`.
fn list(
    bench: &Bench,
    server: &Server,
    cores: &Cores,
    token: &str,
    query: &str,
) -> Result<(Outcome, Outcome)> {
    let call = Call::get(&format!("/admin/users?{query}"), "Bearer {token}");
    let values = (0..DIFFERENT).map(|number| {
        let mut values: Values = bearer(token);
        values.insert("prefix".to_owned(), listed_prefix(number));
        values.insert("name".to_owned(), listed_name(number));
        values
    });
    let pages = bench.requests("pages.requests", &call, values)?;
    let pages = Load {
        connections: 1,
        ..steady(&pages, bench.options.seconds, cores)
    };
    let pages = pages.start(server.port)?;
    let checks = welcome(bench, server, cores, token)?;
    Ok((pages.finish()?.all_granted()?, checks))
}

//! Durable writes: log-outs over HTTP, to what the store and the disk can do.

use anyhow::{Context, Result};

use super::{CONNECTIONS, Figures, bearer, steady};
use crate::{
    bench::Bench,
    fill::{Filling, fill},
    machine::Cores,
    table::{Series, Table},
    wrk::{Load, Order},
};

/// How many sessions are ended in one round: a second or so.
const SESSIONS: usize = 15_000;

pub(super) fn run(bench: &Bench) -> Result<String> {
    let cores = Cores::ONE;
    let log_out = bench.ours.log_out.as_ref().context("this server has a log-out")?;
    let data = bench.fresh("writes")?;
    let users = SESSIONS * bench.options.rounds;
    let tokens = fill(&data, bench.algorithm(), &[Filling::signed_in(users)])?;
    bench.settle()?;

    let (mut syncs, mut commits, mut ended, mut figures) = (
        Series::default(),
        Series::default(),
        Series::default(),
        Figures::default(),
    );
    let scratch = bench.scratch().display().to_string();
    let writers = CONNECTIONS.to_string();
    for (round, tokens) in tokens.chunks(SESSIONS).enumerate() {
        eprintln!("writes: round {}", round + 1);
        syncs.add(Bench::limit(&cores, &["syncs", &scratch, "1"])?);
        commits.add(Bench::limit(
            &cores,
            &["commits", &scratch, &SESSIONS.to_string(), &writers],
        )?);

        let requests = bench.requests(
            "log-out.requests",
            log_out,
            tokens.iter().map(|token| bearer(token)),
        )?;
        let server = bench.server(&data, &[], &cores)?;
        let load = Load {
            order: Order::Once,
            count_answers: true,
            ..steady(&requests, 30, &cores)
        };
        let outcome = figures.take(&server, &load)?;
        ended.add(outcome.rate_of(204));
    }

    let mut table = Table::new(["what", "a second", "to the store", "p50 ms", "p99 ms"]);
    let none = String::new;
    table.row([
        "4 KiB appended and synced, one by one".into(),
        syncs.to_string(),
        none(),
        none(),
        none(),
    ]);
    table.row([
        "sessions ended in the store".into(),
        commits.to_string(),
        "1".into(),
        none(),
        none(),
    ]);
    table.row([
        "log-outs answered 204".into(),
        ended.to_string(),
        ended.to(&commits).to_string(),
        figures.p50.to_string(),
        figures.p99.to_string(),
    ]);
    Ok(format!(
        "## Durable writes\n\n\
         {CONNECTIONS} clients, each log-out with a live token of its own and answered when it is on the disk; {SESSIONS} a round, \
         the server on one core. The store's own limit: as many tasks that end sessions straight through `Store`, on the same core.\n\n{table}"
    ))
}

//! What signed-in users notice of a flood of sign-ins.

use std::{thread, time::Duration};

use anyhow::Result;

use super::{CONNECTIONS, Figures, WARM_UP, bearer, sign_in, steady};
use crate::{
    bench::Bench,
    description::person,
    fill::visitor,
    machine::Cores,
    server::Server,
    table::{Series, Table},
    wrk::Load,
};

/// The flood comes over so many connections.
pub(super) const FLOOD: usize = 256;

#[derive(Default)]
pub(super) struct Row {
    pub(super) quiet: Figures,
    pub(super) flooded: Figures,
    /// The share of a core that the flood's passwords took.
    hashing: Series,
    /// Sign-ins that were answered, a second.
    flood: Series,
}

pub(super) fn run(bench: &Bench) -> Result<String> {
    let cost = bench.cost();
    let data = bench.fresh("visitors")?;
    let flood = sign_in::visitors(bench, &data, cost)?;
    let cost = cost.to_string();
    let arrangements = [
        (Cores::ONE, CONNECTIONS),
        (Cores::ONE, 1),
        (Cores::two(), CONNECTIONS),
    ];
    let mut rows: Vec<(Cores, usize, &str, Row)> = arrangements
        .iter()
        .flat_map(|(cores, connections)| {
            ["bare warp", "jwt-server"].map(|who| (cores.clone(), *connections, who, Row::default()))
        })
        .collect();
    for round in 1..=bench.options.rounds {
        eprintln!("isolation: round {round}");
        for (cores, connections, who, row) in &mut rows {
            let ours = *who == "jwt-server";
            let server = if ours {
                bench.server(&data, &["--password.bcrypt_cost", &cost], cores)?
            } else {
                bench.twin(false, cores)?
            };
            let token = if ours {
                bench.ours.sign_in.send(server.port, &person(&visitor(0)))?
            } else {
                bearer(&"x".repeat(400))
            };
            let welcome = bench.requests("welcome.requests", &bench.ours.guarded, [token])?;
            let welcome = Load {
                connections: *connections,
                ..steady(&welcome, bench.options.seconds, cores)
            };
            row.measure(
                &server,
                &welcome,
                &sign_in::load(&flood, FLOOD, bench.options.seconds + 3, cores),
            )?;
        }
    }

    let mut table = Table::new([
        "cores",
        "connections",
        "server",
        "/welcome",
        "requests/s",
        "to quiet",
        "processor µs/request",
        "p50 ms",
        "p99 ms",
        "flood: hashing, of a core",
        "flood: answers a second",
    ]);
    for (cores, connections, who, row) in &rows {
        for (when, figures) in [("quiet", &row.quiet), ("flooded", &row.flooded)] {
            let flooded = when == "flooded";
            let only = |series: &Series| {
                if flooded {
                    series.to_string()
                } else {
                    String::new()
                }
            };
            table.row([
                cores.to_string(),
                connections.to_string(),
                (*who).to_owned(),
                when.to_owned(),
                figures.rate.to_string(),
                only(&row.flooded.rate.to(&row.quiet.rate)),
                if flooded {
                    String::new()
                } else {
                    figures.processor.to_string()
                },
                figures.p50.to_string(),
                figures.p99.to_string(),
                only(&row.hashing),
                only(&row.flood),
            ]);
        }
    }
    Ok(format!(
        "## Isolation\n\n\
         GET /welcome with one token over 64 connections, which keeps a core busy, or over one, quiet and while {FLOOD} more sign \
         in with right passwords as fast as they are answered (bcrypt at cost {cost}). *Hashing* is what the threads that hash \
         had of a core meanwhile. Bare warp answers the flood like everything else: it shows what the connections alone take \
         away, from the server and from the load tool.\n\n{table}"
    ))
}

impl Row {
    /// Sends `welcome` to `server`, alone and then beside `flood`.
    pub(super) fn measure(&mut self, server: &Server, welcome: &Load, flood: &Load) -> Result<()> {
        Load {
            seconds: WARM_UP,
            ..welcome.clone()
        }
        .send(server.port)?;
        self.quiet.take(server, welcome)?.all_granted()?;
        let flood = flood.start(server.port)?;
        // Until every connection is there and the queue is full.
        thread::sleep(Duration::from_secs(1));
        let before = server.hashing()?;
        let outcome = self.flooded.take(server, welcome)?.all_granted()?;
        let hashing = server.hashing()?.saturating_sub(before);
        self.hashing.add(hashing.as_secs_f64() / outcome.elapsed());
        self.flood.add(flood.finish()?.rate());
        Ok(())
    }
}

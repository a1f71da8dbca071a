//! Memory, start and speed with more and more users and sessions.

use std::{fs, path::Path};

use anyhow::Result;

use super::{WARM_UP, bearer, sign_in, steady};
use crate::{
    bench::Bench,
    description::somebody,
    fill::{Filling, fill, visitor},
    machine::Cores,
    server::Server,
    table::{Series, Table, mib},
    wrk::{Load, Order},
};

/// So many of the sessions have tokens that are known: those that requests are made with.
const KNOWN: usize = 100_000;
const FLOOD: usize = 256;
const VISITORS: usize = 64;

#[derive(Default)]
struct Row {
    first_answer: Series,
    at_start: Series,
    loaded: Series,
    flooded: Series,
    rate: Series,
    twin: Series,
    disk: f64,
}

pub(super) fn run(bench: &Bench) -> Result<String> {
    let (cores, options) = (Cores::ONE, &bench.options);
    let data = bench.fresh("growth")?;
    let can_sign_in = Filling::CanSignIn {
        users: VISITORS,
        cost: bench.cost(),
    };
    fill(&data, options.algorithm.as_deref(), &[can_sign_in])?;
    let flood = (0..VISITORS).map(|number| somebody(&visitor(number)));
    let flood = bench.requests("flood.requests", &bench.ours.sign_in, flood)?;

    let mut table = Table::new([
        "users, each with a session",
        "first answer ms",
        "MiB at start",
        "MiB after /welcome",
        "MiB at most in a flood",
        "MiB on disk",
        "/welcome/s",
        "to bare warp",
    ]);
    let mut empty = Row::default();
    for _ in 0..options.rounds {
        let data = bench.fresh("empty")?;
        empty.started(&bench.server(&data, &[], &cores)?)?;
        empty.disk = mib(size(&data)?);
    }
    table.row(empty.cells("empty"));

    let (mut filled, mut tokens) = (0, Vec::new());
    let mut sizes = options.sizes.clone();
    sizes.sort_unstable();
    for users in sizes {
        let known = users.min(KNOWN);
        let more = [
            Filling::SignedIn {
                first: tokens.len(),
                users: known - tokens.len(),
            },
            Filling::Users {
                first: filled.max(known),
                users: users - filled.max(known),
            },
        ];
        tokens.append(&mut fill(&data, options.algorithm.as_deref(), &more)?);
        filled = users;
        let requests = bench.requests(
            "growth.requests",
            &bench.ours.guarded,
            tokens.iter().map(|token| bearer(token)),
        )?;
        let mut row = Row::default();
        for round in 1..=options.rounds {
            eprintln!("growth: {users} users, round {round}");
            row.measure(bench, &data, &requests, &flood, &cores)?;
        }
        row.disk = mib(size(&data)?);
        table.row(row.cells(&users.to_string()));
    }
    Ok(format!(
        "## Growth\n\n\
         The server on one core. GET /welcome over 64 connections with tokens drawn at random from all sessions, or from {KNOWN} \
         of them. The flood is {FLOOD} connections that sign in (bcrypt at cost {}); the memory is what is resident.\n\n{table}",
        bench.cost()
    ))
}

impl Row {
    fn measure(
        &mut self,
        bench: &Bench,
        data: &Path,
        requests: &Path,
        flood: &Path,
        cores: &Cores,
    ) -> Result<()> {
        let cost = bench.cost().to_string();
        let load = steady(requests, bench.options.seconds, cores);
        let once = Load {
            order: Order::Once,
            seconds: 10 * load.seconds,
            ..load.clone()
        };
        let short = Load {
            seconds: WARM_UP,
            ..load.clone()
        };
        {
            let twin = bench.twin(false, cores)?;
            short.send(twin.port)?;
            self.twin.add(load.send(twin.port)?.rate());
        }
        let server = bench.server(data, &["--password.bcrypt_cost", &cost], cores)?;
        self.started(&server)?;
        once.send(server.port)?;
        short.send(server.port)?;
        self.rate.add(load.send(server.port)?.all_granted()?.rate());
        self.loaded.add(mib(server.usage()?.resident));
        sign_in::load(flood, FLOOD, bench.options.seconds, cores).send(server.port)?;
        self.flooded.add(mib(server.usage()?.peak));
        Ok(())
    }

    fn started(&mut self, server: &Server) -> Result<()> {
        self.first_answer.add(server.first_answer.as_secs_f64() * 1e3);
        self.at_start.add(mib(server.usage()?.resident));
        Ok(())
    }

    fn cells(&self, what: &str) -> [String; 8] {
        [
            what.to_owned(),
            self.first_answer.to_string(),
            self.at_start.to_string(),
            self.loaded.to_string(),
            self.flooded.to_string(),
            crate::table::short(self.disk),
            self.rate.to_string(),
            self.rate.to(&self.twin).to_string(),
        ]
    }
}

/// How much the files in a folder hold, in bytes.
fn size(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.metadata()?;
        bytes += if kind.is_dir() {
            size(&entry.path())?
        } else {
            kind.len()
        };
    }
    Ok(bytes)
}

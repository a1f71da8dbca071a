//! Sign-ins, to the passwords that the same core can verify with nothing around it.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::Result;

use super::steady;
use crate::{
    bench::Bench,
    description::person,
    fill::{Filling, fill, visitor},
    machine::Cores,
    table::{Series, Table},
    wrk::{Load, Outcome},
};

/// How many users sign in, each again and again.
pub(super) const VISITORS: usize = 512;
const CONNECTIONS: [usize; 2] = [8, 256];
/// bcrypt's cost if none is asked for: a quarter of the time that the default one takes, and the same ratio.
const COST: u32 = 10;
/// A sign-in takes so long that few fit into a second, so these rounds take as many times as long as others.
const LONGER: u64 = 3;
/// Everything that a sign-in is answered, apart from 200.
const TURNED_AWAY: [u16; 4] = [401, 403, 429, 503];

/// A row: who answers, and over how many connections.
type Row = (String, usize);

#[derive(Default)]
struct Figures {
    signed_in: Series,
    p50: Series,
    turned_away: BTreeMap<u16, Series>,
}

pub(super) fn run(bench: &Bench) -> Result<String> {
    let (cores, cost, seconds) = (
        Cores::ONE,
        bench.options.cost.unwrap_or(COST),
        LONGER * bench.options.seconds,
    );
    let data = bench.fresh("visitors")?;
    let requests = visitors(bench, &data, cost)?;
    let cost = cost.to_string();
    let mut ceiling = Series::default();
    let mut rows: BTreeMap<Row, Figures> = BTreeMap::new();
    for round in 1..=bench.options.rounds {
        eprintln!("sign-in: round {round}");
        // The server hashes on one thread where it has one core.
        ceiling.add(Bench::limit(
            &cores,
            &["bcrypt", &cost, "1", &seconds.to_string()],
        )?);
        for connections in CONNECTIONS {
            let server = bench.server(&data, &["--password.bcrypt_cost", &cost], &cores)?;
            let outcome = load(&requests, connections, seconds, &cores).send(server.port)?;
            rows.entry((bench.ours.name.clone(), connections))
                .or_default()
                .add(&outcome);
        }
        for peer in &bench.peers {
            let data = bench.fresh("peer")?;
            fs::create_dir(&data)?;
            let server = bench.peer(peer, &data, &cores)?;
            peer.newcomer(server.port, "newuser")?;
            let requests = bench.requests("peer.requests", &peer.sign_in, [person("newuser")])?;
            for connections in CONNECTIONS {
                let outcome = load(&requests, connections, seconds, &cores).send(server.port)?;
                rows.entry((peer.name.clone(), connections))
                    .or_default()
                    .add(&outcome);
            }
        }
    }

    let mut table = Table::new([
        "server",
        "connections",
        "200 a second",
        "to the limit",
        "p50 ms, of all answers",
        "others a second",
    ]);
    table.row([
        format!("bcrypt alone, cost {cost}, one thread"),
        String::new(),
        ceiling.to_string(),
        "1".into(),
        String::new(),
        String::new(),
    ]);
    for ((name, connections), figures) in &rows {
        let ours = *name == bench.ours.name;
        let turned_away = figures
            .turned_away
            .iter()
            .map(|(status, rate)| format!("{status}: {rate}"));
        table.row([
            name.clone(),
            connections.to_string(),
            figures.signed_in.to_string(),
            // What a peer hashes with is its own affair.
            if ours {
                figures.signed_in.to(&ceiling).to_string()
            } else {
                String::new()
            },
            figures.p50.to_string(),
            turned_away.collect::<Vec<_>>().join(", "),
        ]);
    }
    Ok(format!(
        "## Sign-in\n\n\
         Right passwords of {VISITORS} users, bcrypt at cost {cost}, the server on one core. What counts is the answers that \
         are 200; the limit is `bcrypt::verify` in a loop on the same core.\n\n{table}"
    ))
}

/// The sign-ins of [`VISITORS`] users, who are filled into a new database in `data` with hashes of this cost.
pub(super) fn visitors(bench: &Bench, data: &Path, cost: u32) -> Result<std::path::PathBuf> {
    let can_sign_in = Filling::CanSignIn {
        users: VISITORS,
        cost,
    };
    fill(data, bench.algorithm(), &[can_sign_in])?;
    let all = (0..VISITORS).map(|number| person(&visitor(number)));
    let requests = bench.requests("visitors.requests", &bench.ours.sign_in, all)?;
    bench.settle()?;
    Ok(requests)
}

/// Sign-ins over so many connections.
pub(super) fn load<'a>(requests: &'a Path, connections: usize, seconds: u64, cores: &'a Cores) -> Load<'a> {
    Load {
        connections,
        count_answers: true,
        ..steady(requests, seconds, cores)
    }
}

impl Figures {
    fn add(&mut self, outcome: &Outcome) {
        self.signed_in.add(outcome.rate_of(200));
        self.p50.add(outcome.p50());
        for status in TURNED_AWAY {
            if outcome.answers(status) > 0 {
                self.turned_away
                    .entry(status)
                    .or_default()
                    .add(outcome.rate_of(status));
            }
        }
    }
}

//! How long a sign-in takes on busy cores, and what a flood of sign-ins costs the token checks on the same cores.

use std::{env, process::Child, thread, time::Duration};

use anyhow::{Result, ensure};

use super::{CONNECTIONS, isolation, sign_in, steady};
use crate::{
    bench::Bench,
    description::person,
    fill::visitor,
    machine::Cores,
    server::Server,
    table::{Series, Table},
    wrk::Load,
};

/// The server has so many cores, and the busy loops are one more.
const LOOPS: usize = 3;
/// A sign-in takes so long that few fit into a second, so these turns take as many times as long as others.
const LONGER: u64 = 3;
/// How long a load runs before the sign-ins beside it begin, in seconds.
const AHEAD: u64 = 1;

/// The median of a sign-in, in milliseconds.
#[derive(Default)]
struct SignIns {
    quiet: Series,
    beside_loops: Series,
    beside_checks: Series,
}

pub(super) fn run(bench: &Bench) -> Result<String> {
    let cost = bench.cost();
    let data = bench.fresh("visitors")?;
    let requests = sign_in::visitors(bench, &data, cost)?;
    let cost = cost.to_string();
    let cores = Cores::two();
    let seconds = LONGER * bench.options.seconds;
    let one_by_one = sign_in::load(&requests, 1, seconds, &cores);
    let flood = sign_in::load(&requests, isolation::FLOOD, bench.options.seconds + 3, &cores);
    let mut sign_ins = SignIns::default();
    let mut checks = [CONNECTIONS, 1].map(|connections| (connections, isolation::Row::default()));
    for round in 1..=bench.options.rounds {
        eprintln!("starvation: round {round}");
        // An attempt whose client has gone counts as failed, and a flood that ends leaves many.
        let flags = [
            "--password.bcrypt_cost",
            &cost,
            "--throttle.address_failures",
            "1000000",
        ];
        let server = bench.server(&data, &flags, &cores)?;
        let token = bench.ours.sign_in.send(server.port, &person(&visitor(0)))?;
        let welcome = bench.requests("welcome.requests", &bench.ours.guarded, [token])?;

        sign_ins.quiet.add(median(&server, &one_by_one)?);

        let loops = BusyLoops::start(&cores, AHEAD + seconds + 1)?;
        thread::sleep(Duration::from_secs(AHEAD));
        sign_ins.beside_loops.add(median(&server, &one_by_one)?);
        drop(loops);

        let saturating = steady(&welcome, AHEAD + seconds + 1, &cores).start(server.port)?;
        thread::sleep(Duration::from_secs(AHEAD));
        sign_ins.beside_checks.add(median(&server, &one_by_one)?);
        saturating.finish()?.all_granted()?;

        for (connections, row) in &mut checks {
            let welcome = Load {
                connections: *connections,
                ..steady(&welcome, bench.options.seconds, &cores)
            };
            row.measure(&server, &welcome, &flood)?;
        }
    }

    let mut table = Table::new(["what", "beside", "ms", "to quiet", "at most"]);
    let mut row = |what: &str, beside: &str, ms: &Series, quiet: Option<(&Series, &str)>| {
        table.row([
            what.to_owned(),
            beside.to_owned(),
            ms.to_string(),
            quiet.map_or_else(String::new, |(quiet, _)| ms.to(quiet).to_string()),
            quiet.map_or_else(String::new, |(_, most)| most.to_owned()),
        ]);
    };
    let what = "a sign-in, p50";
    let quiet = &sign_ins.quiet;
    row(what, "nothing", quiet, None);
    row(
        what,
        &format!("{LOOPS} busy loops"),
        &sign_ins.beside_loops,
        Some((quiet, "3")),
    );
    row(
        what,
        &format!("/welcome over {CONNECTIONS} connections"),
        &sign_ins.beside_checks,
        Some((quiet, "4")),
    );
    for (connections, checks) in &checks {
        let what = format!("/welcome over {connections}, p99");
        let (quiet, flooded) = (&checks.quiet.p99, &checks.flooded.p99);
        row(&what, "nothing", quiet, None);
        let flood = format!("sign-ins over {} connections", isolation::FLOOD);
        row(&what, &flood, flooded, Some((quiet, "3")));
    }
    Ok(format!(
        "## Starvation\n\n\
         The server on {cores}, bcrypt at cost {cost}. Sign-ins with right passwords, one after the other: alone, beside busy \
         loops of other processes on the server's cores, and beside token checks that keep these cores busy. Then token checks, \
         alone and beside a flood of sign-ins.\n\n{table}"
    ))
}

/// The median time of a sign-in, in milliseconds. Fails unless every one is granted.
fn median(server: &Server, sign_ins: &Load) -> Result<f64> {
    let outcome = sign_ins.send(server.port)?.all_granted()?;
    ensure!(
        outcome.requests > 0,
        "no sign-in was answered within {} s",
        sign_ins.seconds
    );
    Ok(outcome.p50())
}

/// Processes that never rest, until this is dropped.
struct BusyLoops(Vec<Child>);

impl BusyLoops {
    /// They end by themselves after so many seconds.
    fn start(cores: &Cores, seconds: u64) -> Result<Self> {
        let mut loops = Self(Vec::new());
        for _ in 0..LOOPS {
            let mut command = Cores::pinned(cores.server, env::current_exe()?);
            let child = command.args(["spin", &seconds.to_string()]).spawn()?;
            loops.0.push(child);
        }
        Ok(loops)
    }
}

impl Drop for BusyLoops {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

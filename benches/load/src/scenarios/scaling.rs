//! What a second core adds.

use std::path::PathBuf;

use anyhow::Result;

use super::{CONNECTIONS, Figures, TURNS, WARM_UP, bearer, steady};
use crate::{bench::Bench, machine::Cores, server::Server, table::Table, wrk::Load};

/// Where few ask at a time, threads that hand requests to each other have to be woken for it.
const FEW: usize = 4;

#[derive(Clone, Copy)]
enum Who {
    BareWarp,
    WarpAlone,
    Ours,
}

/// Each server with each number of connections.
struct Row {
    who: Who,
    connections: usize,
    one: Figures,
    two: Figures,
}

/// A server that runs on `cores`, and the request for it.
struct Running {
    cores: Cores,
    server: Server,
    requests: PathBuf,
}

pub(super) fn run(bench: &Bench) -> Result<String> {
    let mut rows: Vec<Row> = [Who::BareWarp, Who::WarpAlone, Who::Ours]
        .iter()
        .flat_map(|who| {
            [CONNECTIONS, FEW].map(|connections| Row {
                who: *who,
                connections,
                one: Figures::default(),
                two: Figures::default(),
            })
        })
        .collect();
    for round in 1..=bench.options.rounds {
        eprintln!("scaling: round {round}");
        for row in &mut rows {
            row.measure(bench)?;
        }
    }

    let mut table = Table::new([
        "server",
        "connections",
        "one core, requests/s",
        "two cores, requests/s",
        "two to one",
        "processor µs/request, one",
        "two",
        "p99 ms, one",
        "two",
    ]);
    for Row {
        who,
        connections,
        one,
        two,
    } in &rows
    {
        table.row([
            who.name().to_owned(),
            connections.to_string(),
            one.rate.to_string(),
            two.rate.to_string(),
            two.rate.to(&one.rate).to_string(),
            one.processor.to_string(),
            two.processor.to_string(),
            one.p99.to_string(),
            two.p99.to_string(),
        ]);
    }
    Ok(format!(
        "## Two cores\n\n\
         GET /welcome with one token, to a server on {} and to the same on {}, by turns, {TURNS} in a round. *Bare warp* answers a \
         fixed text over this server's accept loop, with a runtime for each core; *warp alone* over warp's own, with one runtime \
         for all.\n\n{table}",
        Cores::half(),
        Cores::two()
    ))
}

impl Row {
    /// Starts the server on one core and on two, and measures them in some more turns.
    fn measure(&mut self, bench: &Bench) -> Result<()> {
        let one = self.who.start(bench, "one", Cores::half())?;
        let two = self.who.start(bench, "two", Cores::two())?;
        for running in [&one, &two] {
            running
                .load(self.connections, WARM_UP)
                .send(running.server.port)?;
        }
        for turn in 0..TURNS {
            let mut both = [(&mut self.one, &one), (&mut self.two, &two)];
            if turn % 2 == 1 {
                both.reverse();
            }
            for (figures, running) in both {
                let load = running.load(self.connections, bench.options.seconds);
                figures.take(&running.server, &load)?.all_granted()?;
            }
        }
        Ok(())
    }
}

impl Running {
    fn load(&self, connections: usize, seconds: u64) -> Load<'_> {
        Load {
            connections,
            ..steady(&self.requests, seconds, &self.cores)
        }
    }
}

impl Who {
    fn name(self) -> &'static str {
        match self {
            Self::BareWarp => "bare warp",
            Self::WarpAlone => "warp alone",
            Self::Ours => "jwt-server",
        }
    }

    fn start(self, bench: &Bench, name: &str, cores: Cores) -> Result<Running> {
        let server = match self {
            Self::BareWarp => bench.twin(false, &cores)?,
            Self::WarpAlone => bench.twin(true, &cores)?,
            Self::Ours => bench.server(&bench.fresh(name)?, &[], &cores)?,
        };
        let values = match self {
            Self::Ours => bench.ours.newcomer(server.port, "newuser")?,
            Self::BareWarp | Self::WarpAlone => bearer(&"x".repeat(400)),
        };
        let requests = bench.requests(&format!("{name}.requests"), &bench.ours.guarded, [values])?;
        Ok(Running {
            cores,
            server,
            requests,
        })
    }
}

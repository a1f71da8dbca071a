//! The token check, to a warp server that checks nothing.

use std::{fmt::Write as _, fs, path::PathBuf};

use anyhow::Result;

use super::{Figures, WARM_UP, bearer, steady};
use crate::{
    bench::Bench,
    description::{Call, Description},
    fill::{Filling, fill},
    machine::Cores,
    server::Server,
    table::Table,
    wrk::{Load, Order},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who<'a> {
    Twin,
    WarpAlone,
    Ours,
    Peer(&'a Description),
}

// Two descriptions of one name would be one row.
impl PartialEq for Description {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Description {}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tokens {
    /// One, again and again.
    Hot,
    /// Any of many at random, each seen before.
    Many,
    /// Each of many for the first time.
    Unseen,
}

/// A row: who is asked, with which tokens, on which cores.
struct Case<'a> {
    who: Who<'a>,
    tokens: Tokens,
    cores: Cores,
    figures: Figures,
}

/// A database with many sessions, and requests for it.
struct Many {
    data: PathBuf,
    requests: PathBuf,
    one: PathBuf,
}

pub(super) fn run(bench: &Bench) -> Result<String> {
    let sessions = bench.options.sessions;
    let many = many(bench, sessions)?;
    let mut cases = cases(bench);
    for round in 1..=bench.options.rounds {
        eprintln!("check: round {round}");
        for case in &mut cases {
            case.measure(bench, &many)?;
        }
    }

    let mut text = format!(
        "## The token check\n\n\
         The guarded request over 64 connections. *One token*: sent again and again, by the only user. *Many*: {sessions} live \
         sessions, tokens drawn at random, each seen before. *Unseen*: the same, each token sent once to a server that has just \
         started. *Bare warp* answers a fixed text over this server's accept loop, *warp alone* over warp's own.\n\n"
    );
    let mut table = Table::new([
        "tokens",
        "cores",
        "server",
        "requests/s",
        "to bare warp",
        "processor µs/request",
        "p50 ms",
        "p99 ms",
    ]);
    for case in &cases {
        let base = cases
            .iter()
            .find(|base| base.who == Who::Twin && base.tokens == case.tokens && base.cores == case.cores);
        let ratio = base.map_or_else(String::new, |base| {
            case.figures.rate.to(&base.figures.rate).to_string()
        });
        table.row([
            match case.tokens {
                Tokens::Hot => "one token",
                Tokens::Many => "many",
                Tokens::Unseen => "unseen",
            }
            .to_owned(),
            case.cores.to_string(),
            case.who.name().to_owned(),
            case.figures.rate.to_string(),
            ratio,
            case.figures.processor.to_string(),
            case.figures.p50.to_string(),
            case.figures.p99.to_string(),
        ]);
    }
    let _ = writeln!(text, "{table}");

    let mut scaling = Table::new(["server", "two cores to one"]);
    for who in [Who::Twin, Who::Ours] {
        let of = |cores: &Cores| {
            let case = cases
                .iter()
                .find(|case| case.who == who && case.tokens == Tokens::Hot && case.cores == *cores);
            case.map(|case| &case.figures.rate)
        };
        if let (Some(two), Some(one)) = (of(&Cores::two()), of(&Cores::ONE)) {
            scaling.row([who.name().to_owned(), two.to(one).to_string()]);
        }
    }
    let _ = writeln!(text, "{scaling}");
    Ok(text)
}

/// What is measured, in the order of the table.
fn cases(bench: &Bench) -> Vec<Case<'_>> {
    let case = |tokens, cores: Cores| {
        move |who| Case {
            who,
            tokens,
            cores: cores.clone(),
            figures: Figures::default(),
        }
    };
    let hot = [Who::WarpAlone, Who::Twin, Who::Ours].into_iter();
    let pair = [Who::Twin, Who::Ours];
    hot.chain(bench.peers.iter().map(Who::Peer))
        .map(case(Tokens::Hot, Cores::ONE))
        .chain(pair.map(case(Tokens::Hot, Cores::two())))
        .chain(pair.map(case(Tokens::Many, Cores::ONE)))
        .chain(pair.map(case(Tokens::Unseen, Cores::ONE)))
        .collect()
}

fn many(bench: &Bench, sessions: usize) -> Result<Many> {
    let data = bench.fresh("many")?;
    let signed_in = Filling::SignedIn {
        first: 0,
        users: sessions,
    };
    let tokens = fill(&data, bench.options.algorithm.as_deref(), &[signed_in])?;
    let all = tokens.iter().map(|token| bearer(token));
    let one = tokens.first().map(|token| bearer(token));
    Ok(Many {
        data,
        requests: bench.requests("many.requests", &bench.ours.guarded, all)?,
        one: bench.requests("one.requests", &bench.ours.guarded, one)?,
    })
}

impl Who<'_> {
    fn name(&self) -> &str {
        match self {
            Self::Twin => "bare warp",
            Self::WarpAlone => "warp alone",
            Self::Ours => "jwt-server",
            Self::Peer(peer) => &peer.name,
        }
    }
}

impl Case<'_> {
    /// Starts the server anew and measures it once more.
    fn measure(&mut self, bench: &Bench, many: &Many) -> Result<()> {
        let (server, requests) = match (self.who, self.tokens) {
            (Who::Twin | Who::WarpAlone, tokens) => {
                let requests = if tokens == Tokens::Hot {
                    &many.one
                } else {
                    &many.requests
                };
                (
                    bench.twin(self.who == Who::WarpAlone, &self.cores)?,
                    requests.clone(),
                )
            }
            (Who::Ours, Tokens::Many | Tokens::Unseen) => {
                (bench.server(&many.data, &[], &self.cores)?, many.requests.clone())
            }
            (Who::Ours, Tokens::Hot) => {
                let data = bench.fresh("one")?;
                let server = bench.server(&data, &[], &self.cores)?;
                let requests = newcomer(bench, &bench.ours, &server)?;
                (server, requests)
            }
            (Who::Peer(peer), _) => {
                let data = bench.fresh("peer")?;
                fs::create_dir(&data)?;
                let server = bench.peer(peer, &data, &self.cores)?;
                let requests = newcomer(bench, peer, &server)?;
                (server, requests)
            }
        };
        let load = steady(&requests, bench.options.seconds, &self.cores);
        // Enough time to send each once.
        let once = Load {
            order: Order::Once,
            seconds: 10 * bench.options.seconds,
            ..load.clone()
        };
        let load = match self.tokens {
            Tokens::Hot => {
                Load {
                    seconds: WARM_UP,
                    ..load.clone()
                }
                .send(server.port)?;
                load
            }
            Tokens::Many => {
                once.send(server.port)?;
                load
            }
            Tokens::Unseen => once,
        };
        self.figures.take(&server, &load)?.all_granted()?;
        Ok(())
    }
}

/// The guarded request of somebody who has just signed up.
fn newcomer(bench: &Bench, description: &Description, server: &Server) -> Result<PathBuf> {
    let values = description.newcomer(server.port, "newuser")?;
    let guarded: &Call = &description.guarded;
    bench.requests("newcomer.requests", guarded, [values])
}

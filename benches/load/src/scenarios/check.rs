//! The token check, to a warp server that checks nothing.

use std::{fmt::Write as _, fs, iter, path::PathBuf};

use anyhow::{Context, Result};
use jwt_server::Config;

use super::{Figures, WARM_UP, bearer, steady};
use crate::{
    bench::Bench,
    description::{Call, Description, Values},
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
    /// Which of the algorithms this server signs with; the others are sent the tokens of the first.
    algorithm: usize,
    tokens: Tokens,
    cores: Cores,
    figures: Figures,
}

/// A database with many sessions, and requests for it.
struct Many<'a> {
    /// What its tokens are signed with; `None` for the server's default.
    algorithm: Option<&'a str>,
    data: PathBuf,
    requests: PathBuf,
    one: PathBuf,
    /// One of those who are signed in.
    somebody: Values,
}

pub(super) fn run(bench: &Bench) -> Result<String> {
    let sessions = bench.options.sessions;
    let many = many(bench, sessions)?;
    let mut cases = cases(bench, many.len());
    bench.settle()?;
    for round in 1..=bench.options.rounds {
        eprintln!("check: round {round}");
        for case in &mut cases {
            case.measure(bench, &many[case.algorithm])?;
        }
    }

    let mut text = format!(
        "## The token check\n\n\
         The guarded request over 64 connections. *One token*: sent again and again, by the only user. *Many*: {sessions} live \
         sessions, tokens drawn at random, each seen before. *Unseen*: the same, each token sent once to a server that has just \
         started, once it has read its sessions. *Bare warp* answers a fixed text over this server's accept loop, *warp alone* over \
         warp's own{}.\n\n",
        if many.len() > 1 {
            "; it is sent the tokens of the first algorithm"
        } else {
            ""
        }
    );
    let mut table = Table::new([
        "tokens",
        "cores",
        "server",
        "algorithm",
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
            if case.who == Who::Ours {
                name(many[case.algorithm].algorithm)
            } else {
                String::new()
            },
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
            let case = cases.iter().find(|case| {
                (case.who, case.tokens, case.algorithm) == (who, Tokens::Hot, 0) && case.cores == *cores
            });
            case.map(|case| &case.figures.rate)
        };
        if let (Some(two), Some(one)) = (of(&Cores::two()), of(&Cores::ONE)) {
            scaling.row([who.name().to_owned(), two.to(one).to_string()]);
        }
    }
    let _ = writeln!(text, "{scaling}");
    Ok(text)
}

/// What is measured, in the order of the table, of this server with so many algorithms.
fn cases(bench: &Bench, algorithms: usize) -> Vec<Case<'_>> {
    let case = |tokens, cores: Cores| {
        move |(who, algorithm)| Case {
            who,
            algorithm,
            tokens,
            cores: cores.clone(),
            figures: Figures::default(),
        }
    };
    let ours = || (0..algorithms).map(|algorithm| (Who::Ours, algorithm));
    let pair = || iter::once((Who::Twin, 0)).chain(ours());
    let peers = bench.peers.iter().map(|peer| (Who::Peer(peer), 0));
    let hot = iter::once((Who::WarpAlone, 0)).chain(pair()).chain(peers);
    hot.map(case(Tokens::Hot, Cores::ONE))
        .chain(pair().take(2).map(case(Tokens::Hot, Cores::two())))
        .chain(pair().map(case(Tokens::Many, Cores::ONE)))
        .chain(pair().map(case(Tokens::Unseen, Cores::ONE)))
        .collect()
}

/// A database for each algorithm.
fn many(bench: &Bench, sessions: usize) -> Result<Vec<Many<'_>>> {
    let asked = bench.options.algorithms.iter().map(|name| Some(name.as_str()));
    let mut algorithms: Vec<Option<&str>> = asked.collect();
    if algorithms.is_empty() {
        algorithms.push(None);
    }
    let database = |(number, algorithm)| {
        let data = bench.fresh(&format!("many-{number}"))?;
        let tokens = fill(&data, algorithm, &[Filling::signed_in(sessions)])?;
        let requests = |what: &str, tokens: &[String]| {
            let file = format!("{what}-{number}.requests");
            bench.requests(
                &file,
                &bench.ours.guarded,
                tokens.iter().map(|token| bearer(token)),
            )
        };
        Ok(Many {
            algorithm,
            data,
            requests: requests("many", &tokens)?,
            one: requests("one", &tokens[..1])?,
            somebody: bearer(&tokens[0]),
        })
    };
    algorithms.into_iter().enumerate().map(database).collect()
}

/// What an algorithm is called in a table.
fn name(algorithm: Option<&str>) -> String {
    let default = Config::default().token.algorithm;
    algorithm.unwrap_or(default.as_str()).to_owned()
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
                let mut server = bench.server_signing(&many.data, many.algorithm, &self.cores)?;
                // The sessions of a large database are read while it serves already, on the same core.
                let whole = bench.ours.whole.as_ref().context("this server lists sessions")?;
                server.granted_after(&whole.raw(&many.somebody))?;
                (server, many.requests.clone())
            }
            (Who::Ours, Tokens::Hot) => {
                let data = bench.fresh("one")?;
                let server = bench.server_signing(&data, many.algorithm, &self.cores)?;
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

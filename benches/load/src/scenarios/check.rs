//! The token check, to a warp server that checks nothing.

use std::{fmt::Write as _, fs, path::PathBuf};

use anyhow::Result;
use jwt_server::Config;

use super::{Figures, TURNS, WARM_UP, bearer, steady};
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

/// A row: who is asked, with which tokens.
struct Case<'a> {
    who: Who<'a>,
    /// Which of the algorithms this server signs with; the others are sent the tokens of the first.
    algorithm: usize,
    tokens: Tokens,
    speed: Speed,
}

/// What was measured of a server, and by turns with it of the two that check nothing, with the same load.
#[derive(Debug, Default)]
struct Speed {
    server: Figures,
    bare: Figures,
    alone: Figures,
}

impl Speed {
    /// Sends `load` to each of them in so many more `turns`, each time in another order.
    fn take(&mut self, server: &Server, twins: &Twins, load: &Load, turns: usize) -> Result<()> {
        let mut order = [0, 1, 2];
        for _ in 0..turns {
            for which in order {
                let (figures, server) = match which {
                    0 => (&mut self.alone, &twins.alone),
                    1 => (&mut self.bare, &twins.bare),
                    _ => (&mut self.server, server),
                };
                figures.take(server, load)?.all_granted()?;
            }
            order.rotate_left(1);
        }
        Ok(())
    }
}

/// Two servers that answer everything alike: over this server's accept loop, and over warp's own.
struct Twins {
    bare: Server,
    alone: Server,
}

/// A database with many sessions, and requests for it.
struct Many<'a> {
    /// What its tokens are signed with; `None` for the server's default.
    algorithm: Option<&'a str>,
    data: PathBuf,
    requests: PathBuf,
    /// A user who is signed in.
    user: Values,
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
         The guarded request over 64 connections, to a server on one core. *One token*: sent again and again, by the only user. \
         *Many*: {sessions} live sessions, tokens drawn at random, each seen before. *Unseen*: the same, each token sent once to a \
         server that has just started, once it has read its sessions. *Bare warp* answers a fixed text over this server's accept loop, *warp alone* over \
         warp's own. Each server takes turns with both, which are sent the same, {TURNS} in a round, and its ratios are taken \
         turn by turn; the rows of the two are those beside the first server after them.\n\n"
    );
    let mut table = Table::new([
        "tokens",
        "server",
        "algorithm",
        "requests/s",
        "to bare warp",
        "to warp alone",
        "processor µs/request",
        "p50 ms",
        "p99 ms",
    ]);
    let mut shown = None;
    for case in &cases {
        let (tokens, speed) = (case.tokens.name(), &case.speed);
        let mut row = |who: &str, algorithm: String, figures: &Figures| {
            table.row([
                tokens.to_owned(),
                who.to_owned(),
                algorithm,
                figures.rate.to_string(),
                figures.rate.to(&speed.bare.rate).to_string(),
                figures.rate.to(&speed.alone.rate).to_string(),
                figures.processor.to_string(),
                figures.p50.to_string(),
                figures.p99.to_string(),
            ]);
        };
        if shown.replace(case.tokens) != Some(case.tokens) {
            row("warp alone", String::new(), &speed.alone);
            row("bare warp", String::new(), &speed.bare);
        }
        let algorithm = if case.who == Who::Ours {
            name(many[case.algorithm].algorithm)
        } else {
            String::new()
        };
        row(case.who.name(), algorithm, &speed.server);
    }
    let _ = writeln!(text, "{table}");
    Ok(text)
}

/// What is measured, in the order of the table, of this server with so many algorithms.
fn cases(bench: &Bench, algorithms: usize) -> Vec<Case<'_>> {
    let case = |tokens| {
        move |(who, algorithm)| Case {
            who,
            algorithm,
            tokens,
            speed: Speed::default(),
        }
    };
    let ours = || (0..algorithms).map(|algorithm| (Who::Ours, algorithm));
    let peers = bench.peers.iter().map(|peer| (Who::Peer(peer), 0));
    let hot = ours().chain(peers);
    hot.map(case(Tokens::Hot))
        .chain(ours().map(case(Tokens::Many)))
        .chain(ours().map(case(Tokens::Unseen)))
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
        Ok(Many {
            algorithm,
            data,
            requests: bench.requests(
                &format!("many-{number}.requests"),
                &bench.ours.guarded,
                tokens.iter().map(|token| bearer(token)),
            )?,
            user: bearer(&tokens[0]),
        })
    };
    algorithms.into_iter().enumerate().map(database).collect()
}

/// What an algorithm is called in a table.
fn name(algorithm: Option<&str>) -> String {
    let default = Config::default().token.algorithm;
    algorithm.unwrap_or(default.as_str()).to_owned()
}

impl Tokens {
    fn name(self) -> &'static str {
        match self {
            Self::Hot => "one token",
            Self::Many => "many",
            Self::Unseen => "unseen",
        }
    }
}

impl Who<'_> {
    fn name(&self) -> &str {
        match self {
            Self::Ours => "jwt-server",
            Self::Peer(peer) => &peer.name,
        }
    }
}

impl Case<'_> {
    /// Starts the server anew and measures it once more.
    fn measure(&mut self, bench: &Bench, many: &Many) -> Result<()> {
        let (server, requests) = match (self.who, self.tokens) {
            (Who::Ours, Tokens::Many | Tokens::Unseen) => {
                let mut server = bench.server_signing(&many.data, many.algorithm, &Cores::ONE)?;
                // The sessions of a large database are read while it serves already, on the same core.
                server.granted_after(&bench.whole(&many.user)?)?;
                (server, many.requests.clone())
            }
            (Who::Ours, Tokens::Hot) => {
                let data = bench.fresh("one")?;
                let server = bench.server_signing(&data, many.algorithm, &Cores::ONE)?;
                let requests = newcomer(bench, &bench.ours, &server)?;
                (server, requests)
            }
            (Who::Peer(peer), _) => {
                let data = bench.fresh("peer")?;
                fs::create_dir(&data)?;
                let server = bench.peer(peer, &data, &Cores::ONE)?;
                let requests = newcomer(bench, peer, &server)?;
                (server, requests)
            }
        };
        let load = steady(&requests, bench.options.seconds, &Cores::ONE);
        // Enough time to send each once.
        let once = Load {
            order: Order::Once,
            seconds: 10 * bench.options.seconds,
            ..load.clone()
        };
        let twins = Twins {
            bare: bench.twin(false, &Cores::ONE)?,
            alone: bench.twin(true, &Cores::ONE)?,
        };
        let warm_up = Load {
            seconds: WARM_UP,
            ..load.clone()
        };
        warm_up.send(twins.bare.port)?;
        warm_up.send(twins.alone.port)?;
        match self.tokens {
            Tokens::Hot => {
                warm_up.send(server.port)?;
                self.speed.take(&server, &twins, &load, TURNS)
            }
            Tokens::Many => {
                once.send(server.port)?;
                self.speed.take(&server, &twins, &load, TURNS)
            }
            // A token is seen only once.
            Tokens::Unseen => self.speed.take(&server, &twins, &once, 1),
        }
    }
}

/// The guarded request of a user who has just signed up.
fn newcomer(bench: &Bench, description: &Description, server: &Server) -> Result<PathBuf> {
    let values = description.newcomer(server.port, "newuser")?;
    let guarded: &Call = &description.guarded;
    bench.requests("newcomer.requests", guarded, [values])
}

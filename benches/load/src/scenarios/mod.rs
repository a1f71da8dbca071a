//! What is measured. Each file is one scenario: it says what it did and gives a table.

mod check;
mod growth;
mod isolation;
mod listing;
mod micro;
mod pruning;
mod scaling;
mod sign_in;
mod starvation;
mod writes;

pub(crate) use self::growth::Size;

use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Subcommand;

use crate::{
    bench::Bench,
    machine::{self, Cores},
    server::Server,
    table::Series,
    wrk::{Load, Outcome},
};

/// How many connections there are where there is no reason for another number.
const CONNECTIONS: usize = 64;
/// How long a load runs before it is measured, in seconds.
const WARM_UP: u64 = 1;
/// How often a server and bare warp take turns in a round: a noisy machine is another one a minute later.
const TURNS: usize = 4;

#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum Scenario {
    /// The token check on GET /welcome: one token, many tokens, tokens never seen before
    Check,
    /// The token check on one core and on two
    Scaling,
    /// Sign-ins a second, to what the processor can hash
    SignIn,
    /// What signed-in users notice of a flood of sign-ins
    Isolation,
    /// How long a sign-in takes on busy cores, and a token check in a flood of sign-ins
    Starvation,
    /// Log-outs a second, to what the store can make durable
    Writes,
    /// Memory, start and speed with more and more users and sessions
    Growth,
    /// The longest stall of a request while expired sessions are forgotten
    Pruning,
    /// Pages of a long list of users, and what the token check notices of them
    Listing,
    /// The micro-benchmarks (`cargo bench`)
    Micro,
    /// All of the above, one after the other
    All,
}

impl Scenario {
    /// Measures, and prints a document in Markdown.
    pub(crate) fn run(self, bench: &Bench) -> Result<()> {
        println!("# Benchmarks\n");
        println!("What each table says and how it is taken: [benches/README.md](../benches/README.md).\n");
        println!("{}", machine::describe(&bench.root)?);
        let all = [
            Self::Check,
            Self::Scaling,
            Self::SignIn,
            Self::Isolation,
            Self::Starvation,
            Self::Writes,
            Self::Growth,
            Self::Pruning,
            Self::Listing,
            Self::Micro,
        ];
        let mut failed = Vec::new();
        for scenario in all {
            if matches!(self, Self::All) || std::mem::discriminant(&self) == std::mem::discriminant(&scenario)
            {
                eprintln!("== {scenario:?}");
                // The other scenarios are worth having all the same.
                match scenario.measure(bench) {
                    Ok(text) => println!("{text}"),
                    Err(error) => {
                        println!("## {scenario:?}\n\nIt failed: {error:#}\n");
                        failed.push(scenario);
                    }
                }
            }
        }
        ensure!(failed.is_empty(), "these failed: {failed:?}");
        Ok(())
    }

    fn measure(self, bench: &Bench) -> Result<String> {
        match self {
            Self::Check => check::run(bench),
            Self::Scaling => scaling::run(bench),
            Self::SignIn => sign_in::run(bench),
            Self::Isolation => isolation::run(bench),
            Self::Starvation => starvation::run(bench),
            Self::Writes => writes::run(bench),
            Self::Growth => growth::run(bench),
            Self::Pruning => pruning::run(bench),
            Self::Listing => listing::run(bench),
            Self::Micro => micro::run(bench),
            Self::All => Ok(String::new()),
        }
    }
}

/// What was measured again and again of one server under one load.
#[derive(Debug, Default)]
struct Figures {
    /// Answers a second.
    rate: Series,
    /// Microseconds of processor time of the server for each answer, on all its cores together.
    processor: Series,
    /// Milliseconds.
    p50: Series,
    p99: Series,
}

impl Figures {
    /// Sends `load` to `server` once more.
    fn take(&mut self, server: &Server, load: &Load) -> Result<Outcome> {
        let before = server.usage()?.processor;
        let outcome = load.send(server.port)?;
        let processor = server.usage()?.processor.saturating_sub(before);
        self.rate.add(outcome.rate());
        self.processor
            .add(processor.as_secs_f64() * 1e6 / outcome.requests as f64);
        self.p50.add(outcome.p50());
        self.p99.add(outcome.p99());
        Ok(outcome)
    }
}

/// What was measured of a server and, by turns with it and with the same load, of bare warp.
#[derive(Debug, Default)]
struct Pair {
    server: Figures,
    bare: Figures,
}

impl Pair {
    /// Sends `load` to each of them in so many more `turns`. It is sent to `server` after `bare`, then the other way round.
    fn take(&mut self, server: &Server, bare: &Server, load: &Load, turns: usize) -> Result<()> {
        for turn in 0..turns {
            let bare_first = turn % 2 == 0;
            if bare_first {
                self.bare.take(bare, load)?;
            }
            self.server.take(server, load)?.all_granted()?;
            if !bare_first {
                self.bare.take(bare, load)?;
            }
        }
        Ok(())
    }

    /// How many answers a second the server gives, to those of bare warp.
    fn ratio(&self) -> Series {
        self.server.rate.to(&self.bare.rate)
    }
}

/// A load of any of `requests` at random over [`CONNECTIONS`].
fn steady<'a>(requests: &'a std::path::Path, seconds: u64, cores: &'a Cores) -> Load<'a> {
    Load {
        requests,
        order: crate::wrk::Order::Random,
        connections: CONNECTIONS,
        seconds,
        cores,
        count_answers: false,
        pause: Duration::ZERO,
    }
}

/// The values of a request with this token.
fn bearer(token: &str) -> crate::description::Values {
    [("token".to_owned(), token.to_owned())].into()
}

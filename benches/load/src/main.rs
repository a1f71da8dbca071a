//! Measures the server on this machine: against a bare warp server on the same core, against what the processor and the
//! disk can do at the most, and against other servers. Figures mean little across machines and moments, ratios within one
//! run do: so whatever is compared is measured in short rounds by turns. See `benches/README.md`.

mod bench;
mod description;
mod fill;
mod limits;
mod machine;
mod scenarios;
mod server;
mod table;
mod wrk;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use self::{
    bench::Bench,
    limits::Limit,
    scenarios::{Scenario, Size},
};

#[derive(Parser)]
#[command(
    about = "Measures jwt-server against a bare warp server, the limits of the machine, and other servers"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    options: Options,
}

#[derive(Subcommand)]
enum Command {
    #[command(flatten)]
    Scenario(Scenario),
    #[command(flatten, next_help_heading = "Run by the above")]
    Limit(Limit),
}

/// What every scenario goes by.
#[derive(Args, Clone, Debug)]
struct Options {
    /// How often each figure is taken.
    #[arg(long, global = true, default_value_t = 5)]
    rounds: usize,
    /// How long each takes, in seconds.
    #[arg(long, global = true, default_value_t = 4)]
    seconds: u64,
    /// How many sessions are live where there are many.
    #[arg(long, global = true, default_value_t = 100_000)]
    sessions: usize,
    /// Another server to measure in the same run: a file as in benches/load/servers. Can be given several times.
    #[arg(long = "peer", global = true, value_name = "FILE")]
    peers: Vec<PathBuf>,
    /// bcrypt's cost; unless given, `sign-in` takes 10, because only its ratio counts, and all others the server's own.
    #[arg(long, global = true)]
    cost: Option<u32>,
    /// The server's `token.algorithm`; its own default if not given. Of several, `check` measures all, and the others the
    /// first.
    #[arg(
        long = "algorithm",
        global = true,
        value_name = "ALGORITHM",
        value_delimiter = ','
    )]
    algorithms: Vec<String>,
    /// What `growth` grows through: USERS with a session each, or USERS:SESSIONS, of which so many have one. `pruning` prunes
    /// as many sessions as the most.
    #[arg(
        long,
        global = true,
        value_delimiter = ',',
        default_value = "1,1000,10000,100000,1000000:100000,1000000"
    )]
    sizes: Vec<Size>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    match arguments.command {
        Command::Limit(limit) => limit.run(),
        Command::Scenario(scenario) => scenario.run(&Bench::new(arguments.options)?),
    }
}

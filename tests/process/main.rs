//! The real binary as a child process: its start, its commands, its answers to bad clients, and what a kill or a signal leaves
//! behind. Each file is one group of tests; `server` and `client` are the helpers of all of them.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper of the tests ends the test at a surprise"
)]

mod administration;
mod audit;
mod client;
mod clock;
mod commands;
mod damage;
mod example;
mod flood;
mod full;
mod import;
mod keys;
mod kill;
mod listen;
mod log;
mod owner;
mod places;
mod proxy;
mod room;
mod server;
mod socket;
mod start;
mod stop;

//! The real binary as a child process: how it starts, what its commands say, what a kill and a signal leave behind, and
//! what its socket puts up with. Each file is one group; `server` and `client` are what they all stand on.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's helper has nothing better to do with a surprise than to end the test"
)]

mod client;
mod clock;
mod commands;
mod damage;
mod example;
mod flood;
mod full;
mod keys;
mod kill;
mod log;
mod proxy;
mod room;
mod server;
mod socket;
mod start;
mod stop;

//! `serve`: listens, opens the database, prints the banner, serves, and stops on SIGTERM or SIGINT.

mod banner;
mod risks;
mod signals;

use tokio::task::spawn_blocking;

use self::banner::Banner;
use super::{
    control,
    failure::Failure,
    process::{say, start_log},
    threads,
};
use crate::{
    auth::Auth,
    config::Config,
    http::Api,
    server::{Cores, Listeners},
    telemetry,
};

/// How many files the server has open at most, beside its connections and those of each core.
const OWN_FILES: usize = 64;
/// A runtime has four, and a thread that hashes has one.
const CORE_FILES: usize = 5;

/// Serves. The `warnings` go into the banner.
pub(super) fn run(config: &Config, warnings: &[String]) -> Result<(), Failure> {
    threads::for_server(config)?;
    let log = start_log(config)?;
    let cores = Cores::start().map_err(|error| Failure::io("the threads can't start", &error))?;
    cores.block_on(async {
        tokio::select! {
            served = serve(config, warnings, &cores) => served,
            () = log.say_left_out() => Ok(()),
        }
    })
}

async fn serve(config: &Config, warnings: &[String], cores: &Cores) -> Result<(), Failure> {
    // Before the database is opened: a second server on the same port must leave it alone.
    let listeners = Listeners::bind(&config.server)?;
    // Before that as well, so that a signal does not interrupt the opening.
    let stop = signals::told_to_stop().map_err(|error| Failure::io("signals can't be received", &error))?;
    let auth = Auth::open(config, telemetry::listeners(&config.audit)).await?;
    let counts = auth
        .count()
        .await
        .map_err(|error| Failure::Other(error.to_string()))?;
    let has_administrator = auth
        .accounts()
        .have_administrator()
        .await
        .map_err(|error| Failure::Other(error.to_string()))?;
    let banner = Banner {
        config,
        warnings,
        addresses: listeners.addresses(),
        users: counts.users,
        has_administrator,
        sessions: counts.sessions,
        key: auth.key(),
        files_needed: config.server.max_connections
            + listeners.addresses().len()
            + OWN_FILES
            + CORE_FILES * cores.count(),
        files_allowed: rlimit::increase_nofile_limit(u64::MAX).ok(),
    };
    say(&banner.to_string());
    banner.log();
    let app = Api::new(auth.clone(), config).app();
    tokio::select! {
        served = cores.serve(listeners, app, &config.server, stop) => served?,
        never = control::run(auth.accounts().clone(), config) => match never {},
    };
    if let Err(error) = auth.keep_attempts().await {
        tracing::error!(%error, "the failed attempts could not be written to the database");
    }
    // On another thread: closing waits for the disk, and this one still handles a second signal.
    let _ = spawn_blocking(move || drop(auth)).await;
    tracing::info!("stopped");
    Ok(())
}

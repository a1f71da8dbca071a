//! `serve`: listens, opens the database, prints the banner, serves, and stops on SIGTERM or SIGINT.

mod banner;
mod risks;
mod signals;

use std::io;

use tokio::{net::TcpListener, task::spawn_blocking};

use self::banner::Banner;
use super::{
    failure::Failure,
    process::{say, start_log},
    threads,
};
use crate::{auth::Auth, config::Config, http::Api, server::Cores, telemetry};

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
    let listener = listen(config).await?;
    // Before that as well, so that a signal does not interrupt the opening.
    let stop = signals::told_to_stop().map_err(|error| Failure::io("signals can't be received", &error))?;
    let auth = Auth::open(config, telemetry::EventLog::listeners()).await?;
    let counts = auth
        .count()
        .await
        .map_err(|error| Failure::Other(error.to_string()))?;
    let banner = Banner {
        config,
        warnings,
        address: listener.local_addr().unwrap_or(config.server.listen),
        users: counts.users,
        sessions: counts.sessions,
        key: auth.key(),
        files_needed: config.server.max_connections + OWN_FILES + CORE_FILES * cores.count(),
        files_allowed: rlimit::increase_nofile_limit(u64::MAX).ok(),
    };
    say(&banner.to_string());
    let app = Api::new(auth.clone(), config).app();
    cores.serve(listener, app, &config.server, stop).await;
    if let Err(error) = auth.keep_attempts().await {
        tracing::error!(%error, "the failed attempts could not be written to the database");
    }
    // On another thread: closing waits for the disk, and this one still handles a second signal.
    let _ = spawn_blocking(move || drop(auth)).await;
    tracing::info!("stopped");
    Ok(())
}

async fn listen(config: &Config) -> Result<TcpListener, Failure> {
    let address = config.server.listen;
    TcpListener::bind(address).await.map_err(|error| {
        let advice = match error.kind() {
            io::ErrorKind::AddrInUse => {
                "; stop the process that listens there, or choose another port with --listen"
            }
            _ => "",
        };
        Failure::Other(format!(
            "can't listen on {address} (server.listen): {error}{advice}"
        ))
    })
}

//! `serve`: opens everything, says what it found, serves, and stops on SIGTERM or SIGINT.

use std::fmt::Write as _;

use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

use super::{Failure, runtime, say};
use crate::{auth::Auth, config::Config, server, store::Count, telemetry};

/// What a shell reports for a process ended by SIGINT.
const KILLED: i32 = 130;
/// bcrypt costs below this are for tests.
const LEAST_SAFE_COST: u32 = 10;

pub(super) fn run(config: &Config) -> Result<(), Failure> {
    telemetry::install(&config.log);
    runtime()?.block_on(serve(config))
}

async fn serve(config: &Config) -> Result<(), Failure> {
    // Before the database is touched: a second server on the same port must not.
    let address = config.server.listen;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| Failure::io(&format!("can't listen on {address} (server.listen)"), &error))?;
    let auth = Auth::open(config).await?;
    let stop = stop_signal().map_err(|error| Failure::io("signals can't be received", &error))?;
    let count = auth
        .count()
        .await
        .map_err(|error| Failure::Other(error.to_string()))?;
    let bound = listener.local_addr().unwrap_or(address);
    say(&banner(config, &auth, count, &format!("http://{bound}")));
    server::serve(listener, auth.app(), &config.server, stop).await;
    tracing::info!("stopped");
    Ok(())
}

/// What the server found when it started, for whoever started it.
fn banner(config: &Config, auth: &Auth, count: Count, url: &str) -> String {
    let mut text = format!("jwt-server {}\n", env!("CARGO_PKG_VERSION"));
    let plural = |n: u64, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let users = plural(count.users, "user");
    let sessions = plural(count.sessions as u64, "live session");
    let key = auth.key();
    let source = key
        .given_by
        .as_ref()
        .map_or("made by this server, kept in its database".to_owned(), |origin| {
            format!("from {origin}")
        });
    let _ = writeln!(text, "  listening on  {url}");
    let _ = writeln!(
        text,
        "  database      {} ({users}, {sessions})",
        config.store.path.display()
    );
    let _ = writeln!(text, "  signing key   {source} (HS256, kid {})", key.id);
    if let Some(ended) = key.replaced {
        let ended = plural(ended as u64, "session");
        let _ = writeln!(
            text,
            "  note: the signing key is not the one of the last start: every older token is dead, and {ended} ended"
        );
    }
    for risk in risks(config) {
        let _ = writeln!(text, "  warning: {risk}");
    }
    text
}

/// The settings that are not safe everywhere.
fn risks(config: &Config) -> Vec<String> {
    let mut risks = Vec::new();
    let address = config.server.listen;
    if !address.ip().is_loopback() {
        risks.push(format!(
            "server.listen {address} is reachable from other machines without TLS: passwords and tokens can be read on the way. Put a TLS proxy in front, and listen on loopback"
        ));
    }
    let cost = config.password.bcrypt_cost;
    if cost < LEAST_SAFE_COST {
        risks.push(format!(
            "password.bcrypt_cost {cost} is below {LEAST_SAFE_COST}: stolen password hashes could be guessed cheaply"
        ));
    }
    if config.password.min_strength == 0 {
        risks.push("password.min_strength 0 lets everybody choose a password such as \"password\"".into());
    }
    risks
}

/// Ready when the process is told to stop; told twice, it ends at once.
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::warn!("told to stop a second time: ending at once");
            std::process::exit(KILLED);
        });
    })
}

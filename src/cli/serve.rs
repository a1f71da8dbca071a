//! `serve`: opens everything, says what it found, serves, and stops on SIGTERM or SIGINT.

use std::{
    fmt::Write as _,
    fs,
    io::{self, Write as _},
    os::unix::fs::PermissionsExt,
    time::Duration,
};

use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::oneshot,
    task::spawn_blocking,
    time::timeout,
};

use super::{Failure, say};
use crate::{
    auth::Auth,
    config::{Config, Origin, TokenConfig},
    http::Api,
    server::Cores,
    store::Count,
    telemetry,
};

/// What a shell reports for a process ended by SIGINT.
const KILLED: i32 = 130;
/// What the server has open at the most, beside its connections and what it has for each core.
const OWN_DESCRIPTORS: usize = 64;
/// A runtime has four, and a thread that hashes one.
const CORE_DESCRIPTORS: usize = 5;
/// A second signal sooner than this is the first one, sent to the process and to its group.
const ONE_SIGNAL: Duration = Duration::from_millis(10);
/// bcrypt costs below this are for tests.
const LEAST_SAFE_COST: u32 = 10;

pub(super) fn run(config: &Config) -> Result<(), Failure> {
    let log = telemetry::install(&config.log);
    let cores = Cores::start().map_err(|error| Failure::io("the threads can't start", &error))?;
    cores.block_on(async {
        tokio::select! {
            served = serve(config, &cores) => served,
            () = log.say_dropped() => Ok(()),
        }
    })
}

async fn serve(config: &Config, cores: &Cores) -> Result<(), Failure> {
    // Before the database is touched: a second server on the same port must not.
    let address = config.server.listen;
    let listener = TcpListener::bind(address).await.map_err(|error| {
        let advice = match error.kind() {
            io::ErrorKind::AddrInUse => "; stop what listens there, or choose another port with --listen",
            _ => "",
        };
        Failure::Other(format!(
            "can't listen on {address} (server.listen): {error}{advice}"
        ))
    })?;
    // Before it as well: a signal in the midst of opening must not cut it short.
    let stop = stop_signal().map_err(|error| Failure::io("signals can't be received", &error))?;
    let auth = Auth::open(config).await?;
    let count = auth
        .count()
        .await
        .map_err(|error| Failure::Other(error.to_string()))?;
    let bound = listener.local_addr().unwrap_or(address);
    let descriptors = OWN_DESCRIPTORS + CORE_DESCRIPTORS * cores.count();
    say(&banner(
        config,
        &auth,
        count,
        &format!("http://{bound}"),
        descriptors,
    ));
    let app = Api::new(auth.clone(), config).app();
    cores.serve(listener, app, &config.server, stop).await;
    if let Err(error) = auth.keep_attempts().await {
        tracing::error!(%error, "failed attempts could not be written down");
    }
    // On another thread: closing waits for the disk, and whoever says it twice does not want to.
    let _ = spawn_blocking(move || drop(auth)).await;
    tracing::info!("stopped");
    Ok(())
}

/// What the server found when it started, for whoever started it. It has so many `descriptors` open beside its connections.
fn banner(config: &Config, auth: &Auth, count: Count, url: &str, descriptors: usize) -> String {
    let mut text = format!("jwt-server {}\n", env!("CARGO_PKG_VERSION"));
    let plural = |n: u64, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let users = plural(count.users, "user");
    let sessions = count.sessions.map_or_else(
        || "live sessions still to be read".to_owned(),
        |sessions| plural(sessions as u64, "live session"),
    );
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
    let _ = writeln!(
        text,
        "  signing key   {source} ({}, kid {})",
        key.algorithm, key.id
    );
    if let Some(next) = &key.next {
        let (algorithm, id, from) = (next.algorithm, &next.id, next.signs_from);
        let _ = writeln!(text, "  next key      signs from {from} ({algorithm}, kid {id})");
    }
    if let Some(ended) = key.replaced {
        let ended = plural(ended as u64, "session");
        let _ = writeln!(
            text,
            "  note: the signing key is not the one of the last start: every older token is dead, and {ended} ended"
        );
    }
    let allowed = rlimit::increase_nofile_limit(u64::MAX).ok();
    for risk in risks(config, config.server.max_connections + descriptors, allowed) {
        let _ = writeln!(text, "  warning: {risk}");
    }
    text
}

/// The settings that are not safe everywhere, where the process wants so many descriptors and is allowed so many.
fn risks(config: &Config, wanted: usize, allowed: Option<u64>) -> Vec<String> {
    let mut risks = Vec::new();
    let address = config.server.listen;
    if !address.ip().is_loopback() && config.server.trusted_proxies.is_empty() {
        risks.push(format!(
            "server.listen {address} is reachable from other machines without TLS or a trusted proxy: passwords and tokens can be read on the way. Put a TLS proxy in front, and listen on loopback"
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
    risks.extend(key_risks(&config.token));
    if let Some(allowed) = allowed.filter(|allowed| *allowed < wanted as u64) {
        risks.push(format!(
            "server.max_connections {} needs {wanted} open files, and the system allows {allowed}: the connections beyond that have to wait",
            config.server.max_connections
        ));
    }
    risks
}

/// What is odd about the secret and the private key that were given.
fn key_risks(token: &TokenConfig) -> Vec<String> {
    let mut risks = Vec::new();
    let secret = token.secret.as_ref().map(|secret| &secret.origin);
    let file = token.key_file.as_ref().map(|file| &file.origin);
    for origin in [secret, file].into_iter().flatten() {
        let (Origin::SecretFile(path) | Origin::KeyFile(path)) = origin else {
            continue;
        };
        let mode = fs::metadata(path).map(|file| file.permissions().mode());
        if mode.is_ok_and(|mode| mode & 0o077 != 0) {
            risks.push(format!(
                "{origin} can be read by other users of this machine, who could sign tokens with it: chmod 600 {path}"
            ));
        }
    }
    if let Some(origin) = secret.filter(|_| token.algorithm.has_public_keys()) {
        risks.push(format!(
            "token.algorithm is {}, so the secret from {origin} only verifies what it has signed before: leave it out once `jwt-server key list` shows no HS256 key",
            token.algorithm
        ));
    }
    risks
}

/// Ready when the process is told to stop; told twice, it ends at once, whatever it is doing.
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut told = async move || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let (stop, stopped) = oneshot::channel();
    tokio::spawn(async move {
        told().await;
        let _ = stop.send(());
        let echo = async {
            loop {
                told().await;
            }
        };
        let _: Result<(), _> = timeout(ONE_SIGNAL, echo).await;
        told().await;
        // Not through the log, whose thread is not waited for.
        let _ = writeln!(
            io::stderr(),
            "jwt-server: told to stop a second time: ending at once"
        );
        std::process::exit(KILLED);
    });
    Ok(async move {
        // The task above ends only with the process.
        let _ = stopped.await;
    })
}

//! The longest stall of a request while many expired sessions are pruned.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use jwt_server::clock::{Clock, SystemClock, Timestamp};

use super::{bearer, steady};
use crate::{
    bench::Bench,
    fill::{Filling, fill},
    machine::Cores,
    server::Server,
    table::{Table, short},
    wrk::{Load, Order},
};

/// Sessions that live on: one is asked for again and again, the others log out one after the other.
const LIVE: usize = 8000;
/// How many of them log out in a second: few, because what the server writes tells when it prunes.
const LOG_OUTS: u64 = 10;
/// The sessions that run out belong to so many users.
const USERS: usize = 1000;
/// Fewer are filled in a second on any machine worth measuring on.
const FILLED_A_SECOND: usize = 5000;
/// How often the server looks for sessions that have run out.
const PRUNED_EVERY: Duration = Duration::from_mins(1);
/// So long after the sessions have run out, it does.
const MARGIN: Duration = Duration::from_secs(10);
/// One look at the server, in seconds.
const WINDOW: u64 = 5;
/// Nothing is pruned for longer.
const PATIENCE: Duration = Duration::from_mins(10);

/// What was seen in one window.
#[derive(Clone, Copy, Default)]
struct Seen {
    welcome: f64,
    welcome_p99: f64,
    log_out: f64,
    log_out_p50: f64,
    written: u64,
}

pub(super) fn run(bench: &Bench) -> Result<String> {
    let sessions = bench
        .options
        .sizes
        .iter()
        .map(|size| size.sessions)
        .max()
        .context("sizes to grow through")?;
    let cores = Cores::ONE;
    let clock = SystemClock::new();
    let filling = Duration::from_secs(30 + (sessions / FILLED_A_SECOND) as u64);
    let end = clock.now().plus(filling + PRUNED_EVERY);
    let data = bench.fresh("pruning")?;
    let fillings = [
        Filling::signed_in(LIVE),
        Filling::Sessions {
            sessions,
            users: USERS,
            end,
        },
    ];
    let tokens = fill(&data, bench.algorithm(), &fillings)?;
    bench.settle()?;

    // It looks for them a minute after its start: so that they have all run out then, and none at the start.
    let start = end.plus(MARGIN).minus(PRUNED_EVERY);
    ensure!(
        clock.now() < start,
        "{sessions} sessions were not filled in in time: choose fewer"
    );
    wait_until(&clock, start);
    let mut server = bench.server(&data, &[], &cores)?;
    // Until then the server is not quiet, and log-outs wait.
    server.granted_after(&bench.whole(&bearer(&tokens[0]))?)?;
    let quiet = watch(bench, &server, &cores, &tokens, 0)?;
    wait_until(&clock, end);
    let (pruning, took) = prune(bench, &server, &cores, &tokens, quiet.written)?;

    let mut table = Table::new([
        "",
        "/welcome p99 ms",
        "/welcome longest ms",
        "log-out p50 ms",
        "log-out longest ms",
        "MiB written a second",
    ]);
    for (when, seen) in [
        ("quiet".to_owned(), quiet),
        (format!("pruning, {took} s or less"), pruning),
    ] {
        table.row([
            when,
            short(seen.welcome_p99),
            short(seen.welcome),
            short(seen.log_out_p50),
            short(seen.log_out),
            short(crate::table::mib(seen.written) / WINDOW as f64),
        ]);
    }
    Ok(format!(
        "## Pruning\n\n\
         {sessions} sessions run out at the same moment and are forgotten, the server on one core. Meanwhile /welcome is asked over 4 \
         connections as fast as it is answered, and {LOG_OUTS} times a second a client logs out. Windows of {WINDOW} s, the worst of them.\n\n{table}"
    ))
}

/// Watches from before the pruning until after it. It is over when the server writes as little as it did before.
fn prune(
    bench: &Bench,
    server: &Server,
    cores: &Cores,
    tokens: &[String],
    quiet: u64,
) -> Result<(Seen, u64)> {
    let (start, mut worst, mut windows, mut turn) = (Instant::now(), Seen::default(), 0, 1);
    while start.elapsed() < PATIENCE {
        let seen = watch(bench, server, cores, tokens, turn)?;
        turn += 1;
        let busy = seen.written > 2 * quiet;
        if busy {
            windows += 1;
            worst = Seen {
                welcome: worst.welcome.max(seen.welcome),
                welcome_p99: worst.welcome_p99.max(seen.welcome_p99),
                log_out: worst.log_out.max(seen.log_out),
                log_out_p50: worst.log_out_p50.max(seen.log_out_p50),
                written: worst.written.max(seen.written),
            };
        } else if windows > 0 {
            break;
        }
    }
    ensure!(windows > 0, "the server has not pruned anything");
    Ok((worst, windows * WINDOW))
}

/// One window: `/welcome` with the first token, log-outs with others, each window with its own.
fn watch(bench: &Bench, server: &Server, cores: &Cores, tokens: &[String], turn: usize) -> Result<Seen> {
    let each = usize::try_from(WINDOW * LOG_OUTS)?;
    let (hot, others) = tokens.split_first().context("no user was signed in")?;
    let log_outs = others
        .chunks(each)
        .nth(turn)
        .context("every user has logged out")?;
    let log_out = bench.ours.log_out.as_ref().context("this server has a log-out")?;
    let welcome = bench.requests("welcome.requests", &bench.ours.guarded, [bearer(hot)])?;
    let log_outs = bench.requests(
        "log-out.requests",
        log_out,
        log_outs.iter().map(|token| bearer(token)),
    )?;

    let welcome = Load {
        connections: 4,
        ..steady(&welcome, WINDOW, cores)
    };
    let log_outs = Load {
        connections: 1,
        order: Order::Once,
        pause: Duration::from_millis(1000 / LOG_OUTS),
        ..steady(&log_outs, WINDOW, cores)
    };
    let before = server.usage()?.written;
    let log_outs = log_outs.start(server.port)?;
    let welcome = welcome.send(server.port)?.all_granted()?;
    let log_outs = log_outs.finish()?;
    Ok(Seen {
        welcome: welcome.longest(),
        welcome_p99: welcome.p99(),
        log_out: log_outs.longest(),
        log_out_p50: log_outs.p50(),
        written: server.usage()?.written - before,
    })
}

fn wait_until(clock: &SystemClock, moment: Timestamp) {
    let wait = moment.since(clock.now());
    eprintln!("waiting for {wait:?}");
    thread::sleep(wait);
}

//! What the server is compared with: a warp server that checks nothing, and what the processor and the
//! disk can do at the most. Each runs as a process of its own, on the cores that the server has at other times.

use std::{
    fs::File,
    future::pending,
    io::Write,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::Subcommand;
use futures_util::future::try_join_all;
use jwt_server::{
    Config,
    clock::{Clock, SystemClock},
    domain::{PasswordHash, Session, SessionId, User, UserRoles, Username},
    event::Listeners,
    server::Cores,
    store::{self, UserCreation},
};
use tokio::net::TcpListener;
use warp::Filter;

use crate::description::PASSWORD;

/// Run by the scenarios, not by a person.
#[derive(Subcommand)]
pub(crate) enum Limit {
    /// Answers everything alike, over the server's own accept loop or warp's.
    Twin {
        port: u16,
        #[arg(long)]
        warp_alone: bool,
    },
    /// Prints how many passwords a second `threads` threads verify.
    Bcrypt { cost: u32, threads: usize, seconds: u64 },
    /// Prints how many of `sessions` sessions a second `writers` tasks end, straight through the store.
    Commits {
        scratch: PathBuf,
        sessions: usize,
        writers: usize,
    },
    /// Prints how many blocks of 4 KiB a second can be appended to a file and synced, one after the other.
    Syncs { scratch: PathBuf, seconds: u64 },
    /// Keeps a core busy, as a neighbour of the server does.
    Spin { seconds: u64 },
}

impl Limit {
    pub(crate) fn run(self) -> Result<()> {
        let rate = match self {
            Self::Twin { port, warp_alone } => return twin(port, warp_alone),
            Self::Spin { seconds } => {
                spin(Duration::from_secs(seconds));
                return Ok(());
            }
            Self::Bcrypt {
                cost,
                threads,
                seconds,
            } => verifications(cost, threads, Duration::from_secs(seconds))?,
            Self::Commits {
                scratch,
                sessions,
                writers,
            } => runtime()?.block_on(commits(&scratch, sessions, writers))?,
            Self::Syncs { scratch, seconds } => syncs(&scratch, Duration::from_secs(seconds))?,
        };
        println!("{rate}");
        Ok(())
    }
}

/// One for all cores.
fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

fn twin(port: u16, warp_alone: bool) -> Result<()> {
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let answer = warp::any().map(|| "Welcome newuser!\n Your roles are: [CLIENT]");
    if warp_alone {
        return runtime()?.block_on(async {
            warp::serve(answer).incoming(bind().await?).run().await;
            Ok(())
        });
    }
    let cores = Cores::start()?;
    cores.block_on(async {
        let limits = Config::default().server;
        cores.serve(bind().await?, answer, &limits, pending()).await?;
        Ok(())
    })
}

/// Each thread goes on until the time is over and counts what it has finished, with the time that took: no part of a
/// verification is lost or counted twice.
fn verifications(cost: u32, threads: usize, time: Duration) -> Result<f64> {
    let hash = bcrypt::hash(PASSWORD, cost)?;
    let count = || {
        let start = Instant::now();
        let mut verified = 0_u32;
        while start.elapsed() < time {
            if bcrypt::verify(PASSWORD, &hash).unwrap_or(false) {
                verified += 1;
            }
        }
        f64::from(verified) / start.elapsed().as_secs_f64()
    };
    let rate = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(count)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or(0.0))
            .sum()
    });
    Ok(rate)
}

async fn commits(scratch: &Path, sessions: usize, writers: usize) -> Result<f64> {
    let directory = tempfile::tempdir_in(scratch)?;
    let now = SystemClock::new().now();
    let mut config = Config::default().store;
    config.path = directory.path().join("data");
    let store = store::open(&config, now, Listeners::default()).await?;
    let hash = PasswordHash::parse(&format!("$2b$12${}", ".".repeat(53))).context("a hash")?;
    let user = User::new(Username::parse("ada")?, hash, UserRoles::default(), now);
    let id = user.id;
    ensure!(store.create_user(user, None).await? == UserCreation::Created);
    let hour = Duration::from_hours(1);
    let sessions: Vec<Session> = (0..sessions)
        .map(|_| Session::start(id, hour, hour, now).0)
        .collect();
    let names: Vec<SessionId> = sessions.iter().map(|session| session.id).collect();

    let open = |session| store.open_session(session, 0, usize::MAX, None);
    for some in sessions.chunks(1000) {
        try_join_all(some.iter().cloned().map(open)).await?;
    }

    let start = Instant::now();
    let writers: Vec<_> = (0..writers)
        .map(|writer| {
            let (store, step) = (Arc::clone(&store), writers);
            let own: Vec<SessionId> = names.iter().copied().skip(writer).step_by(step).collect();
            tokio::spawn(async move {
                for session in own {
                    store.close_session(session).await?;
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for writer in try_join_all(writers).await? {
        writer?;
    }
    Ok(names.len() as f64 / start.elapsed().as_secs_f64())
}

fn syncs(scratch: &Path, time: Duration) -> Result<f64> {
    let mut file: File = tempfile::tempfile_in(scratch)?;
    let start = Instant::now();
    let mut synced = 0_u32;
    while start.elapsed() < time {
        file.write_all(&[0x5a; 4096])?;
        file.sync_data()?;
        synced += 1;
    }
    Ok(f64::from(synced) / start.elapsed().as_secs_f64())
}

fn spin(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {}
}

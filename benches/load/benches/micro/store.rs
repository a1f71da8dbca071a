//! The store alone: what a request reads, and what a write waits for.

use std::{
    cell::RefCell,
    sync::{Arc, LazyLock},
    time::Duration,
};

use divan::{Bencher, counter::ItemsCount};
use futures_util::future::join_all;
use jwt_server::{
    domain::{Session, SessionId, TokenId, User, Username},
    store::Store,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::server::{NOW, name, on_disk, open, user};

const HOUR: Duration = Duration::from_hours(1);
/// How many entries the whitelist has.
const WHITELIST: usize = 1_000_000;
/// How many writes come at once.
const WRITERS: usize = 64;

/// A store with a million live sessions, of a thousand users, in an order in which nothing lies beside its neighbour.
struct Crowd {
    store: Arc<dyn Store>,
    names: Vec<(SessionId, TokenId)>,
    runtime: Runtime,
    _directory: TempDir,
}

static CROWD: LazyLock<Crowd> = LazyLock::new(|| {
    // In memory if that can be had: what is measured here does not touch the disk.
    let directory = tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| on_disk());
    let runtime = Runtime::new().expect("a runtime");
    let store = runtime.block_on(open(&directory.path().join("data")));
    let users: Vec<User> = (0..1000).map(|number| user(&format!("user-{number}"))).collect();
    let mut names = Vec::with_capacity(WHITELIST);
    runtime.block_on(async {
        join_all(users.iter().map(|user| store.create_user(user.clone(), None))).await;
        while names.len() < WHITELIST {
            let opened = users.iter().map(|user| {
                let (session, token) = Session::start(user.id, HOUR, HOUR, NOW);
                names.push((session.id, token.id));
                store.open_session(session, 0, usize::MAX, None)
            });
            join_all(opened).await;
        }
    });
    // By the token's id, which is random.
    names.sort_by_key(|(_, token)| token.to_string());
    Crowd {
        store,
        names,
        runtime,
        _directory: directory,
    }
});

/// `Store::accepted`, each time with another of a million tokens.
#[divan::bench(sample_size = 2000)]
fn whitelist_of_a_million(bencher: Bencher) {
    let crowd = &*CROWD;
    let turn = RefCell::new(crowd.names.iter().cycle());
    bencher
        .with_inputs(|| *turn.borrow_mut().next().expect("a circle has no end"))
        .bench_local_values(|(session, token)| {
            crowd
                .runtime
                .block_on(crowd.store.accepted(session, token, NOW))
                .expect("no disk is asked")
        });
}

/// `Store::user_by_name`, of a thousand users.
#[divan::bench(sample_size = 256)]
fn user_by_name(bencher: Bencher) {
    let crowd = &*CROWD;
    let names: Vec<Username> = (0..1000).map(|number| name(&format!("user-{number}"))).collect();
    let turn = RefCell::new(names.iter().cycle());
    bencher
        .with_inputs(|| turn.borrow_mut().next().expect("a circle has no end"))
        .bench_local_values(|name| {
            crowd
                .runtime
                .block_on(crowd.store.user_by_name(name))
                .expect("a good disk")
        });
}

/// `Store::open_session`: so many at once, until the last of them is on the disk.
#[divan::bench(args = [1, WRITERS], sample_count = 500)]
fn durable_writes(bencher: Bencher, writers: usize) {
    let directory = on_disk();
    let runtime = Runtime::new().expect("a runtime");
    let store = runtime.block_on(open(&directory.path().join("data")));
    let ada = user("ada");
    let id = ada.id;
    runtime.block_on(async {
        let _ = store.create_user(ada, None).await.expect("a good disk");
    });
    let sessions = || -> Vec<Session> {
        (0..writers)
            .map(|_| Session::start(id, HOUR, HOUR, NOW).0)
            .collect()
    };
    bencher
        .counter(ItemsCount::new(writers))
        .with_inputs(sessions)
        .bench_local_values(|sessions| {
            let opened = sessions
                .into_iter()
                .map(|session| store.open_session(session, 0, usize::MAX, None));
            runtime.block_on(join_all(opened))
        });
}

//! A machine's clock that is wrong: at a start, and while the server runs. The test sets it; nothing sleeps.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering::SeqCst},
};

use jwt_server::{
    Auth, Config,
    auth::{KeyRotation, Parts},
    clock::{Clock, ManualClock, Sources, SystemClock},
    domain::{Algorithm, RequestContext},
    event::{Actor, Listeners},
    store,
};
use serde_json::json;
use tempfile::TempDir;
use warp::http::StatusCode;

use crate::{
    keys::kid,
    server::{PASSWORD, START, Server, claims},
};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// The clocks of a machine, in seconds. It stays on through the restarts of the server.
#[derive(Clone, Debug, Default)]
struct Machine(Arc<Moments>);

#[derive(Debug, Default)]
struct Moments {
    /// How far the wall clock is ahead of the right time.
    ahead: AtomicI64,
    elapsed: AtomicI64,
}

impl Machine {
    fn set_ahead(&self, seconds: i64) {
        self.0.ahead.store(seconds, SeqCst);
    }

    fn right_time(&self) -> i64 {
        i64::try_from(START.as_secs()).unwrap() + self.0.elapsed.load(SeqCst)
    }

    async fn start(&self, directory: TempDir) -> Server {
        let mut config = Config::default();
        config.store.path = directory.path().join("data");
        config.password.bcrypt_cost = 4;
        config.password.hash_threads = 2;
        config.token.algorithm = Algorithm::EdDsa;
        let clock = SystemClock::of(self.clone());
        let store = store::open(&config.store, clock.now(), Listeners::default())
            .await
            .unwrap();
        clock.continue_from(store.latest(), store.settled());
        let parts = Parts::new(Arc::clone(&store), Arc::new(clock));
        let auth = Auth::new(&config, parts).await.unwrap();
        Server::over(auth, store, config, Arc::new(ManualClock::new(START)), directory)
    }

    /// Lets time pass, in which the server looks after itself once a minute, or once in a quarter of an hour if it is long.
    async fn pass(&self, server: &Server, seconds: i64) {
        let step = if seconds < DAY { MINUTE } else { 15 * MINUTE };
        for _ in 0..seconds / step {
            self.0.elapsed.fetch_add(step, SeqCst);
            server.auth.follow_clock().await.unwrap();
            server.auth.prune().await.unwrap();
            server.auth.tend_keys().await.unwrap();
            server.auth.keep_attempts().await.unwrap();
        }
    }
}

impl Sources for Machine {
    fn wall(&self) -> i64 {
        (self.right_time() + self.0.ahead.load(SeqCst)) * 1000
    }

    fn elapsed(&self) -> i64 {
        self.0.elapsed.load(SeqCst) * 1000
    }
}

/// An API token that is good for so many days.
async fn api_token(server: &Server, session: &str, days: i64) -> String {
    let wanted = json!({"name": "backup", "roles": ["CLIENT"], "expires_in": days * DAY});
    let answer = server.post_with_token("/me/tokens", session, &wanted).await;
    answer.assert_status(StatusCode::CREATED);
    answer.json()["token"].as_str().unwrap().to_owned()
}

async fn is_good(server: &Server, token: &str) -> bool {
    let answer = server.me(token).await;
    if !answer.json()["id"].is_string() {
        answer.assert_problem(StatusCode::UNAUTHORIZED, "invalid_token");
        return false;
    }
    true
}

/// How far ahead of the right time a fresh token's `iat` and `exp` are.
async fn token_is_ahead(machine: &Machine, server: &Server) -> i64 {
    let token = server.sign_in("ada", PASSWORD).await.token();
    let claims = claims(&token);
    let [issued_at, expires_at] = ["iat", "exp"].map(|name| claims[name].as_i64().unwrap());
    assert_eq!(expires_at - issued_at, 5 * MINUTE);
    assert!(is_good(server, &token).await);
    assert_eq!(server.refresh(&token).await.json()["expires_in"], 5 * MINUTE);
    issued_at - machine.right_time()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_clock_at_a_start_deletes_no_api_token() {
    for wrong in [-2 * HOUR, -2 * DAY, -20_000 * DAY, 2 * DAY, 365 * DAY] {
        let machine = Machine::default();
        let server = machine.start(tempfile::tempdir().unwrap()).await;
        let session = server.user("ada").await;
        let token = api_token(&server, &session, 90).await;
        let shorter = api_token(&server, &session, 1).await;
        // Twice, because a start goes on from what the one before it has written.
        let mut stopped = server;
        for _ in 0..2 {
            machine.set_ahead(wrong);
            let server = machine.start(stopped.stop()).await;
            machine.pass(&server, 20 * MINUTE).await;
            if wrong < 0 {
                assert!(
                    is_good(&server, &token).await,
                    "{wrong}: the last write is believed"
                );
            }
            server
                .sign_in("ada", PASSWORD)
                .await
                .assert_status(StatusCode::OK);
            stopped = server;
        }
        machine.set_ahead(0);
        let server = machine.start(stopped.stop()).await;
        machine.pass(&server, HOUR).await;
        assert!(is_good(&server, &token).await, "{wrong}");
        assert!(is_good(&server, &shorter).await, "{wrong}");
        machine.pass(&server, DAY).await;
        assert!(!is_good(&server, &shorter).await, "{wrong}: it lives no longer");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_behind_at_a_start_ends_no_session() {
    let machine = Machine::default();
    let server = machine.start(tempfile::tempdir().unwrap()).await;
    let token = server.user("ada").await;
    machine.set_ahead(-2 * DAY);
    let server = machine.start(server.stop()).await;
    assert!(is_good(&server, &token).await);
    assert_eq!(token_is_ahead(&machine, &server).await, 0, "the time goes on");
    machine.pass(&server, 5 * MINUTE).await;
    assert!(!is_good(&server, &token).await, "and no token lives longer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_ahead_is_not_signed_by_until_it_has_held() {
    let machine = Machine::default();
    let server = machine.start(tempfile::tempdir().unwrap()).await;
    let token = server.user("ada").await;
    machine.set_ahead(20 * HOUR);
    assert!(is_good(&server, &token).await);
    assert_eq!(token_is_ahead(&machine, &server).await, 0);
    machine.set_ahead(0);
    assert_eq!(token_is_ahead(&machine, &server).await, 0);

    machine.set_ahead(20 * HOUR);
    machine.pass(&server, 11 * MINUTE).await;
    assert_eq!(
        token_is_ahead(&machine, &server).await,
        20 * HOUR,
        "the system says so"
    );
    let token = server.sign_in("ada", PASSWORD).await.token();
    machine.set_ahead(0);
    assert_eq!(
        token_is_ahead(&machine, &server).await,
        0,
        "right with the system"
    );
    assert!(is_good(&server, &token).await, "no session ends");
    machine.pass(&server, 5 * MINUTE).await;
    assert!(!is_good(&server, &token).await, "and none lives longer");
    machine.pass(&server, 2 * HOUR).await;
    let server = machine.start(server.stop()).await;
    machine.pass(&server, 20 * MINUTE).await;
    assert_eq!(
        token_is_ahead(&machine, &server).await,
        0,
        "after a start as well"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_back_makes_no_token_live_longer() {
    for back in [HOUR, 2 * DAY] {
        let machine = Machine::default();
        let server = machine.start(tempfile::tempdir().unwrap()).await;
        let session = server.user("ada").await;
        let service = api_token(&server, &session, 1).await;
        machine.set_ahead(-back);
        assert!(is_good(&server, &session).await);
        assert_eq!(
            token_is_ahead(&machine, &server).await,
            0,
            "not before it has held"
        );
        machine.pass(&server, 5 * MINUTE).await;
        assert!(!is_good(&server, &session).await);
        machine.pass(&server, 6 * MINUTE).await;
        assert_eq!(token_is_ahead(&machine, &server).await, -back);
        assert!(is_good(&server, &service).await);
        if back < DAY {
            machine.pass(&server, DAY).await;
            assert!(!is_good(&server, &service).await);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_a_day_ahead_goes_back_and_ends_every_session() {
    let machine = Machine::default();
    machine.set_ahead(365 * DAY);
    let server = machine.start(tempfile::tempdir().unwrap()).await;
    server.user("ada").await;
    machine.pass(&server, HOUR).await;
    let session = server.sign_in("ada", PASSWORD).await.token();
    let service = api_token(&server, &session, 1).await;
    let context = RequestContext::default();
    let rotated = server
        .auth
        .rotate_keys(KeyRotation::Now, Actor::Operator { uid: None }, &context);
    let signing = rotated.await.unwrap().keys.newest().unwrap().id.clone();

    machine.set_ahead(0);
    machine.pass(&server, 59 * MINUTE).await;
    let session = server.sign_in("ada", PASSWORD).await.token();
    assert!(is_good(&server, &session).await);
    machine.pass(&server, 2 * MINUTE).await;
    assert!(!is_good(&server, &session).await);
    assert_eq!(token_is_ahead(&machine, &server).await, 0);
    let token = server.sign_in("ada", PASSWORD).await.token();
    assert_eq!(kid(&token), signing, "no older key signs");

    assert!(is_good(&server, &service).await);
    machine.pass(&server, DAY).await;
    assert!(
        !is_good(&server, &service).await,
        "it has its own life, not a year more"
    );
    let server = machine.start(server.stop()).await;
    assert_eq!(
        token_is_ahead(&machine, &server).await,
        0,
        "after a start as well"
    );
}

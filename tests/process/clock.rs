//! A clock that is set back while the server is not running. Nobody may set this machine's clock for a test, so the
//! database is told by another process that it is later than it is.

use jwt_server::{clock::Timestamp, config::StoreConfig, event::Listeners, store};

use crate::{
    client::{PASSWORD, claims},
    server::Home,
};

const TWO_MINUTES: u64 = 120;

#[test]
fn a_clock_that_is_set_back_between_two_starts_gives_no_token_a_longer_life() {
    let home = Home::new();
    let server = home.start();
    server.sign_up("ada", PASSWORD).assert_status(201);
    let token = server.sign_in("ada", PASSWORD).token();
    let issued_at = claims(&token)["iat"].as_u64().unwrap();
    server.kill();

    let later = Timestamp::from_secs(issued_at + TWO_MINUTES);
    let config = StoreConfig {
        path: home.path("data"),
        cache: 1 << 20,
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = store::open(&config, later, Listeners::default()).await.unwrap();
        store.prune(later, 1).await.unwrap();
    });

    let server = home.start();
    // Of the token's five minutes, two are over.
    let left = server.refresh(&token).json()["expires_in"].as_u64().unwrap();
    assert!(left <= 300 - TWO_MINUTES, "{left} seconds are left");
    let next = server.sign_in("ada", PASSWORD).token();
    assert!(claims(&next)["iat"].as_u64().unwrap() >= later.as_secs());
    server.logs("before the last write to the database: the time goes on from that write");
}

//! A clock that is set back while the server is not running. A test may not set this machine's clock, so this process writes a
//! later time into the database.

use jwt_server::{clock::Timestamp, config::StoreConfig, event::Listeners, store};

use crate::{
    client::{PASSWORD, claims},
    server::Home,
};

const TWO_MINUTES: u64 = 120;

#[test]
fn a_clock_set_back_between_starts_prolongs_no_token() {
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
    // Two of the token's five minutes are over.
    let left = server.refresh(&token).json()["expires_in"].as_u64().unwrap();
    assert!(left <= 300 - TWO_MINUTES, "{left} seconds are left");
    let next = server.sign_in("ada", PASSWORD).token();
    assert!(claims(&next)["iat"].as_u64().unwrap() >= later.as_secs());
    server.logs("before the last write to the database: the time goes on from that write");
}

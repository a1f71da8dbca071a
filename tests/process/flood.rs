//! Who asks for more sign-ins than there is time for is turned away, slowly, and those who are signed in do not notice.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{client::PASSWORD, server::Home};

/// An answer that turns somebody away is held back for so long.
const PAUSE: Duration = Duration::from_secs(1);

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "how long an answer takes is what is tested"
)]
fn who_fails_too_often_is_turned_away_slowly_and_still_is_after_a_restart() {
    let home = Home::new();
    let throttled = || {
        home.server()
            .flag("--throttle.address_failures", "3")
            .flag("--throttle.address_refill", "1d")
    };
    let server = throttled().start();
    server.sign_up("ada", PASSWORD).assert_status(201);
    for name in ["eve", "bob", "no name!"] {
        server
            .sign_in(name, "not-the-password")
            .assert_problem(401, "invalid_credentials");
    }
    let start = Instant::now();
    let refused = server.sign_in("eve", "not-the-password");
    assert!(start.elapsed() >= PAUSE);
    refused.assert_problem(429, "too_many_attempts");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((86_000..=86_400).contains(&wait), "{wait}");
    // She signed up from here, so she is no stranger.
    let token = server.sign_in("ada", PASSWORD).token();
    server.signal("TERM");
    let ended = server.wait().assert_success();
    assert!(
        ended.err.contains("too many failed attempts from the address"),
        "{ended:?}"
    );

    let server = throttled().start();
    server
        .sign_in("mal", "not-the-password")
        .assert_problem(429, "too_many_attempts");
    server.me(&token).assert_status(200);
    server.sign_in("ada", PASSWORD).assert_status(200);
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "how long answers take is what is tested"
)]
fn in_a_flood_of_sign_ins_those_who_are_signed_in_are_served() {
    let home = Home::new();
    let server = home.server().flag("--password.hash_queue", "2").start();
    for name in ["ada", "eve"] {
        server.sign_up(name, PASSWORD).assert_status(201);
    }
    let token = server.sign_in("ada", PASSWORD).token();
    let over = Instant::now() + 2 * PAUSE;
    let client = server.client();
    let floods: Vec<_> = (0..100)
        .map(|n| {
            thread::spawn(move || {
                let mut turned_away = 0;
                while Instant::now() < over {
                    let word = if n % 2 == 0 { PASSWORD } else { "not-the-password" };
                    let answer = client.sign_in("eve", word);
                    assert!([200, 401, 429, 503].contains(&answer.status), "{answer:?}");
                    turned_away += usize::from([429, 503].contains(&answer.status));
                }
                turned_away
            })
        })
        .collect();
    let mut slowest = Duration::ZERO;
    while Instant::now() < over {
        let start = Instant::now();
        client.me(&token).assert_status(200);
        slowest = slowest.max(start.elapsed());
    }
    let turned_away: usize = floods.into_iter().map(|flood| flood.join().unwrap()).sum();
    // Each of a hundred is turned away once a second at the most; at full speed it would be thousands.
    assert!((100..=400).contains(&turned_away), "{turned_away}");
    assert!(slowest < PAUSE, "{slowest:?}");
}

//! A flood of sign-ins: the server refuses the attempts beyond its limits, slowly, and serves signed-in users as before.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{client::PASSWORD, server::Home};

/// How long the server holds a refusal back.
const PAUSE: Duration = Duration::from_secs(1);

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "how long an answer takes is what is tested"
)]
fn too_many_failures_are_refused_slowly_even_after_a_restart() {
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
    // The account signed up from this address, so its client is no stranger.
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
fn in_a_flood_of_sign_ins_signed_in_users_are_served() {
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
    // The server refuses each of a hundred clients at most once a second; at full speed there would be thousands.
    assert!((100..=400).contains(&turned_away), "{turned_away}");
    assert!(slowest < PAUSE, "{slowest:?}");
}

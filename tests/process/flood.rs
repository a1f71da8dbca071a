//! A flood of sign-ins: the server refuses the attempts beyond its limits, slowly, and serves signed-in users as before.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    client::{PASSWORD, json_head, sign_in, sign_up, with_token},
    server::{Home, Program},
};

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

/// Where a flood comes from, and another place.
const FLOOD: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 9);
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// A server behind a proxy on this machine, with one thread that hashes.
fn with_one_thread(home: &Home) -> Program {
    home.server()
        .flag("--server.trusted_proxies", "127.0.0.1")
        .flag("--password.bcrypt_cost", "8")
        .flag("--password.hash_threads", "1")
}

/// A request of the client at `address`, which a proxy passes on.
fn from(address: Ipv4Addr, path: &str, name: &str, password: &str) -> String {
    let body = json!({"username": name, "password": password}).to_string();
    let (length, by) = (
        format!("Content-Length: {}", body.len()),
        format!("X-Forwarded-For: {address}"),
    );
    let head = json_head(path, &["Connection: close", &length, &by]);
    format!("{head}{body}")
}

#[test]
fn a_flood_of_sign_ups_keeps_no_user_from_signing_in() {
    let home = Home::new();
    let server = with_one_thread(&home).start();
    let client = server.client();
    let answer = client.ask(&from(ELSEWHERE, "/signup", "ada", PASSWORD));
    answer.assert_status(201);
    let (over, signed_up) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let floods: Vec<_> = (0..300)
        .map(|n| {
            let (over, signed_up) = (Arc::clone(&over), Arc::clone(&signed_up));
            thread::spawn(move || {
                for turn in 0.. {
                    let request = from(FLOOD, "/signup", &format!("user-{n}-{turn}"), PASSWORD);
                    if over.load(Ordering::Relaxed) {
                        return;
                    }
                    let Ok(answer) = client.try_ask(&request) else {
                        return;
                    };
                    assert!([201, 429, 503].contains(&answer.status), "{answer:?}");
                    signed_up.fetch_add(usize::from(answer.status == 201), Ordering::Relaxed);
                }
            })
        })
        .collect();
    // From elsewhere, and from the same address.
    for address in [ELSEWHERE, FLOOD].repeat(8) {
        let answer = client.ask(&from(address, "/signin", "ada", PASSWORD));
        assert_eq!(answer.status, 200, "from {address}: {answer:?}");
        thread::sleep(Duration::from_millis(100));
    }
    over.store(true, Ordering::Relaxed);
    for flood in floods {
        flood.join().unwrap();
    }
    let signed_up = signed_up.load(Ordering::Relaxed);
    assert!((1..=100).contains(&signed_up), "{signed_up} signed up");
}

#[test]
fn a_flood_of_sign_ins_keeps_no_other_network_from_signing_in() {
    let home = Home::new();
    let server = with_one_thread(&home).flag("--password.hash_queue", "8").start();
    let client = server.client();
    for (name, address) in [("ada", ELSEWHERE), ("eve", FLOOD)] {
        client
            .ask(&from(address, "/signup", name, PASSWORD))
            .assert_status(201);
    }
    let over = Arc::new(AtomicBool::new(false));
    let floods: Vec<_> = (0..100)
        .map(|_| {
            let over = Arc::clone(&over);
            thread::spawn(move || {
                let request = from(FLOOD, "/signin", "eve", PASSWORD);
                while !over.load(Ordering::Relaxed) && client.try_ask(&request).is_ok() {}
            })
        })
        .collect();
    for _ in 0..15 {
        let answer = client.ask(&from(ELSEWHERE, "/signin", "ada", PASSWORD));
        assert_eq!(answer.status, 200, "{answer:?}");
        thread::sleep(Duration::from_millis(50));
    }
    over.store(true, Ordering::Relaxed);
    for flood in floods {
        flood.join().unwrap();
    }
}

#[test]
fn forged_tokens_are_turned_away_and_a_good_one_is_served() {
    let home = Home::new();
    let server = home.server().flag("--throttle.forged_tokens", "5").start();
    server.sign_up("ada", PASSWORD).assert_status(201);
    let token = server.sign_in("ada", PASSWORD).token();
    let (claims, signature) = token.rsplit_once('.').unwrap();
    let forged = |number: usize| format!("{claims}.{number:04}{}", &signature[4..]);
    for number in 0..5 {
        server.me(&forged(number)).assert_problem(401, "invalid_token");
    }
    server.me(&forged(5)).assert_problem(429, "too_many_attempts");
    // Also one that the server has not seen before.
    for token in [token.clone(), server.sign_in("ada", PASSWORD).token()] {
        server.me(&token).assert_status(200);
    }
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "how long the flood lasts, and how long answers take, is what is tested"
)]
fn a_client_that_connects_anew_is_refused_no_more_often() {
    const SHARE: usize = 8;
    const LASTS: Duration = Duration::from_secs(3);
    let home = Home::new();
    let server = home
        .server()
        .flag("--throttle.sign_ups", "1")
        .flag("--throttle.sign_up_refill", "1d")
        .flag("--server.max_connections_per_address", &SHARE.to_string())
        .start();
    let client = server.client();
    client.sign_up("ada", PASSWORD).assert_status(201);
    let token = client.sign_in("ada", PASSWORD).token();
    let begun = Instant::now();
    let floods: Vec<_> = (0..2)
        .map(|_| {
            thread::spawn(move || {
                while begun.elapsed() < LASTS {
                    // It is closed without its answer.
                    let connection = client.connect_from(Ipv4Addr::LOCALHOST);
                    let _ = connection.and_then(|mut connection| connection.send(sign_up("eve", PASSWORD)));
                    thread::sleep(Duration::from_millis(1));
                }
            })
        })
        .collect();
    thread::sleep(LASTS / 3);
    let elsewhere = Ipv4Addr::new(127, 0, 0, 2);
    for request in [sign_up("bob", PASSWORD), sign_in("bob", PASSWORD)] {
        let asked = Instant::now();
        let mut connection = client.connect_from(elsewhere).unwrap();
        connection.send(request).unwrap();
        let status = connection.answer().unwrap().status;
        assert!([200, 201].contains(&status), "{status}");
        assert!(asked.elapsed() < PAUSE / 2, "{:?}", asked.elapsed());
    }
    // Also a signed-in user at the same address, once there is a place for the connection.
    let mut answered = 0;
    while begun.elapsed() < LASTS {
        let asked = Instant::now();
        if let Ok(answer) = client.try_ask(&with_token("GET", "/me", &token)) {
            answer.assert_status(200);
            assert!(asked.elapsed() < PAUSE / 2, "{:?}", asked.elapsed());
            answered += 1;
        }
        thread::sleep(Duration::from_millis(20));
    }
    assert!(answered > 0);
    for flood in floods {
        flood.join().unwrap();
    }
    let seconds = usize::try_from(begun.elapsed().as_secs()).unwrap() + 1;
    server.signal("TERM");
    let log = server.wait().assert_success().err;
    let lines = log.matches("status=429").count();
    let sums = log.lines().filter_map(|line| line.split("refused=").nth(1));
    let summed: usize = sums
        .map(|rest| rest.split(' ').next().unwrap().parse::<usize>().unwrap())
        .sum();
    // Its share at once, its share a second, and what the last connections have asked.
    let most = SHARE * (seconds + 2);
    assert!((SHARE..=most).contains(&(lines + summed)), "{lines} and {summed}");
}

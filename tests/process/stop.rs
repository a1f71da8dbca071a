//! The stop: the server finishes running requests and refuses new ones. A second signal ends it at once.

use std::{io::ErrorKind, thread, time::Duration};

use serde_json::json;

use crate::{
    client::{Connection, Deadline, PASSWORD, json_head, sign_in, with_token},
    server::{Home, Server},
};

const STOPPING: &str = "stopping: no new connections are accepted";

/// A sign-in of `ada` whose handler runs before the client sends the body. Returns the body to send.
fn begin_sign_in(server: &Server) -> (Connection, String) {
    let body = json!({"username": "ada", "password": PASSWORD}).to_string();
    let length = format!("Content-Length: {}", body.len());
    let head = json_head("/signin", &[&length, "Expect: 100-continue"]);
    let mut connection = server.connect();
    connection.send(head).unwrap();
    connection.answer().unwrap().assert_status(100);
    (connection, body)
}

#[test]
fn either_signal_stops_an_idle_server_with_success() {
    for signal in ["TERM", "INT"] {
        let home = Home::new();
        let server = home.start();
        let mut idle = server.connect();
        idle.send("GET /me HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        idle.answer().unwrap().assert_status(401);
        let mut silent = server.connect();

        server.signal(signal);
        let ended = server.wait().assert_success();
        assert!(ended.err.contains(STOPPING), "{ended:?}");
        assert_eq!(idle.rest().unwrap(), b"");
        assert_eq!(silent.rest().unwrap(), b"");
    }
}

#[test]
fn at_a_stop_running_sign_ins_are_answered_and_new_ones_refused() {
    for signal in ["TERM", "INT"] {
        let home = Home::new();
        // A hash takes so long that the signal arrives meanwhile.
        let server = home.server().flag("--password.bcrypt_cost", "11").start();
        server.sign_up("ada", PASSWORD).assert_status(201);
        let (mut hashing, body) = begin_sign_in(&server);
        let (mut sending, _) = begin_sign_in(&server);
        hashing.send(&body).unwrap();

        server.signal(signal);
        server.logs(STOPPING);
        let refused = server.try_connect().err().map(|error| error.kind());
        assert_eq!(refused, Some(ErrorKind::ConnectionRefused));
        // Its handler runs, so the client may still send the rest.
        sending.send(&body).unwrap();
        let tokens = [hashing, sending].map(|mut connection| connection.answer().unwrap().token());
        server.wait().assert_success();

        let server = home.start();
        for token in &tokens {
            server.me(token).assert_status(200);
        }
    }
}

#[test]
fn a_second_signal_ends_the_server_at_once() {
    for (first, second) in [("TERM", "TERM"), ("INT", "TERM"), ("TERM", "INT")] {
        let home = Home::new();
        let mut server = home.start();
        let (_half_sent, _) = begin_sign_in(&server);
        server.signal(first);
        server.logs(STOPPING);
        assert!(!server.has_ended(), "it did not wait for running requests");

        // Two signals within a few milliseconds count as one: `timeout` sends such a pair.
        thread::sleep(Duration::from_millis(50));
        let soon = Deadline::after(Duration::from_secs(2));
        server.signal(second);
        let ended = server.wait();
        assert!(!soon.is_over(), "{ended:?}");
        assert!(ended.code.is_some_and(|code| code != 0), "{ended:?}");
        assert!(ended.err.contains("ending at once"), "{ended:?}");
    }
}

#[test]
fn a_request_that_outlasts_the_grace_is_cut_off() {
    let home = Home::new();
    let server = home.server().flag("--server.shutdown_grace", "200ms").start();
    let (mut half_sent, _) = begin_sign_in(&server);
    let soon = Deadline::after(Duration::from_secs(2));
    server.signal("TERM");
    let ended = server.wait().assert_success();
    assert!(!soon.is_over(), "{ended:?}");
    assert!(ended.err.contains("did not finish in time"), "{ended:?}");
    assert_eq!(half_sent.rest().unwrap(), b"");
}

#[test]
fn a_graceful_stop_loses_nothing() {
    let home = Home::new();
    let server = home.start();
    server.sign_up("ada", PASSWORD).assert_status(201);
    let live = server.ask(&sign_in("ada", PASSWORD)).token();
    let revoked = server.ask(&sign_in("ada", PASSWORD)).token();
    server
        .ask(&with_token("GET", "/logout", &revoked))
        .assert_status(204);
    server.signal("TERM");
    server.wait().assert_success();

    let server = home.start();
    assert!(
        server.banner().contains("(1 user, 1 live session)"),
        "{}",
        server.banner()
    );
    server.me(&live).assert_status(200);
    server.me(&revoked).assert_problem(401, "invalid_token");
}

#[test]
fn signals_that_are_no_order_to_stop_change_nothing() {
    let home = Home::new();
    let server = home.start();
    server.sign_up("ada", PASSWORD).assert_status(201);
    for signal in ["HUP", "USR1", "USR2"] {
        server.signal(signal);
        server.logs(&format!("SIG{signal} was received, and changes nothing"));
    }
    server.sign_in("ada", PASSWORD).assert_status(200);
    server.signal("TERM");
    server.wait().assert_success();
}

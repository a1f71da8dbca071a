//! The log: a line for each request that changes something or fails, and no text that a client wrote.

use std::time::Duration;

use serde_json::Value;

use crate::{
    client::{Answer, Deadline, PASSWORD, post_json, sign_in, with_token},
    server::{Home, Server},
};

/// The line of the log with the id of this answer's request.
#[track_caller]
fn line_of<'a>(log: &'a str, answer: &Answer) -> &'a str {
    let id = answer.header("x-request-id").unwrap();
    let mut lines = log.lines().filter(|line| line.contains(id));
    let line = lines.next().unwrap_or_else(|| panic!("no line of {id}: {log}"));
    assert!(lines.next().is_none(), "two lines of {id}: {log}");
    line
}

#[test]
fn each_request_that_changes_something_or_fails_has_one_line() {
    let home = Home::new();
    let server = home.start();
    let signed_up = server.sign_up("ada", PASSWORD);
    let signed_in = server.sign_in("ada", PASSWORD);
    let token = signed_in.token();
    let asked = server.me(&token);
    let wrong = server.sign_in("ada", "wrong password");
    let unknown = server.sign_in("unknown", PASSWORD);
    let refused = server.me("a.b.c");
    let nowhere = server.ask(&with_token("GET", "/secret-path", &token));
    let logged_out = server.log_out(&token);
    let ended = {
        server.signal("TERM");
        server.wait().assert_success()
    };
    let log = ended.err;
    let user = signed_up.json()["id"].as_str().unwrap().to_owned();
    for (answer, parts) in [
        (&signed_up, &["INFO", "POST", "/signup", "status=201", &user][..]),
        (&signed_in, &["INFO", "POST", "/signin", "status=200", &user]),
        (
            &wrong,
            &["INFO", "/signin", "status=401", "not the password", &user],
        ),
        (&unknown, &["INFO", "/signin", "status=401", "no such user"]),
        (&refused, &["INFO", "GET", "/me", "status=401", "malformed"]),
        (
            &nowhere,
            &["INFO", "GET", "route=\"-\"", "status=404", "no such path: /{}"],
        ),
        (&logged_out, &["INFO", "POST", "/logout", "status=204", &user]),
    ] {
        let line = line_of(&log, answer);
        for part in parts.iter().chain(&["client=127.0.0.1", "ms="]) {
            assert!(line.contains(part), "{part}: {line}");
        }
    }
    assert!(!log.contains(asked.header("x-request-id").unwrap()), "{log}");
    for secret in [
        token.as_str(),
        token.rsplit('.').next().unwrap(),
        PASSWORD,
        "wrong password",
        "secret-path",
    ] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
}

#[test]
fn at_debug_every_request_has_a_line_and_json_lines_are_objects() {
    let home = Home::new();
    let server = home
        .server()
        .flag("--log.level", "debug")
        .flag("--log.format", "json")
        .start();
    server.sign_up("ada", PASSWORD).assert_status(201);
    let token = server.sign_in("ada", PASSWORD).token();
    let asked = server.me(&token);
    server.signal("TERM");
    let log = server.wait().assert_success().err;
    for line in log.lines() {
        let object: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(
            object["level"].is_string() && object["timestamp"].is_string(),
            "{line}"
        );
    }
    let line: Value = serde_json::from_str(line_of(&log, &asked)).unwrap();
    assert_eq!(line["level"], "DEBUG");
    assert_eq!(line["route"], "/me");
    assert_eq!(line["status"], 200);
}

#[test]
fn a_refused_sign_in_names_the_account_if_there_is_one() {
    let home = Home::new();
    let server = home.server().flag("--throttle.account_failures", "1").start();
    let signed_up = server.sign_up("ada", PASSWORD);
    let user = signed_up.json()["id"].as_str().unwrap().to_owned();
    let malformed = server.sign_in("ada", "");
    let stranger = |name: &str| {
        let mut connection = server.connect_from([127, 0, 0, 9].into()).unwrap();
        connection.send(sign_in(name, "wrong password")).unwrap();
        connection.answer().unwrap()
    };
    let refused: Vec<_> = (0..3).map(|_| stranger("ada")).collect();
    let unknown: Vec<_> = (0..3).map(|_| stranger("unknown")).collect();
    for (account, no_account) in refused.iter().zip(&unknown) {
        assert_eq!(account.status, no_account.status);
    }
    let throttled = refused.last().unwrap();
    throttled.assert_problem(429, "too_many_attempts");
    assert!(!throttled.json().to_string().contains(&user));
    server.signal("TERM");
    let log = server.wait().assert_success().err;
    for answer in refused.iter().chain([&malformed]) {
        let line = line_of(&log, answer);
        assert!(line.contains(&format!("user={user}")), "{line}");
    }
    for answer in &unknown {
        let line = line_of(&log, answer);
        assert!(!line.contains("user="), "{line}");
    }
}

#[test]
fn a_refused_body_is_logged_with_the_fields_that_are_wrong() {
    let home = Home::new();
    let server = home.start();
    for (body, why) in [
        (
            r#"{"username":"a","password":"","SECRET":1,"SECRET2":2}"#,
            "username: too_short, password: too_short, an unknown field",
        ),
        (
            r#"{"username":"ada","password":"password"}"#,
            "password: too_weak",
        ),
        (r#"{"username":"SECRET"#, "not valid JSON: line 1, column 19"),
    ] {
        let answer = server.ask(&post_json("/signup", body));
        assert!(answer.status == 422 || answer.status == 400, "{answer:?}");
        server.logs(why);
    }
    server.signal("TERM");
    let log = server.wait().assert_success().err;
    assert!(!log.contains("SECRET"), "{log}");
}

#[test]
fn the_start_is_in_the_log_with_the_version() {
    let home = Home::new();
    let server = home.server().flag("--log.format", "json").start();
    server.signal("TERM");
    let log = server.wait().assert_success().err;
    let first: Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    assert_eq!(first["message"], "started");
    assert_eq!(first["version"], env!("CARGO_PKG_VERSION"));
    assert!(
        first["addresses"].as_str().unwrap().contains("127.0.0.1:"),
        "{log}"
    );
}

#[test]
fn a_problem_has_the_id_of_its_request() {
    let home = Home::new();
    let server = home.start();
    let problem = server.me("a.b.c");
    assert_eq!(
        problem.json()["request_id"],
        problem.header("x-request-id").unwrap()
    );
}

#[test]
fn no_client_can_forge_a_line() {
    let home = Home::new();
    let server = home.server().flag("--log.level", "debug").start();
    let forged = "ada\\nFORGED\\u001b[2J";
    for request in [
        post_json(
            "/signup",
            &format!("{{\"username\":\"{forged}\",\"password\":\"{forged}\"}}"),
        ),
        post_json(
            "/signin",
            &format!("{{\"username\":\"{forged}\",\"password\":\"x\",\"{forged}\":1}}"),
        ),
        sign_in("FORGED\r\n\u{1b}", "FORGED"),
        "GET /FORGED?FORGED HTTP/1.1\r\nHost: FORGED\r\nUser-Agent: FORGED\r\nX-Request-Id: FORGED\r\n\
         Authorization: Bearer FORGED\r\nX-Forwarded-For: FORGED\r\nConnection: close\r\n\r\n"
            .to_owned(),
    ] {
        assert!(server.ask(&request).status >= 400);
    }
    server.signal("TERM");
    let log = server.wait().assert_success().err;
    assert!(!log.contains("FORGED") && !log.contains('\u{1b}'), "{log}");
}

#[test]
fn what_is_no_request_leaves_a_line_without_its_bytes() {
    let home = Home::new();
    let server = home.start();
    let endless = format!("GET /{} HTTP/1.1\r\n", "x".repeat(70_000));
    for text in ["FORGED\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &endless] {
        let mut connection = server.connect();
        // The server may close the connection before all is sent.
        let _ = connection.send(text);
        let _ = connection.rest();
    }
    server.signal("TERM");
    let log = server.wait().assert_success().err;
    let lines = log.matches("not a request of HTTP/1.1").count();
    assert_eq!(lines, 3, "{log}");
    assert!(!log.contains("FORGED"), "{log}");
}

/// Sends so many copies of a request over one connection, and reads their answers.
fn flood(server: &Server, request: &str, times: usize) {
    let mut connection = server.connect();
    for _ in 0..times / 10 {
        connection.send(request.repeat(10)).unwrap();
        for _ in 0..10 {
            connection.answer().unwrap();
        }
    }
}

#[test]
fn of_many_refusals_one_line_tells() {
    const TIMES: usize = 2000;
    let home = Home::new();
    let server = home.start();
    let begun = Deadline::after(Duration::from_mins(1));
    for request in [
        "GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /me HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer a.b.c\r\n\r\n",
        "GET /me HTTP/1.1\r\nHost: a b\r\n\r\n",
    ] {
        flood(&server, request, TIMES);
    }
    for _ in 0..100 {
        let mut connection = server.connect();
        connection.send("no request\r\n\r\n").unwrap();
        connection.rest().unwrap();
    }
    let seconds = 60 - usize::try_from(begun.left().as_secs()).unwrap();
    server.signal("TERM");
    let log = server.wait().assert_success().err;
    let own = log.matches(" request method=").count() + log.matches("not a request of HTTP/1.1").count();
    assert!(
        own <= 20 * (seconds + 1),
        "{own} lines in {seconds} seconds: {log}"
    );
    let sums = log.lines().filter_map(|line| line.split("refused=").nth(1));
    let summed: usize = sums
        .map(|rest| {
            assert!(rest.ends_with(" networks=1"), "{rest}");
            rest.split(' ').next().unwrap().parse::<usize>().unwrap()
        })
        .sum();
    assert_eq!(own + summed, 3 * TIMES + 100, "{log}");
}

#[test]
fn what_an_attacker_makes_the_server_log_hides_no_other_client() {
    let home = Home::new();
    let server = home.server().flag("--log.format", "json").start();
    flood(&server, "GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n", 200);
    let mut other = server.connect_from([127, 0, 0, 2].into()).unwrap();
    other.send(with_token("GET", "/me", "a.b.c")).unwrap();
    let answer = other.answer().unwrap();
    server.signal("TERM");
    let log = server.wait().assert_success().err;
    let line: Value = serde_json::from_str(line_of(&log, &answer)).unwrap();
    assert_eq!(line["client"], "127.0.0.2");
}

#[test]
fn a_made_up_method_is_not_in_the_log_and_not_long() {
    let home = Home::new();
    let server = home.start();
    let answers = [32, 33, 10_000].map(|length| {
        let method = "FORGED".repeat(length / 6 + 1)[..length].to_owned();
        server.ask(&with_token(&method, "/me", "x"))
    });
    answers[0].assert_problem(405, "method_not_allowed");
    answers[1].assert_problem(431, "header_too_large");
    answers[2].assert_problem(431, "header_too_large");
    server.signal("TERM");
    let log = server.wait().assert_success().err;
    for answer in &answers {
        assert!(line_of(&log, answer).contains("request method=- route="), "{log}");
    }
    assert!(!log.contains("FORGED"), "{log}");
}

#[test]
fn a_reader_that_does_not_read_the_log_delays_no_request() {
    let home = Home::new();
    let server = home.server().flag("--log.level", "trace").log_unread().start();
    server.sign_up("ada", PASSWORD).assert_status(201);
    let token = server.sign_in("ada", PASSWORD).token();
    // A pipe holds 64 KiB; these requests log many times that.
    let mut connection = server.connect();
    let ask = format!("GET /me HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n");
    for _ in 0..3000 {
        connection.send(&ask).unwrap();
        connection.answer().unwrap().assert_status(200);
    }
    server.kill();
}

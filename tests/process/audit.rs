//! The audit trail of the real binary: what a crash leaves of it, and the command that reads it.

use std::{thread, time::Duration};

use serde_json::Value;

use crate::{
    client::PASSWORD,
    server::{Ended, Home},
};

const SECOND: Duration = Duration::from_secs(1);

fn audit(home: &Home, arguments: &str) -> Ended {
    let words: Vec<&str> = ["audit"]
        .into_iter()
        .chain(arguments.split_whitespace())
        .collect();
    home.program(&words).run()
}

#[track_caller]
fn events(home: &Home, arguments: &str) -> Vec<Value> {
    let out = audit(home, &format!("{arguments} --json")).assert_success().out;
    let lines = out.lines();
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .map(|event| event["kind"].as_str().unwrap())
        .collect()
}

#[test]
fn what_happened_a_second_ago_outlives_a_kill() {
    let home = Home::new();
    let server = home.start();
    server.sign_up("ada", PASSWORD).assert_status(201);
    server.sign_in("ada", PASSWORD).assert_status(200);
    server.sign_in("ada", "wrong password").assert_status(401);
    // Nothing else is written, so the last two wait for their own second.
    thread::sleep(2 * SECOND);
    server.kill();
    let kept = events(&home, "");
    assert_eq!(
        kinds(&kept),
        [
            "sign_in_failed",
            "signed_in",
            "user_created",
            "signing_key_created"
        ]
    );
    for event in &kept[..3] {
        assert_eq!(event["user"]["username"], "ada");
        assert_eq!(event["address"], "127.0.0.1");
        assert!(event["request_id"].is_string(), "{event}");
    }
}

#[test]
fn the_command_says_the_same_with_a_server_and_without() {
    let home = Home::new();
    let server = home.start();
    server.sign_up("ada", PASSWORD).assert_status(201);
    home.program(&["user", "disable", "ada"]).run().assert_success();
    server.sign_in("ada", "wrong password").assert_status(401);
    thread::sleep(2 * SECOND);
    let check = || {
        let all = events(&home, "");
        assert_eq!(
            kinds(&all),
            [
                "sign_in_failed",
                "user_disabled",
                "user_created",
                "signing_key_created"
            ]
        );
        assert_eq!(kinds(&events(&home, "--user ada --limit 1")), ["sign_in_failed"]);
        assert_eq!(kinds(&events(&home, "--kind user_disabled")), ["user_disabled"]);
        assert_eq!(kinds(&events(&home, "--actor operator")), ["user_disabled"]);
        assert_eq!(events(&home, "--since 1h").len(), all.len());
        assert_eq!(events(&home, "--until 2020-01-01"), [Value::Null; 0]);
        let table = audit(&home, "").assert_success().out;
        assert!(table.starts_with("TIME"), "{table}");
        assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
        assert!(table.contains("ada") && table.contains("operator"), "{table}");
        let none = audit(&home, "--user eve").assert_success().out;
        assert_eq!(none, "there is no such event\n");
        for (arguments, why) in [
            ("--kind user_vanished", "user_created"),
            ("--since tomorrow", "a day such as"),
            ("--user a/b", "a username or the id"),
        ] {
            let refused = audit(&home, arguments);
            assert_eq!(refused.code, Some(2), "{refused:?}");
            assert!(refused.err.contains(why), "{refused:?}");
        }
        all
    };
    let while_it_ran = check();
    server.signal("TERM");
    server.wait().assert_success();
    assert_eq!(check(), while_it_ran);
    let refused = audit(&home, "--follow").assert_refused(1);
    assert!(refused.contains("no server runs"), "{refused}");
}

#[test]
fn a_reader_who_follows_sees_each_event_as_it_happens() {
    let home = Home::new();
    let server = home.start();
    server.sign_up("ada", PASSWORD).assert_status(201);
    thread::sleep(2 * SECOND);
    let follower = home
        .program(&["audit", "--follow", "--json", "--user", "ada"])
        .begin();
    follower.says("\"user_created\"");
    server.sign_in("ada", PASSWORD).assert_status(200);
    follower.says("\"signed_in\"");
    server.sign_in("ada", "wrong password").assert_status(401);
    follower.says("\"sign_in_failed\"");
    let text = follower.stop();
    assert_eq!(text.lines().count(), 3, "{text}");
}

#[test]
fn events_are_lines_of_the_log_if_the_settings_say_so() {
    let home = Home::new();
    let server = home
        .server()
        .flag("--audit.log", "true")
        .flag("--log.format", "json")
        .start();
    let ada = server.sign_up("ada", PASSWORD).json()["id"].clone();
    server.sign_in("ada", "wrong password").assert_status(401);
    server.signal("TERM");
    let log = server.wait().assert_success().err;
    let lines = log.lines().map(|line| serde_json::from_str(line).unwrap());
    let audit: Vec<Value> = lines.filter(|line: &Value| line["message"] == "audit").collect();
    assert_eq!(
        kinds(&audit),
        ["signing_key_created", "user_created", "sign_in_failed"]
    );
    assert_eq!(
        (&audit[1]["user"], &audit[1]["actor"]),
        (&ada, &Value::from("anonymous"))
    );
    assert_eq!(audit[2]["details"], r#"{"reason":"wrong_password"}"#);
    assert_eq!(
        (&audit[2]["user"], &audit[2]["client"]),
        (&ada, &Value::from("127.0.0.1"))
    );
}

//! A full disk, and a read-only one. A limit on the length of a file, which any user may set, stands for the full disk. The
//! read-only one is a mount that only the server sees, where the system allows this user to make one.

use std::{fs, process::Command};

use crate::{
    client::{PASSWORD, with_token},
    server::{Home, Server},
};

/// In blocks of 512 bytes, or of 1024 in some shells: enough for a few hundred users.
const ROOM: u32 = 256;

/// What the log says when the disk is full.
pub(crate) const NO_ROOM: &str = "there is no room on the disk, or it can't be written";

/// Signs up users until the disk is full, and returns their names.
fn fill(server: &Server) -> Vec<String> {
    let mut users = Vec::new();
    for number in 0..5000 {
        let name = format!("user-{number}");
        let answer = server.sign_up(&name, PASSWORD);
        if answer.status != 201 {
            answer.assert_problem(503, "storage_unavailable");
            return users;
        }
        users.push(name);
    }
    panic!("there was room for all of {}", users.len());
}

#[test]
fn on_a_full_disk_writes_are_refused_and_reads_go_on() {
    let home = Home::new();
    let many = home.server().flag("--throttle.sign_ups", "1000000");
    let server = many.longest_file(ROOM).start();
    server.sign_up("ada", PASSWORD).assert_status(201);
    let live = server.sign_in("ada", PASSWORD).token();
    let revoked = server.sign_in("ada", PASSWORD).token();
    server.log_out(&revoked).assert_status(204);
    let users = fill(&server);
    assert!(
        users.len() > 20,
        "only {} were in when there was no room",
        users.len()
    );

    server.logs(NO_ROOM);
    for answer in [
        server.sign_up("barbara", PASSWORD),
        server.sign_in("ada", PASSWORD),
        server.log_out(&live),
    ] {
        answer.assert_problem(503, "storage_unavailable");
    }
    let welcome = server.ask(&with_token("GET", "/welcome", &live));
    welcome.assert_status(200);
    server.me(&live).assert_status(200);
    server.refresh(&live).assert_status(200);
    server.me(&revoked).assert_problem(401, "invalid_token");
    server.signal("TERM");
    let ended = server.wait().assert_success();
    assert!(!ended.err.contains("panicked"), "{ended:?}");
    assert_eq!(ended.err.matches(NO_ROOM).count(), 1, "{ended:?}");

    // Without the limit, there is room again.
    let server = home.start();
    server.me(&live).assert_status(200);
    server.me(&revoked).assert_problem(401, "invalid_token");
    for name in &users {
        server.sign_in(name, PASSWORD).assert_status(200);
    }
    server.sign_up("barbara", PASSWORD).assert_status(201);
}

#[test]
fn a_start_on_a_full_disk_leaves_a_database_that_opens_later() {
    let home = Home::new();
    let server = home.start();
    server.sign_up("ada", PASSWORD).assert_status(201);
    let token = server.sign_in("ada", PASSWORD).token();
    server.kill();

    let ended = home.server().longest_file(1).run();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let last = ended.err.lines().last().unwrap_or_default();
    assert!(
        last.starts_with("jwt-server: the database directory data can't be used: "),
        "{ended:?}"
    );
    assert!(!ended.err.contains("panicked"), "{ended:?}");
    home.start().me(&token).assert_status(200);
}

#[test]
fn a_database_on_a_read_only_disk_is_refused_in_one_line() {
    let works = Command::new("unshare").args(["-rm", "true"]).status();
    if !works.is_ok_and(|status| status.success()) {
        println!("not tried: this system lets this user make no mount of their own (unshare -rm)");
        return;
    }
    let home = Home::new();
    let server = home.start();
    server.sign_up("ada", PASSWORD).assert_status(201);
    server.kill();
    let before = home.files();

    let line = home.server().read_only("data").run().assert_refused(1);
    assert!(
        line.contains("the database directory data can't be used: "),
        "{line}"
    );
    assert!(home.files() == before);

    fs::remove_dir_all(home.path("data")).unwrap();
    fs::create_dir(home.path("data")).unwrap();
    let line = home.server().read_only("data").run().assert_refused(1);
    assert!(
        line.contains("the database directory data can't be used: "),
        "{line}"
    );
}

//! The commands `check-config`, `write-config` and `user add`, the version and the help.

use std::{fs, os::unix::fs::PermissionsExt};

use jwt_server::config;
use serde_json::json;

use crate::{
    client::PASSWORD,
    server::{Ended, Home, Program},
};

const SECRET: &str = "a-secret-of-the-tests-that-no-output-may-show";

/// `user add --create` with a cheap hash.
fn user_add(home: &Home, arguments: &[&str]) -> Program {
    let arguments = [&["user", "add", "--create"], arguments].concat();
    home.program(&arguments).flag("--password.bcrypt_cost", "4")
}

fn add(home: &Home, arguments: &[&str], password: &str) -> Ended {
    user_add(home, arguments).input(&format!("{password}\n")).run()
}

#[test]
fn check_config_shows_each_value_in_force_and_its_origin() {
    let home = Home::new();
    home.write(
        "jwt-server.toml",
        "[token]\nlifetime = \"7m\"\nissuer = \"file\"\n",
    );
    let checked = home
        .program(&["check-config", "--signup.roles", "CLIENT,EDITOR"])
        .variable("JWT_SERVER__TOKEN__ISSUER", "environment")
        .variable("JWT_SERVER__TOKEN__SECRET", SECRET)
        .run()
        .assert_success();
    let line = |value: &str| {
        let found = checked.out.lines().find(|line| line.starts_with(value));
        found.unwrap_or_else(|| panic!("no line {value} in {}", checked.out))
    };
    for (value, origin) in [
        ("lifetime = \"7m\"", "# jwt-server.toml, line 2"),
        (
            "issuer = \"environment\"",
            "# environment variable JWT_SERVER__TOKEN__ISSUER",
        ),
        ("roles = [\"CLIENT\", \"EDITOR\"]", "# flag --signup.roles"),
        ("refresh_window = \"30s\"", "# default"),
        (
            "# secret:",
            "(not shown) from environment variable JWT_SERVER__TOKEN__SECRET",
        ),
    ] {
        assert!(line(value).ends_with(origin), "{}", line(value));
    }
    assert!(!checked.out.contains(SECRET) && !checked.err.contains(SECRET));
    assert!(
        !home.path("data").exists(),
        "checking the settings made a database"
    );
}

#[test]
fn check_config_prints_a_file_that_the_server_accepts() {
    let home = Home::new();
    let told = home
        .program(&["check-config"])
        .flag("--listen", "127.0.0.1:0")
        .flag("--password.bcrypt_cost", "4")
        .flag("--token.issuer", "it's \"quoted\" # and = odd")
        .flag("--token.audience", "one,two")
        .run()
        .assert_success();
    home.write("printed.toml", &told.out);
    let again = home.program(&["check-config", "--config", "printed.toml"]).run();
    let values = |text: &str| -> Vec<String> {
        let value = |line: &str| {
            line.rsplit_once(" # ")
                .map_or(line, |(value, _)| value)
                .trim()
                .to_owned()
        };
        text.lines().map(value).collect()
    };
    assert_eq!(values(&again.assert_success().out), values(&told.out));

    let server = home.program(&["serve", "--config", "printed.toml"]).start();
    server.sign_up("ada", PASSWORD).assert_status(201);
}

#[test]
fn check_config_refuses_what_the_server_would_refuse() {
    let home = Home::new();
    home.write("jwt-server.toml", "[password]\nbcrypt_cost = 3\n");
    let line = home.program(&["check-config"]).run().assert_refused(1);
    assert!(
        line.contains("jwt-server.toml, line 2: password.bcrypt_cost can't be 3"),
        "{line}"
    );
}

#[test]
fn write_config_writes_every_setting_and_replaces_no_file() {
    let home = Home::new();
    let written = home.program(&["write-config"]).run().assert_success();
    assert_eq!(written.out, "wrote jwt-server.toml\n");
    let read = || fs::read_to_string(home.path("jwt-server.toml")).unwrap();
    assert_eq!(read(), config::default_file());
    home.program(&["check-config"]).run().assert_success();

    home.write("jwt-server.toml", "my own");
    let line = home.program(&["write-config"]).run().assert_refused(1);
    assert!(
        line.contains("jwt-server.toml exists") && line.contains("--force"),
        "{line}"
    );
    assert_eq!(read(), "my own");
    home.program(&["write-config", "--force"]).run().assert_success();
    assert_eq!(read(), config::default_file());
    assert!(
        !home.path("data").exists(),
        "writing the settings made a database"
    );
}

#[test]
fn write_config_takes_values_from_flags_alone() {
    let home = Home::new();
    home.program(&["write-config", "--config", "mine.toml", "--token.lifetime", "7m"])
        .variable("JWT_SERVER__TOKEN__ISSUER", "environment")
        .run()
        .assert_success();
    let written = fs::read_to_string(home.path("mine.toml")).unwrap();
    assert!(written.contains("\nlifetime = \"7m\"\n"), "{written}");
    assert!(written.contains("\nissuer = \"jwt-server\"\n"), "{written}");

    let line = home
        .program(&["write-config", "--token.lifetime", "0s"])
        .run()
        .assert_refused(2);
    assert!(line.contains("token.lifetime"), "{line}");
    assert!(!home.path("jwt-server.toml").exists());
}

#[test]
fn write_config_says_where_it_can_not_write() {
    let home = Home::new();
    let line = home
        .program(&["write-config", "--config", "missing/mine.toml"])
        .run()
        .assert_refused(1);
    assert!(line.contains("missing/mine.toml can't be written"), "{line}");
}

#[test]
fn an_added_user_signs_in_with_their_roles() {
    let home = Home::new();
    let added = add(&home, &["Ada", "--role", "ADMIN"], PASSWORD).assert_success();
    assert!(
        added.out.starts_with("added user ada with roles [ADMIN]"),
        "{added:?}"
    );
    assert!(!added.out.contains(PASSWORD) && !added.err.contains(PASSWORD));
    add(&home, &["bob", "--role", "CLIENT", "--role", "EDITOR"], PASSWORD).assert_success();
    // Without a role, the user gets the roles of a sign-up.
    add(&home, &["carol", "--signup.roles", "GUEST"], PASSWORD).assert_success();

    let server = home.start();
    assert!(server.banner().contains("(3 users, 0 live sessions)"));
    for (name, roles) in [
        ("ada", &["ADMIN"][..]),
        ("bob", &["CLIENT", "EDITOR"]),
        ("carol", &["GUEST"]),
    ] {
        let token = server.sign_in(name, PASSWORD).token();
        let me = server.me(&token).json();
        assert_eq!(me["username"], name);
        assert_eq!(me["roles"], json!(roles));
    }
}

#[test]
fn a_password_is_one_line_with_any_line_ending() {
    let home = Home::new();
    for (name, input) in [
        ("lf1", format!("{PASSWORD}\n")),
        ("crlf", format!("{PASSWORD}\r\n")),
        ("none", PASSWORD.to_owned()),
        ("two", format!("{PASSWORD}\nanother line\n")),
        ("mark", format!("\u{feff}{PASSWORD}\r\n")),
    ] {
        user_add(&home, &[name]).input(&input).run().assert_success();
    }
    let server = home.start();
    for name in ["lf1", "crlf", "none", "two", "mark"] {
        server.sign_in(name, PASSWORD).assert_status(200);
    }
}

#[test]
fn a_refused_user_add_says_why_and_adds_no_user() {
    let home = Home::new();
    add(&home, &["ada"], PASSWORD).assert_success();
    for (arguments, password, code, why) in [
        (&["ADA"][..], PASSWORD, 1, "there is a user"),
        (&["bob"], "password", 1, "too easy to guess"),
        (&["bob"], "short", 1, "at least 8 characters"),
        (&["bob"], "", 1, "can't be empty"),
        (&["bob"], "pass\u{1b}[D word \u{1b}[C", 1, "control character"),
        (&["bob"], "a\ttab between words", 1, "control character"),
        (&["bob"], &"long ".repeat(15), 1, "at most 71 bytes"),
        (&["bob", "--role", "admin"], PASSWORD, 2, "\"admin\" is no role"),
        (&["b b"], PASSWORD, 2, "A username has only"),
        (&["b"], PASSWORD, 2, "at least 2 characters"),
        (&["B\u{f6}b"], PASSWORD, 2, "Write bob, for instance"),
        (&["bob\u{200b}"], PASSWORD, 2, "Write bob, for instance"),
    ] {
        let line = add(&home, arguments, password).assert_refused(code);
        assert!(line.contains(why), "{arguments:?}: {line}");
        assert!(!line.contains(PASSWORD), "{line}");
    }
    let nothing = user_add(&home, &["bob"]).input("").run().assert_refused(1);
    assert!(nothing.contains("no password on standard input"), "{nothing}");
    let server = home.start();
    assert!(server.banner().contains("(1 user, 0 live sessions)"));
}

#[test]
fn user_add_leaves_the_signing_key_and_every_session_alone() {
    const SECRET: &str = "a secret that only the server is told";
    let home = Home::new();
    let server = home
        .server()
        .variable("JWT_SERVER__TOKEN__SECRET", SECRET)
        .start();
    server.sign_up("ada", PASSWORD).assert_status(201);
    let token = server.sign_in("ada", PASSWORD).token();
    server.kill();
    add(&home, &["root", "--role", "ADMIN"], PASSWORD).assert_success();
    let server = home
        .server()
        .variable("JWT_SERVER__TOKEN__SECRET", SECRET)
        .start();
    server.me(&token).assert_status(200);
    assert!(
        !server.banner().contains("note: the signing key"),
        "{}",
        server.banner()
    );
}

#[test]
fn user_add_reaches_the_running_server() {
    let home = Home::new();
    let server = home.start();
    add(&home, &["ada"], PASSWORD).assert_success();
    server.sign_in("ada", PASSWORD).assert_status(200);
}

#[test]
fn user_add_is_refused_while_a_process_without_a_control_socket_has_the_database() {
    let home = Home::new();
    let server = home.start();
    fs::remove_file(home.path("data/control.sock")).unwrap();
    let line = add(&home, &["ada"], PASSWORD).assert_refused(1);
    let holder = format!(
        "the database data is in use by another process (process {})",
        server.id()
    );
    assert!(line.contains(&holder), "{line}");
    server
        .sign_in("ada", PASSWORD)
        .assert_problem(401, "invalid_credentials");
}

#[test]
fn a_database_made_by_user_add_is_private() {
    let home = Home::new();
    add(&home, &["ada"], PASSWORD).assert_success();
    let data = fs::metadata(home.path("data")).unwrap();
    assert_eq!(data.permissions().mode() & 0o777, 0o700);
}

#[test]
fn the_binary_knows_its_version_and_names_every_setting() {
    let home = Home::new();
    let version = home.program(&["--version"]).run().assert_success();
    assert_eq!(version.out, format!("jwt-server {}\n", env!("CARGO_PKG_VERSION")));

    let help = home.program(&["--help"]).run().assert_success();
    for setting in config::settings() {
        let flag = format!("--{} ", setting.key);
        assert!(help.out.contains(&flag), "{flag} is not in the help");
    }
    for command in ["serve", "check-config", "user"] {
        assert!(help.out.contains(command), "{command} is not in the help");
    }
    let short = home.program(&["-h"]).run().assert_success();
    assert!(short.out.contains("check-config"), "{}", short.out);
    assert!(!home.path("data").exists());
}

#[test]
fn the_help_of_a_command_has_its_own_flags_and_no_setting() {
    let home = Home::new();
    for command in [
        "user list",
        "user",
        "key rotate",
        "session end",
        "status",
        "write-config",
    ] {
        let words = command.split(' ').chain(["--help"]).collect::<Vec<_>>();
        let help = home.program(&words).run().assert_success().out;
        assert!(help.contains("Usage:") && help.contains("--config"), "{help}");
        assert!(
            !help.contains("--server.listen") && help.lines().count() < 60,
            "{help}"
        );
    }
    let serve = home.program(&["serve", "--help"]).run().assert_success().out;
    assert!(serve.contains("--server.listen"), "{serve}");
    // They are taken all the same, before the command and after it.
    for words in [
        ["--password.bcrypt_cost", "x", "user", "list"],
        ["user", "list", "--password.bcrypt_cost", "x"],
        ["user", "--password.bcrypt_cost", "x", "list"],
    ] {
        let refused = home.program(&words).run().assert_refused(2);
        assert!(refused.contains("password.bcrypt_cost"), "{refused}");
    }
}

#[test]
fn a_mistyped_command_is_told_which_there_are() {
    let home = Home::new();
    for (command, known) in [
        ("usr", "serve, check-config"),
        ("user frobnicate", "add, list, show"),
        ("user role ad", "add, remove"),
        ("key --config x.toml rotat", "list, rotate"),
    ] {
        let words = command.split(' ').collect::<Vec<_>>();
        let ended = home.program(&words).run();
        assert_eq!(ended.code, Some(2), "{ended:?}");
        let line = format!("jwt-server: the commands here are {known}");
        assert!(ended.err.contains(&line), "{}", ended.err);
    }
    assert!(!home.path("data").exists());
}

#[test]
fn completions_and_manual_pages_know_every_command() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = home.program(&["completions", shell]).run().assert_success().out;
        for word in ["passwd", "attribute", "rotate", "--server.listen"] {
            let word = if shell == "fish" {
                word.trim_start_matches('-')
            } else {
                word
            };
            assert!(script.contains(word), "{word} for {shell}");
        }
    }
    let page = home.program(&["manual"]).run().assert_success().out;
    assert!(page.contains(".TH jwt-server 1"), "{page}");
    let pages = home.path("man");
    home.program(&["manual", pages.to_str().unwrap()])
        .run()
        .assert_success();
    for name in [
        "jwt-server.1",
        "jwt-server-user-list.1",
        "jwt-server-key-rotate.1",
    ] {
        let page = fs::read_to_string(pages.join(name)).unwrap();
        assert!(page.contains("jwt"), "{name}");
    }
    home.program(&["manual", "/dev/null/x"]).run().assert_refused(1);
    assert_eq!(home.program(&["completions", "csh"]).run().code, Some(2));
}

#[test]
fn user_without_a_command_lists_its_commands() {
    let home = Home::new();
    let ended = home.program(&["user"]).run();
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(
        ended.err.contains("Usage:") && ended.err.contains("add"),
        "{ended:?}"
    );
    let nameless = home.program(&["user", "add"]).run();
    assert_eq!(nameless.code, Some(2), "{nameless:?}");
    assert!(nameless.err.contains("<NAME>"), "{nameless:?}");
    assert!(!home.path("data").exists());
}

#[test]
fn user_add_names_its_database_and_makes_one_only_when_told() {
    let home = Home::new();
    let whole = fs::canonicalize(home.path(".")).unwrap().join("data");
    let whole = whole.to_str().unwrap();
    let plain = |arguments: &[&str]| {
        let arguments = [&["user", "add"], arguments].concat();
        let program = home.program(&arguments).flag("--password.bcrypt_cost", "4");
        program.input(PASSWORD).run()
    };
    let line = plain(&["ada"]).assert_refused(1);
    for said in [
        whole,
        "no database",
        "--create",
        "--store.path",
        "no user was added",
    ] {
        assert!(line.contains(said), "{said} is not in {line}");
    }
    assert!(!home.path("data").exists());
    let made = plain(&["ada", "--create"]).assert_success();
    assert!(made.out.contains(whole), "{made:?}");
    let added = plain(&["bob"]).assert_success();
    assert!(
        added.out.contains(&format!("to the database {whole};")),
        "{added:?}"
    );
}

#[test]
fn no_key_command_makes_a_database() {
    let home = Home::new();
    for command in [
        &["key", "list"][..],
        &["key", "rotate"],
        &["key", "rotate", "--revoke"],
    ] {
        let line = home.program(command).run().assert_refused(1);
        assert!(line.contains("there is no database in "), "{line}");
        assert!(!home.path("data").exists());
    }
}

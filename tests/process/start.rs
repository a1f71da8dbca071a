//! The start: what the server does with its directory, what it prints, and how it fails.

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt, path::Path};

use crate::{
    client::{PASSWORD, post_json},
    server::{Home, Program, is_root},
};

const SECRET: &str = "a-secret-of-the-tests-that-no-output-may-show";

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn an_empty_directory_gets_a_private_database_and_a_full_banner() {
    let home = Home::new();
    let server = home.start();

    assert_eq!(mode(&home.path("data")), 0o700);
    let banner = server.banner();
    let url = format!("http://{}", server.client().0);
    assert_ne!(server.client().0.port(), 0, "{banner}");
    for line in [
        format!("  listening on  {url}"),
        "  database      data (0 users, 0 live sessions)".to_owned(),
        "  signing key   made by this server, kept in its database (HS256, kid ".to_owned(),
    ] {
        assert!(
            banner.lines().any(|said| said.starts_with(&line)),
            "{line:?} is not in {banner}"
        );
    }
    let advice = "  administrator none yet: jwt-server user add NAME --role ADMIN\n";
    assert!(banner.contains(advice) && !banner.contains("note:"), "{banner}");
}

#[test]
fn a_restart_finds_the_users_and_their_sessions() {
    let home = Home::new();
    let server = home.start();
    server.sign_up("ada", PASSWORD).assert_status(201);
    let token = server.sign_in("ada", PASSWORD).token();
    server.kill();

    let server = home.start();
    let banner = server.banner();
    assert!(banner.contains("data (1 user, 1 live session)"), "{banner}");
    assert!(!banner.contains("note:"), "{banner}");
    assert_eq!(server.me(&token).json()["username"], "ada");
}

#[test]
fn a_directory_that_others_can_read_is_closed_to_them() {
    let home = Home::new();
    let data = home.path("data");
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
    let _server = home.start();
    assert_eq!(mode(&data), 0o700);
}

#[test]
fn the_banner_names_the_chosen_directory_and_secret() {
    let home = Home::new();
    home.write("secret", format!("{SECRET}\n"));
    let server = home
        .server()
        .flag("--store.path", "elsewhere")
        .flag("--token.secret_file", "secret")
        .start();
    let banner = server.banner();
    assert!(
        banner.contains("elsewhere (0 users, 0 live sessions)"),
        "{banner}"
    );
    assert!(
        banner.contains("signing key   from secret file secret (HS256"),
        "{banner}"
    );
    assert_eq!(mode(&home.path("elsewhere")), 0o700);
    assert!(!home.path("data").exists());
}

#[test]
fn listening_beyond_loopback_gets_a_warning() {
    let home = Home::new();
    let server = home.server().flag("--listen", "0.0.0.0:0").start();
    let banner = server.banner();
    assert!(
        banner.contains("warning: server.listen 0.0.0.0:0 is reachable from other machines without TLS"),
        "{banner}"
    );
    server.sign_up("ada", PASSWORD).assert_status(201);
}

#[test]
fn a_cheap_bcrypt_gets_a_warning_and_the_defaults_get_none() {
    let home = Home::new();
    let server = home.server().flag("--password.bcrypt_cost", "9").start();
    let banner = server.banner();
    assert!(
        banner.contains("warning: password.bcrypt_cost 9 is below 10"),
        "{banner}"
    );
    server.kill();

    let server = home.program(&["--listen", "127.0.0.1:0"]).start();
    // The whole output, because the process has ended.
    let banner = server.kill().out;
    assert!(!banner.contains("warning"), "{banner}");
}

#[test]
fn an_address_in_use_is_named_and_the_database_left_alone() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let home = Home::new();
    let line = home.server().flag("--listen", &address).run().assert_refused(1);
    assert!(
        line.contains(&address) && line.contains("Address already in use"),
        "{line}"
    );
    assert!(!home.path("data").exists());
}

#[test]
fn a_database_that_another_process_has_is_refused_with_its_id() {
    let home = Home::new();
    let first = home.start();
    first.sign_up("ada", PASSWORD).assert_status(201);

    let line = home.server().run().assert_refused(1);
    assert!(
        line.contains("the database data is in use") && line.contains(&format!("(process {})", first.id())),
        "{line}"
    );
    first.sign_in("ada", PASSWORD).assert_status(200);
}

#[test]
fn a_directory_that_can_not_be_used_is_named() {
    let home = Home::new();
    home.write("file", "not a directory");
    let line = home
        .server()
        .flag("--store.path", "file/data")
        .run()
        .assert_refused(1);
    assert!(line.contains("file/data"), "{line}");

    let closed = home.path("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o500)).unwrap();
    if fs::write(closed.join("probe"), "").is_ok() {
        println!(
            "the directory without write permission was not tried: this user (root?) may write anywhere"
        );
        return;
    }
    let line = home
        .server()
        .flag("--store.path", "closed/data")
        .run()
        .assert_refused(1);
    assert!(line.contains("closed/data"), "{line}");
}

#[test]
fn another_secret_ends_every_older_token_and_says_so() {
    let home = Home::new();
    let server = home.start();
    server.sign_up("ada", PASSWORD).assert_status(201);
    let old = server.sign_in("ada", PASSWORD).token();
    server.kill();

    let with_secret = |home: &Home| {
        let server = home.server().variable("JWT_SERVER__TOKEN__SECRET", SECRET);
        server.start()
    };
    let server = with_secret(&home);
    let banner = server.banner();
    assert!(
        banner.contains("every older token is dead, and 1 session ended"),
        "{banner}"
    );
    assert!(
        banner.contains("from environment variable JWT_SERVER__TOKEN__SECRET"),
        "{banner}"
    );
    assert!(banner.contains("(1 user, 0 live sessions)"), "{banner}");
    server.me(&old).assert_problem(401, "invalid_token");
    let new = server.sign_in("ada", PASSWORD).token();
    server.kill();

    let server = with_secret(&home);
    assert!(!server.banner().contains("note:"), "{}", server.banner());
    server.me(&new).assert_status(200);
    server.me(&old).assert_problem(401, "invalid_token");
}

#[test]
fn a_bad_setting_is_one_clear_line_that_names_its_place() {
    let with_file = |text: &str| {
        let home = Home::new();
        home.write("jwt-server.toml", text);
        home.server().run().assert_refused(1)
    };
    let with_variable = |name: &str, value: &str| {
        let home = Home::new();
        home.server().variable(name, value).run().assert_refused(1)
    };
    let with_flag = |name: &str, value: &str| {
        let home = Home::new();
        home.server().flag(name, value).run().assert_refused(2)
    };
    for (line, named) in [
        (
            with_file("[token]\nlifetime = \"5 parsecs\"\n"),
            "jwt-server.toml, line 2: token.lifetime can't be \"5 parsecs\"; accepted: ",
        ),
        (
            with_file("[token]\nlifetme = \"5m\"\n"),
            "jwt-server.toml, line 2: there is no setting token.lifetme; did you mean token.lifetime?",
        ),
        (with_file("[token]\nlifetime = \n"), "jwt-server.toml, line 2: "),
        (
            with_variable("JWT_SERVER__PASSWORD__MIN_LENGTH", "72"),
            "environment variable JWT_SERVER__PASSWORD__MIN_LENGTH: password.min_length can't be 72; accepted: ",
        ),
        (
            with_variable("JWT_SERVER__PASSWORD__MIN_LENGHT", "8"),
            "environment variable JWT_SERVER__PASSWORD__MIN_LENGHT: there is no setting password.min_lenght; did you mean password.min_length?",
        ),
        (
            with_flag("--password.bcrypt_cost", "17"),
            "flag --password.bcrypt_cost: password.bcrypt_cost can't be 17; accepted: ",
        ),
        (
            with_flag("--signup.enabled", "perhaps"),
            "flag --signup.enabled: signup.enabled can't be \"perhaps\"; accepted: true or false",
        ),
        (
            with_flag("--listen", "example.org:8000"),
            "flag --server.listen: server.listen can't be [\"example.org:8000\"]; accepted: ",
        ),
    ] {
        assert!(line.contains(named), "{named:?} is not in {line:?}");
    }
    let home = Home::new();
    let line = home
        .program(&["--config", "nowhere.toml"])
        .run()
        .assert_refused(1);
    assert!(line.contains("nowhere.toml"), "{line}");
    assert!(!home.path("data").exists());
}

#[test]
fn a_misspelled_flag_or_command_is_refused_with_a_suggestion() {
    let home = Home::new();
    for (typed, meant) in [
        (&["--server.listn", "127.0.0.1:0"][..], "'--server.listen'"),
        (&["chek-config"], "'check-config'"),
        (&["user", "ad", "ada"], "'add'"),
    ] {
        let ended = home.program(typed).run();
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.err.contains(meant), "{ended:?}");
    }
    assert!(!home.path("data").exists());
}

/// At the most verbose level, after requests of many kinds: no secret, password, hash or token.
#[test]
fn a_secret_is_never_in_any_output() {
    let home = Home::new();
    let server = home
        .server()
        .flag("--log.level", "trace")
        .flag("--token.refresh_window", "5m")
        .variable("JWT_SERVER__TOKEN__SECRET", SECRET)
        .start();
    let mut secrets = vec![SECRET.to_owned(), PASSWORD.to_owned(), "$2b$".to_owned()];
    server.sign_up("ada", PASSWORD).assert_status(201);
    server
        .sign_up("bob", "hunter2")
        .assert_problem(422, "invalid_field");
    server
        .sign_in("ada", "not-her-password")
        .assert_problem(401, "invalid_credentials");
    // Typed into the wrong field.
    server
        .sign_in(PASSWORD, "ada")
        .assert_problem(401, "invalid_credentials");
    let malformed = server.ask(&post_json("/signin", &format!("{{\"password\": \"{PASSWORD}\"")));
    malformed.assert_problem(400, "malformed_json");
    secrets.extend(["hunter2", "not-her-password"].map(str::to_owned));

    let first = server.sign_in("ada", PASSWORD).token();
    let second = server.refresh(&first).token();
    server.log_out(&second).assert_status(204);
    server.me(&first).assert_problem(401, "invalid_token");
    let forged = format!("{first}AAAA");
    server.me(&forged).assert_problem(401, "invalid_token");
    let signature = |token: &str| token.rsplit('.').next().unwrap_or_default().to_owned();
    secrets.extend([signature(&first), signature(&second)]);

    server.signal("TERM");
    let ended = server.wait().assert_success();
    let short = "too-short-a-secret";
    let refused = home
        .server()
        .variable("JWT_SERVER__TOKEN__SECRET", short)
        .run()
        .assert_refused(1);
    assert!(refused.contains("32 bytes"), "{refused}");
    home.write("jwt-server.toml", format!("[token]\nsecret = \"{SECRET}\"\n"));
    let in_file = home.server().run().assert_refused(1);
    assert!(
        in_file.contains("jwt-server.toml, line 2") && in_file.contains("token.secret_file"),
        "{in_file}"
    );
    secrets.push(short.to_owned());
    for secret in &secrets {
        for said in [&ended.out, &ended.err, &refused, &in_file] {
            assert!(!said.contains(secret), "{secret:?} is in {said}");
        }
    }
}

#[test]
fn a_directory_with_other_files_is_refused_and_left_alone() {
    let home = Home::new();
    fs::create_dir(home.path("data")).unwrap();
    fs::set_permissions(home.path("data"), fs::Permissions::from_mode(0o755)).unwrap();
    home.write("data/letters.txt", "to a friend");
    let line = home.server().run().assert_refused(1);
    assert!(
        line.contains("letters.txt") && line.contains("--store.path"),
        "{line}"
    );
    let mode = fs::metadata(home.path("data")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o755);
    assert!(!home.path("data/db").exists());
}

#[test]
fn the_name_of_a_foreign_file_is_printed_escaped() {
    let home = Home::new();
    fs::create_dir(home.path("data")).unwrap();
    home.write("data/a\u{1b}[2J\nb", "");
    let line = home.server().run().assert_refused(1);
    assert!(line.contains("it has a a\\u{1b}[2J\\nb in it"), "{line:?}");
}

#[test]
fn requests_are_served_while_the_log_can_not_be_written() {
    let home = Home::new();
    let server = home
        .server()
        .flag("--log.level", "trace")
        .log_to("/dev/full")
        .start();
    server.sign_up("ada", PASSWORD).assert_status(201);
    let token = server.sign_in("ada", PASSWORD).token();
    server.me("a.b.c").assert_status(401);
    server.me(&token).assert_status(200);
}

#[test]
fn a_secret_in_place_of_the_name_of_its_file_is_not_shown() {
    let secret = "a secret that a user put into the wrong setting";
    let home = Home::new();
    let line = home
        .server()
        .flag("--token.secret_file", secret)
        .run()
        .assert_refused(1);
    assert!(
        line.contains("token.secret_file") && !line.contains(secret),
        "{line}"
    );
}

#[test]
fn all_bad_settings_are_named_at_once() {
    let home = Home::new();
    home.write(
        "jwt-server.toml",
        "[token]\nlifetme = \"5m\"\nissuer = \"\"\n[log]\nlevel = \"loud\"\n",
    );
    let ended = home
        .server()
        .flag("--password.bcrypt_cost", "17")
        .variable("JWT_SERVER__SIGNUP__ENABLED", "perhaps")
        .run();
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{ended:?}");
    let lines: Vec<_> = ended.err.lines().collect();
    assert_eq!(lines.len(), 5, "{ended:?}");
    for (line, named) in lines.iter().zip([
        "jwt-server: jwt-server.toml, line 2: there is no setting token.lifetme",
        "jwt-server: jwt-server.toml, line 3: token.issuer can't be \"\"",
        "jwt-server: jwt-server.toml, line 5: log.level can't be \"loud\"",
        "jwt-server: environment variable JWT_SERVER__SIGNUP__ENABLED: ",
        "jwt-server: flag --password.bcrypt_cost: password.bcrypt_cost can't be 17",
    ]) {
        assert!(line.starts_with(named), "{named} is not in {ended:?}");
    }
    assert!(!home.path("data").exists());
}

#[test]
fn a_value_that_is_missing_contradicts_no_other() {
    let home = Home::new();
    home.write(
        "jwt-server.toml",
        "[token]\nlifetme = \"2h\"\nrefresh_window = \"1h\"\n",
    );
    let line = home.server().run().assert_refused(1);
    assert!(line.contains("did you mean token.lifetime?"), "{line}");
}

#[test]
fn a_config_file_that_can_not_be_followed_is_an_error() {
    let home = Home::new();
    std::os::unix::fs::symlink("elsewhere.toml", home.path("jwt-server.toml")).unwrap();
    for command in [&["--listen", "127.0.0.1:0"][..], &["check-config"]] {
        let line = home.program(command).run().assert_refused(1);
        assert!(
            line.contains("jwt-server.toml") && line.contains("a symbolic link to \"elsewhere.toml\""),
            "{line}"
        );
    }
    assert!(!home.path("data").exists());
    // A link that leads somewhere is followed.
    home.write("elsewhere.toml", "[token]\nissuer = \"linked\"\n");
    let checked = home.program(&["check-config"]).run().assert_success();
    assert!(checked.out.contains("issuer = \"linked\""), "{checked:?}");
}

#[test]
fn a_variable_with_one_underscore_gets_a_warning() {
    let home = Home::new();
    let warning = "warning: environment variable JWT_SERVER_LISTEN is not read";
    let server = home.server().variable("JWT_SERVER_LISTEN", "0.0.0.0:1").start();
    assert!(server.banner().contains(warning), "{}", server.banner());
    server.kill();
    let checked = home
        .program(&["check-config"])
        .variable("JWT_SERVER_LISTEN", "0.0.0.0:1")
        .run()
        .assert_success();
    assert!(
        checked.err.contains(warning) && checked.err.contains("JWT_SERVER__SERVER__LISTEN"),
        "{checked:?}"
    );
}

/// As a user of its own, because the limit is one of a user and does not hold for root.
fn with_few_threads(home: &Home, program: Program, count: u32) -> Program {
    const USER: u32 = 61_001;
    if !is_root() {
        return program.most_threads(count);
    }
    home.give_to(USER);
    program.most_threads(count).by_user(USER)
}

#[test]
fn too_few_threads_are_one_line_and_no_database() {
    let home = Home::new();
    for count in 1..=7 {
        let server = with_few_threads(&home, home.server(), count);
        let user_add = home.program(&["user", "add", "ada"]).input(PASSWORD);
        let key_list = home.program(&["key", "list"]);
        for program in [
            server,
            with_few_threads(&home, user_add, count),
            with_few_threads(&home, key_list, count),
        ] {
            let line = program.run().assert_refused(1);
            assert!(
                line.contains("threads are needed") && line.contains("ulimit -u"),
                "{count}: {line}"
            );
        }
    }
    assert!(!home.path("data").exists());
}

#[test]
fn with_any_limit_of_threads_the_server_works_or_is_refused() {
    if !is_root() {
        println!("not tried: only root can run the server as a user that has no other process");
        return;
    }
    let mut count_served = 0;
    for count in (8..40).step_by(3) {
        let home = Home::new();
        match with_few_threads(&home, home.server(), count).try_start() {
            Ok(server) => {
                server.sign_up("ada", PASSWORD).assert_status(201);
                let token = server.sign_in("ada", PASSWORD).token();
                server.me(&token).assert_status(200);
                server.signal("TERM");
                server.wait().assert_success();
                count_served += 1;
            }
            Err(ended) => assert!(ended.assert_refused(1).contains("threads are needed"), "{count}"),
        }
    }
    assert!(count_served > 0);
}

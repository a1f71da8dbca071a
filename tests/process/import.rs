//! `import` and `export`: the same with a server that runs and with none; and `kill -9` at any moment leaves all or nothing.

use std::{fmt::Write as _, fs, os::unix::fs::PermissionsExt, thread, time::Duration};

use crate::{
    client::PASSWORD,
    kill::rounds,
    server::{Ended, Home, Server},
};

/// bcrypt of a password that no test uses.
const HASH: &str = "$2y$04$abcdefghijklmnopqrstuuDIGESTDIGESTDIGESTDIGESTDIGES/.";

fn htpasswd(users: usize) -> String {
    let mut file = String::new();
    for n in 0..users {
        writeln!(file, "user{n:05}:{HASH}").unwrap();
    }
    file
}

fn run(home: &Home, command: &str) -> Ended {
    let words: Vec<&str> = command.split(' ').collect();
    home.program(&words).flag("--password.bcrypt_cost", "4").run()
}

/// A database with the user mia.
fn house() -> Home {
    let home = Home::new();
    home.program(&["user", "add", "mia", "--create"])
        .flag("--password.bcrypt_cost", "4")
        .input(&format!("{PASSWORD}\n"))
        .run()
        .assert_success();
    home
}

/// How many users there are.
fn count(home: &Home) -> usize {
    let status = run(home, "status --json").assert_success().out;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    usize::try_from(status["users"].as_u64().unwrap()).unwrap()
}

#[test]
fn users_move_in_and_out_with_a_server_and_without() {
    for is_served in [true, false] {
        let home = house();
        let server: Option<Server> = is_served.then(|| home.start());
        home.write("users", htpasswd(1500));
        let said = run(&home, "import users --dry-run").assert_success();
        assert_eq!(
            said.out,
            "checked, nothing was imported; it would be: 1500 added\n"
        );
        assert_eq!((said.err.as_str(), count(&home)), ("", 1));
        let said = run(&home, "import users").assert_success();
        assert_eq!(
            (said.out.as_str(), said.err.as_str()),
            ("imported: 1500 added\n", "")
        );
        assert_eq!(count(&home), 1501);

        home.write("more", format!("user00007:{HASH}\nnobody\nnew:{HASH}\n"));
        let refused = run(&home, "import more");
        assert_eq!((refused.code, refused.out.as_str()), (Some(1), ""));
        assert!(
            refused.err.contains("line 1: there is a user user00007 already"),
            "{refused:?}"
        );
        assert!(refused.err.contains("line 2: "), "{refused:?}");
        assert!(
            refused.err.contains("nothing was imported: 1 lines are bad"),
            "{refused:?}"
        );
        let said = run(&home, "import more --skip-bad --on-conflict skip --json").assert_success();
        let report: serde_json::Value = serde_json::from_str(&said.out).unwrap();
        assert_eq!(
            (&report["added"], &report["skipped"], &report["bad"]),
            (&1.into(), &1.into(), &1.into())
        );
        let from_pipe = home
            .program(&["import", "-"])
            .input(&format!("piped:{HASH}\n"))
            .run();
        assert_eq!(from_pipe.assert_success().out, "imported: 1 added\n");

        let said = run(&home, "export backup --with-hashes").assert_success();
        assert!(said.err.contains("1503 users are in backup"), "{said:?}");
        let backup = home.path("backup");
        assert_eq!(fs::metadata(&backup).unwrap().permissions().mode() & 0o777, 0o600);
        let lines = fs::read_to_string(&backup).unwrap();
        assert_eq!(run(&home, "export --with-hashes").assert_success().out, lines);
        let again = run(&home, "export backup").assert_refused(1);
        assert!(again.contains("--force"), "{again}");
        assert_eq!(fs::read_to_string(&backup).unwrap(), lines);
        run(&home, "export backup --force").assert_success();
        assert!(!fs::read_to_string(&backup).unwrap().contains("$2"));

        // Into another server.
        let other = house();
        other.write("backup", &lines);
        run(&other, "import backup --on-conflict update").assert_success();
        // The user mia, who was there, keeps her id.
        let (theirs, ours) = (run(&other, "export --with-hashes").assert_success().out, lines);
        assert!(theirs.lines().skip(1).eq(ours.lines().skip(1)), "{theirs}");
        assert!(theirs.starts_with("{\"id\":") && ours.contains("\"mia\""));
        if let Some(server) = &server {
            server.sign_in("mia", PASSWORD).assert_status(200);
        }
        let left: Vec<_> = home
            .files()
            .into_keys()
            .filter(|name| name.contains(".part") || name == "data/import")
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn an_export_replaces_regular_files_alone() {
    let home = house();
    fs::create_dir(home.path("folder")).unwrap();
    let pipe = home.path("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    for name in ["folder", "pipe"] {
        for force in ["", " --force"] {
            let refused = run(&home, &format!("export {name}{force}")).assert_refused(1);
            assert!(
                refused.contains("no regular file") && !refused.contains("--force"),
                "{refused}"
            );
        }
    }
    assert!(
        !fs::symlink_metadata(pipe).unwrap().is_file(),
        "it is still a pipe"
    );
    home.write("kept", "old");
    std::os::unix::fs::symlink("kept", home.path("link")).unwrap();
    let refused = run(&home, "export link").assert_refused(1);
    assert!(refused.contains("--force"), "{refused}");
    run(&home, "export link --force").assert_success();
    assert!(fs::symlink_metadata(home.path("link")).unwrap().is_symlink());
    assert!(fs::read_to_string(home.path("kept")).unwrap().contains("mia"));
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let home = house();
    for (name, why) in [("missing", "missing can't be read"), (".", ". can't be read")] {
        let refused = run(&home, &format!("import {name}")).assert_refused(1);
        assert!(
            refused.contains(why) && refused.contains("nothing was imported"),
            "{refused}"
        );
    }
    home.write("empty", "");
    let refused = run(&home, "import empty").assert_refused(1);
    assert!(
        refused.contains("nothing was imported: there is no user in the file"),
        "{refused}"
    );
    assert_eq!(run(&home, "import empty --on-conflict merge").code, Some(2));
}

/// The number of users, and whether the sessions and the list of users agree with it.
#[track_caller]
fn all_or_none(home: &Home, users: usize) -> bool {
    let there = count(home);
    assert!(there == 1 || there == users + 1, "{there} of {users}");
    let listed = run(home, "export").assert_success().out.lines().count();
    assert_eq!(listed, there);
    assert!(!home.path("data/import").exists());
    there > 1
}

#[test]
fn kill_9_in_the_midst_of_an_import_leaves_all_or_nothing() {
    const USERS: usize = 4000;
    let file = htpasswd(USERS);
    let mut outcomes = [0, 0];
    for round in 0..rounds(8) {
        let home = house();
        home.write("users", &file);
        let server = (round % 2 == 0).then(|| home.start());
        let import = home.program(&["import", "users"]);
        // Long enough for some rounds to be decided, and too short for others.
        let span = Duration::from_millis(u64::try_from(40 + round * 97 % 1500).unwrap());
        match server {
            Some(server) => {
                let importing = thread::spawn(move || import.run());
                thread::sleep(span);
                server.kill();
                let said = importing.join().unwrap();
                let server = home.start();
                server.sign_in("mia", PASSWORD).assert_status(200);
                let is_there = all_or_none(&home, USERS);
                assert!(
                    !is_there || !said.err.contains("nothing was imported"),
                    "{said:?}"
                );
                outcomes[usize::from(is_there)] += 1;
                server.kill();
            }
            None => import.kill_after(span),
        }
        let is_there = all_or_none(&home, USERS);
        outcomes[usize::from(is_there)] += 1;
        if !is_there {
            run(&home, "import users").assert_success();
            assert!(all_or_none(&home, USERS));
        }
    }
    println!("nothing {} times, all {} times", outcomes[0], outcomes[1]);
}

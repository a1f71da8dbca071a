//! Who owns the database's files: no command shuts the server out, no file is open to other users, and a directory of another
//! user is used where that is safe. What only root can set up is skipped, with a word, for other users.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink},
    path::PathBuf,
};

use crate::{
    client::PASSWORD,
    server::{Home, Program, is_root},
};

/// A user without any right on the files of others.
const USER: u32 = 61_002;

/// Says so and returns `false` unless the tests run as root.
fn can_change_users() -> bool {
    if !is_root() {
        println!("not tried: only root can run the server as another user");
    }
    is_root()
}

fn user_add(home: &Home, name: &str) -> Program {
    let arguments = ["user", "add", "--create", name];
    let program = home.program(&arguments).flag("--password.bcrypt_cost", "4");
    program.input(PASSWORD)
}

fn data(home: &Home) -> Vec<PathBuf> {
    let entries = fs::read_dir(home.path("data")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn set_mode(home: &Home, name: &str, mode: u32) {
    fs::set_permissions(home.path(name), Permissions::from_mode(mode)).unwrap();
}

#[test]
fn no_command_of_root_shuts_the_servers_user_out() {
    if !can_change_users() {
        return;
    }
    let home = Home::new();
    home.give_to(USER);
    let server = home.server().by_user(USER).start();
    server.sign_up("ada", PASSWORD).assert_status(201);
    server.kill();
    for command in [
        home.program(&["key", "list"]),
        home.program(&["key", "rotate"]),
        user_add(&home, "bob"),
        home.server(),
    ] {
        let line = command.umask("027").run().assert_refused(1);
        assert!(
            line.contains(&format!("data belongs to user {USER}"))
                && line.contains(&format!("sudo -u '#{USER}'"))
                && line.contains("chown -R root data"),
            "{line}"
        );
    }
    for path in data(&home) {
        assert_eq!(fs::metadata(&path).unwrap().uid(), USER, "{}", path.display());
    }
    user_add(&home, "bob").by_user(USER).run().assert_success();
    let server = home.server().by_user(USER).start();
    server.sign_in("ada", PASSWORD).assert_status(200);
    server.sign_in("bob", PASSWORD).assert_status(200);
}

#[test]
fn root_makes_no_database_in_another_users_directory() {
    if !can_change_users() {
        return;
    }
    let home = Home::new();
    home.give_to(USER);
    for command in [home.server(), user_add(&home, "ada")] {
        let line = command.run().assert_refused(1);
        assert!(line.contains(&format!("belongs to user {USER}")), "{line}");
        assert!(!home.path("data").exists());
    }
}

#[test]
fn a_file_that_root_left_is_named_with_the_way_out() {
    if !can_change_users() {
        return;
    }
    for name in ["db", "conf", "lock", "tally"] {
        let home = Home::new();
        home.give_to(USER);
        user_add(&home, "ada").by_user(USER).run().assert_success();
        let file = home.path(&format!("data/{name}"));
        chown(&file, Some(0), Some(0)).unwrap();
        let line = home.server().by_user(USER).run().assert_refused(1);
        assert!(
            line.contains(&format!("data/{name} belongs to user 0"))
                && line.contains(&format!("chown -R {USER} data")),
            "{line}"
        );
        chown(&file, Some(USER), Some(USER)).unwrap();
        home.server()
            .by_user(USER)
            .start()
            .sign_in("ada", PASSWORD)
            .assert_status(200);
    }
}

#[test]
fn every_file_is_private_whatever_the_umask() {
    let home = Home::new();
    let server = home.server().umask("000").start();
    server.sign_up("ada", PASSWORD).assert_status(201);
    server.kill();
    let files = |home: &Home| {
        for path in data(home) {
            let found = fs::metadata(&path).unwrap();
            if found.is_file() {
                assert_eq!(found.mode() & 0o777, 0o600, "{}", path.display());
            }
        }
    };
    files(&home);
    // Those of an older version become so.
    for path in data(&home) {
        if path.is_file() {
            fs::set_permissions(path, Permissions::from_mode(0o664)).unwrap();
        }
    }
    user_add(&home, "bob").umask("002").run().assert_success();
    files(&home);
}

#[test]
fn no_symbolic_link_is_followed_to_another_file() {
    for name in ["lock", "tally", "db", "conf", "schema", "snap.0000000000000001"] {
        let home = Home::new();
        fs::create_dir(home.path("data")).unwrap();
        home.write("victim", "to be left as it is");
        symlink(home.path("victim"), home.path(&format!("data/{name}"))).unwrap();
        let line = home.server().run().assert_refused(1);
        assert!(
            line.contains(&format!("data/{name} is a symbolic link")),
            "{line}"
        );
        let victim = fs::read_to_string(home.path("victim")).unwrap();
        assert_eq!(victim, "to be left as it is");
    }
}

#[test]
fn a_writable_directory_of_another_user_is_used_with_a_warning() {
    if !can_change_users() {
        return;
    }
    for mode in [0o777, 0o2777, 0o2775] {
        let home = Home::new();
        set_mode(&home, ".", 0o755);
        fs::create_dir(home.path("data")).unwrap();
        chown(home.path("data"), Some(0), Some(USER)).unwrap();
        set_mode(&home, "data", mode);
        let server = home.server().by_user(USER).start();
        let banner = server.banner();
        assert!(
            banner.contains(&format!(
                "warning: the directory data (store.path) belongs to user 0 and has mode {mode:o}"
            )),
            "{banner}"
        );
        server.sign_up("ada", PASSWORD).assert_status(201);
        server.kill();
        for path in data(&home) {
            let found = fs::metadata(&path).unwrap();
            assert!(
                found.is_dir() || found.mode() & 0o777 == 0o600,
                "{}",
                path.display()
            );
        }
        user_add(&home, "bob").by_user(USER).run().assert_success();
        let server = home.server().by_user(USER).start();
        server.sign_in("ada", PASSWORD).assert_status(200);
    }
}

#[test]
fn what_a_file_system_puts_into_a_directory_is_no_obstacle() {
    let home = Home::new();
    for folder in ["lost+found", ".snapshot", ".stfolder"] {
        fs::create_dir_all(home.path("data").join(folder)).unwrap();
    }
    home.write("data/.DS_Store", "");
    let server = home.start();
    server.sign_up("ada", PASSWORD).assert_status(201);
    server.kill();
    home.start().sign_in("ada", PASSWORD).assert_status(200);
    assert!(home.path("data/lost+found").is_dir());
}

#[test]
fn a_link_that_leads_nowhere_is_called_one() {
    let home = Home::new();
    symlink("gone", home.path("data")).unwrap();
    for path in ["data", "data/deeper"] {
        let line = home.server().flag("--store.path", path).run().assert_refused(1);
        assert!(
            line.contains("data is a symbolic link to gone, which does not exist"),
            "{line}"
        );
    }
    // One that leads to a directory is followed.
    fs::create_dir(home.path("gone")).unwrap();
    home.start().sign_up("ada", PASSWORD).assert_status(201);
    assert!(home.path("gone/db").exists());
}

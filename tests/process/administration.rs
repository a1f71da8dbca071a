//! The commands of the operator: the same with a server that runs and with none, and what the control socket lets through.

use std::os::unix::fs::PermissionsExt;

use crate::{
    client::{PASSWORD, post_json},
    server::{Ended, Home, Server, is_root},
};

const NEW_PASSWORD: &str = "another horse battery staple";

struct House {
    home: Home,
    server: Option<Server>,
}

impl House {
    /// A database with the users ada, an administrator, and bob.
    fn new(is_served: bool) -> Self {
        let home = Home::new();
        for (name, role) in [("ada", "ADMIN"), ("bob", "CLIENT")] {
            home.program(&["user", "add", name, "--create", "--role", role])
                .flag("--password.bcrypt_cost", "4")
                .input(&format!("{PASSWORD}\n"))
                .run()
                .assert_success();
        }
        let server = is_served.then(|| home.start());
        Self { home, server }
    }

    fn run(&self, command: &str) -> Ended {
        self.run_with(command, "")
    }

    fn run_with(&self, command: &str, input: &str) -> Ended {
        let words: Vec<&str> = command.split(' ').collect();
        let program = self.home.program(&words).flag("--password.bcrypt_cost", "4");
        program.input(input).run()
    }

    #[track_caller]
    fn says(&self, command: &str) -> String {
        self.run(command).assert_success().out
    }

    /// The server, which is started now if none runs.
    fn served(&mut self) -> &Server {
        self.server.get_or_insert_with(|| self.home.start())
    }
}

#[test]
fn each_command_does_the_same_with_a_server_and_without() {
    for is_served in [true, false] {
        let mut house = House::new(is_served);
        let list = house.says("user list");
        let columns: Vec<Vec<&str>> = list
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(columns[0][..3], ["NAME", "ROLES", "STATE"], "{list}");
        assert_eq!(columns[1][..2], ["ada", "ADMIN"], "{list}");
        assert_eq!(columns[2][..2], ["bob", "CLIENT"], "{list}");
        let status = house.says("status");
        let runs = if is_served {
            "server    runs"
        } else {
            "server    does not run"
        };
        assert!(
            status.starts_with(runs) && status.contains("users     2"),
            "{status}"
        );
        assert!(house.says("user list --role ADMIN").contains("ada"));
        assert_eq!(house.says("user list x"), "there is no such user\n");
        let shown = house.says("user show BOB");
        assert!(
            shown.contains("roles       CLIENT") && shown.contains("state       enabled"),
            "{shown}"
        );
        let id = shown
            .lines()
            .find_map(|line| line.strip_prefix("id          "))
            .unwrap()
            .to_owned();
        assert_eq!(house.says(&format!("user show {id}")), shown);
        let json = house.says(&format!("user show {id} --json"));
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["username"], "bob");
        assert_eq!(house.says("user list --json").lines().count(), 2);

        assert_eq!(
            house.says("user role add bob EDITOR"),
            "bob has the roles [CLIENT EDITOR] now\n"
        );
        assert_eq!(
            house.says("user role remove bob CLIENT"),
            "bob has the roles [EDITOR] now\n"
        );
        assert_eq!(
            house.says("user role add bob FAMILY --until 2999-01-01"),
            "bob has the roles [EDITOR FAMILY until 2999-01-01T00:00:00Z] now\n"
        );
        house.says("user role remove bob FAMILY");
        for (value, attributes) in [
            ("north", "floor=7 tenant=\"north\""),
            ("-12.5", "floor=7 tenant=-12.5"),
            ("[\"a\"]", "floor=7 tenant=[\"a\"]"),
        ] {
            house.says("user attribute set bob floor 7");
            let said = house.says(&format!("user attribute set bob tenant {value}"));
            assert_eq!(said, format!("bob has the attributes [{attributes}] now\n"));
        }
        let said = house.says("user attribute remove bob floor");
        assert_eq!(said, "bob has the attributes [tenant=[\"a\"]] now\n");
        assert!(house.says("user show bob").contains("attributes  tenant=[\"a\"]"));
        assert_eq!(house.says("user display-name bob Bob"), "bob is shown as Bob\n");
        assert_eq!(
            house.says("user display-name bob"),
            "bob has no display name now\n"
        );
        house.says("user disable bob");
        assert!(house.says("user list --disabled").contains("bob"));
        house.says("user enable bob");
        house
            .run_with("user passwd bob", &format!("{NEW_PASSWORD}\n"))
            .assert_success();
        assert_eq!(house.says("session list bob"), "bob has no session\n");
        house.served().sign_in("bob", NEW_PASSWORD).assert_status(200);
        assert!(
            house.says("session list bob").starts_with("ID"),
            "now a server runs"
        );
        assert_eq!(house.says("session end bob --all"), "ended 1 session of bob\n");
        assert!(house.says("user delete bob").starts_with("deleted user bob"));
        house.served().sign_in("bob", NEW_PASSWORD).assert_status(401);
    }
}

#[test]
fn a_locked_out_user_is_listed_and_let_in() {
    for is_served in [true, false] {
        let mut house = House::new(is_served);
        let server = house.served();
        for _ in 0..30 {
            server.sign_in("bob", "wrong password").assert_status(401);
        }
        server.sign_in("bob", PASSWORD).assert_status(429);
        if !is_served {
            let server = house.server.take().unwrap();
            server.signal("TERM");
            server.wait();
        }
        let all = house.says("throttle list");
        if is_served {
            let columns: Vec<&str> = all.split_whitespace().collect();
            assert_eq!(columns[..3], ["USER", "NETWORK", "WHY"], "{all}");
            assert!(all.contains("bob  ") && all.contains("127.0.0.1") && all.contains("wrong passwords"));
            let json: serde_json::Value = serde_json::from_str(&house.says("throttle list --json")).unwrap();
            assert_eq!(
                (&json["username"], &json["why"]),
                (&"bob".into(), &"account".into())
            );
        } else {
            assert!(all.starts_with("no server runs, so"), "{all}");
        }
        let bob = house.says("throttle list BOB");
        assert!(bob.contains("bob  ") && bob.contains("wrong passwords"), "{bob}");
        assert!(
            [&all, &bob]
                .iter()
                .all(|text| text.lines().all(|line| line.len() <= 80)),
            "{all}{bob}"
        );
        assert_eq!(house.says("throttle list ada"), "no user and no network waits\n");
        assert_eq!(house.says("throttle clear bob"), "bob can sign in again\n");
        assert_eq!(
            house.says("throttle clear --network ::1"),
            "clients at :: can try again\n"
        );
        assert_eq!(house.says("throttle list bob"), "no user and no network waits\n");
        house.served().sign_in("bob", PASSWORD).assert_status(200);
    }
}

#[test]
fn a_command_that_can_not_be_done_says_why_and_changes_nothing() {
    for is_served in [true, false] {
        let house = House::new(is_served);
        let before = house.says("user list --json");
        for (command, code, why) in [
            ("user show eve", 1, "there is no user eve"),
            (
                "user show 019a2b3c-0000-7000-8000-000000000001",
                1,
                "there is no user 019a2b3c",
            ),
            ("user show a$b", 2, "is no user"),
            ("user role add bob admin", 2, "is no role"),
            ("user role add bob ADMIN --until tomorrow", 2, "a day such as"),
            ("user role add bob ADMIN --until 2020-01-01", 2, "has passed"),
            (
                "user role remove bob EDITOR",
                1,
                "bob has not got the role EDITOR",
            ),
            ("user role remove ada ADMIN", 1, "No administrator would be left"),
            ("user disable ada", 1, "No administrator would be left"),
            ("user delete ada", 1, "No administrator would be left"),
            ("user attribute set bob sub x", 2, "has a meaning of its own"),
            ("user attribute set bob tenant [1]", 2, "list of texts"),
            (
                "user attribute remove bob tenant",
                1,
                "bob has no attribute tenant",
            ),
            ("user list --role admin", 2, "A role has"),
            ("user list --limit 0", 2, "0"),
            (
                "session end bob 019a2b3c-0000-7000-8000-000000000001",
                1,
                "bob has no session with that id",
            ),
            ("session end bob", 2, "--all"),
            ("token revoke bob x", 2, "no id of a token"),
            ("token revoke bob a/b", 2, "no id of a token"),
            ("token revoke bob ", 2, "no id of a token"),
            ("session end bob ", 2, "no id of a session"),
            ("session end bob ?", 2, "no id of a session"),
            ("session end bob #", 2, "no id of a session"),
            (
                "token revoke bob 019a2b3c-0000-7000-8000-000000000001",
                1,
                "bob has no token with that id",
            ),
            ("throttle list eve", 1, "there is no user eve"),
            ("throttle clear eve", 1, "there is no user eve"),
            ("throttle clear", 2, "<USER>"),
            ("throttle list --network here", 2, "is no address"),
            ("user lst", 2, "list"),
        ] {
            let ended = house.run(command);
            assert_eq!(ended.code, Some(code), "{command}: {ended:?}");
            assert!(ended.err.contains(why), "{command}: {}", ended.err);
        }
        let weak = house.run_with("user passwd bob", "password\n");
        assert!(
            weak.code == Some(1) && weak.err.contains("nothing was changed"),
            "{weak:?}"
        );
        assert_eq!(house.says("user list --json"), before);
    }
}

/// A socket has a path of some 100 bytes at most. The commands work on the database then.
#[test]
fn a_path_too_long_for_a_socket_leaves_the_commands_without_a_server() {
    let home = Home::new();
    let path = format!("{}/data", "d".repeat(120));
    let user = |arguments: &[&str]| {
        let program = home.program(arguments).flag("--password.bcrypt_cost", "4");
        program
            .flag("--store.path", &path)
            .input(&format!("{PASSWORD}\n"))
            .run()
    };
    user(&["user", "add", "ada", "--create"]).assert_success();
    assert!(user(&["user", "list"]).assert_success().out.contains("ada"));
}

#[test]
fn the_control_socket_is_its_owners_alone_and_goes_with_the_server() {
    let mut house = House::new(true);
    let socket = house.home.path("data/control.sock");
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    assert!(house.says("status").contains("server    runs"));
    if is_root() {
        // A stranger gets no further than the file, and root always does.
        let stranger = house.home.program(&["status"]).by_user(4321).run();
        assert_eq!(stranger.code, Some(1), "{stranger:?}");
    }
    // Killed: the socket stays, and the next command and the next server pass it over.
    drop(house.server.take());
    assert!(socket.exists());
    assert!(house.says("status").contains("server    does not run"));
    house.served();
    assert!(house.says("status").contains("server    runs"));
}

/// The last line of what a command says, which has the secret.
fn secret(said: &str) -> &str {
    said.lines().last().unwrap()
}

#[test]
fn people_are_invited_and_helped_with_a_server_and_without() {
    for is_served in [true, false] {
        let mut house = House::new(is_served);
        assert_eq!(house.says("invite list"), "there is no open invitation\n");
        let made = house.says("invite make --role EDITOR --username cyd --valid 2d");
        assert!(
            made.starts_with("invitation for cyd with the roles [EDITOR], shown only now;"),
            "{made}"
        );
        let invitation = secret(&made).to_owned();
        assert!(invitation.starts_with("jwi_"), "{made}");
        let other = house.says("invite make --json");
        let other: serde_json::Value = serde_json::from_str(&other).unwrap();
        assert_eq!(
            other["roles"],
            serde_json::json!(["CLIENT"]),
            "those of signup.roles"
        );
        let list = house.says("invite list");
        assert!(list.lines().all(|line| line.chars().count() <= 80), "{list}");
        assert_eq!(list.lines().count(), 3, "{list}");
        assert!(!list.contains(&invitation) && list.contains("cyd"), "{list}");
        assert_eq!(house.says("invite list --json").lines().count(), 2);
        let id = other["id"].as_str().unwrap();
        let revoke = format!("invite revoke {id}");
        assert_eq!(house.says(&revoke), format!("revoked the invitation {id}\n"));
        let again = house.run(&revoke);
        assert_eq!(again.code, Some(1), "{again:?}");
        assert!(again.err.contains("nothing was revoked"), "{again:?}");

        let made = house.says("user reset bob --valid 2h");
        assert!(made.starts_with("reset token for bob, shown only now;"), "{made}");
        let first = secret(&made).to_owned();
        let json = house.says("user reset bob --json");
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        let token = json["token"].as_str().unwrap();
        assert!(first.starts_with("jwp_") && token.starts_with("jwp_"));

        let client = house.served().client();
        let post = |path: &str, body: serde_json::Value| client.ask(&post_json(path, &body.to_string()));
        let new = serde_json::json!({"username": "cyd", "password": PASSWORD, "invitation": invitation});
        post("/signup", new).assert_status(201);
        let revoked =
            serde_json::json!({"username": "eve", "password": PASSWORD, "invitation": other["invitation"]});
        post("/signup", revoked).assert_status(403);
        let reset = |token: &str| serde_json::json!({"token": token, "password": NEW_PASSWORD});
        post("/password-reset", reset(&first)).assert_status(403);
        post("/password-reset", reset(token)).assert_status(200);
        house.served().sign_in("bob", NEW_PASSWORD).assert_status(200);
        assert!(house.says("user show cyd").contains("EDITOR"));
        let set = house
            .run_with("user passwd cyd --must-change", &format!("{NEW_PASSWORD}\n"))
            .assert_success();
        assert!(set.out.starts_with("cyd has a temporary password"), "{}", set.out);
        let shown = house.says("user show cyd");
        assert!(shown.contains("must change the password"), "{shown}");
        house.served().sign_in("cyd", NEW_PASSWORD).assert_status(403);
    }
}

#[test]
fn an_invitation_that_can_not_be_made_is_said_why() {
    let house = House::new(false);
    house.says("user disable bob");
    for (command, code, why) in [
        ("invite make --role editor", 2, "is no role"),
        ("invite make --username a$b", 2, "is no username"),
        ("invite make --valid soon", 2, "is no time"),
        ("invite make --valid 366d", 2, "31536000 seconds"),
        ("invite revoke x", 2, "is no id of an invitation"),
        ("invite", 2, "make"),
        ("user reset bob", 1, "Enable them first"),
        ("user reset ada --valid 25h", 2, "86400 seconds"),
        ("user reset eve", 1, "there is no user eve"),
    ] {
        let ended = house.run(command);
        assert_eq!(ended.code, Some(code), "{command}: {ended:?}");
        assert!(ended.err.contains(why), "{command}: {}", ended.err);
    }
    assert_eq!(house.says("invite list"), "there is no open invitation\n");
}

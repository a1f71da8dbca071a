//! The example of the library, as it stands in `examples/` and in `docs/library.md`: a library user's server.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use crate::{
    client::{Client, PASSWORD, with_token},
    server::Home,
};

/// Ends the process with the test.
struct Ending(Child);

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_example_guards_its_own_routes() {
    let home = Home::new();
    home.program(&[
        "user",
        "add",
        "--create",
        "root",
        "--role",
        "ADMIN",
        "--password.bcrypt_cost",
        "4",
    ])
    .input(PASSWORD)
    .run()
    .assert_success();

    // Cargo builds the examples with the tests, beside the folder of the tests' own programs.
    let tests = env::current_exe().unwrap();
    let example = tests
        .parent()
        .unwrap()
        .with_file_name("examples")
        .join("guarded_routes");
    let mut command = Command::new(example);
    command.current_dir(home.path(".")).args(["127.0.0.1:0", "data"]);
    let mut process = Ending(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(process.0.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let address = line.trim().strip_prefix("listening on http://").unwrap();
    let client = Client(address.parse().unwrap());

    client.sign_up("ada", PASSWORD).assert_status(201);
    let ada = client.sign_in("ada", PASSWORD).token();
    let root = client.sign_in("root", PASSWORD).token();
    for (method, path, token, status, body) in [
        ("GET", "/notes", &ada, 200, "The notes of ada.\n"),
        ("GET", "/notes", &root, 403, "insufficient_scope"),
        (
            "DELETE",
            "/notes/ada",
            &root,
            200,
            "root cleared the notes of ada.\n",
        ),
        ("DELETE", "/notes/ada", &ada, 403, "insufficient_scope"),
        ("DELETE", "/notes", &root, 405, "method_not_allowed"),
        ("GET", "/nothing", &ada, 404, "not_found"),
    ] {
        let answer = client.ask(&with_token(method, path, token));
        answer.assert_status(status);
        assert!(answer.body.contains(body), "{method} {path}: {}", answer.body);
    }
    client.log_out(&ada).assert_status(204);
    client.ask(&with_token("GET", "/notes", &ada)).assert_status(401);
}

#[test]
fn the_library_page_shows_the_example_unchanged() {
    let page = fs::read_to_string("docs/library.md").unwrap();
    let example = fs::read_to_string("examples/guarded_routes.rs").unwrap();
    assert!(page.contains(&example));
    assert!(example.lines().count() < 50);
}

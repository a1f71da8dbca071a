//! Signing keys as an operator sees them: in the banner, in the commands `key list` and `key rotate`, in files, and after a
//! kill.

use std::{fs, os::unix::fs::PermissionsExt};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

use crate::{
    client::{Client, PASSWORD, with_token, with_token_and_json},
    server::{Home, Program, Server},
};

const SECRET: &str = "a-secret-of-the-tests-that-no-output-may-show";

fn header(token: &str) -> Value {
    let header = token.split('.').next().unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap()
}

fn kid(token: &str) -> String {
    header(token)["kid"].as_str().unwrap().to_owned()
}

fn published(client: Client) -> Vec<String> {
    let keys = client
        .ask(&with_token("GET", "/.well-known/jwks.json", "-"))
        .json();
    let keys = keys["keys"].as_array().unwrap().iter();
    keys.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

fn eddsa(home: &Home) -> Program {
    home.server().flag("--token.algorithm", "EdDSA")
}

fn key(home: &Home, arguments: &[&str]) -> Program {
    let arguments = [&["key"], arguments].concat();
    home.program(&arguments).flag("--token.algorithm", "EdDSA")
}

/// What a command for programs prints, line by line.
fn json(program: Program) -> Vec<Value> {
    let out = program.run().assert_success().out;
    out.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The keys as `key list` has them, in the order in which they sign.
fn listed(home: &Home) -> Vec<Value> {
    json(key(home, &["list", "--json"]))
}

fn states(keys: &[Value]) -> Vec<&str> {
    keys.iter().map(|key| key["state"].as_str().unwrap()).collect()
}

fn assert_fits(text: &str) {
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

/// Writes a test key into `home`, with these permissions.
fn key_file(home: &Home, name: &str, mode: u32) {
    let pem = fs::read_to_string(format!("tests/keys/{name}.pem")).unwrap();
    home.write("key.pem", pem);
    fs::set_permissions(home.path("key.pem"), fs::Permissions::from_mode(mode)).unwrap();
}

fn signed_in(server: &Server) -> String {
    server.sign_up("ada", PASSWORD).assert_status(201);
    server.sign_in("ada", PASSWORD).token()
}

#[test]
fn keys_are_listed_and_rotated_while_the_server_is_stopped() {
    let home = Home::new();
    // It makes a database without a key.
    let user_add = ["user", "add", "root", "--create", "--password.bcrypt_cost", "4"];
    home.program(&user_add).input(PASSWORD).run().assert_success();
    let none = key(&home, &["list"]).run().assert_success();
    assert!(none.out.contains("there are no keys yet"), "{none:?}");
    let early = key(&home, &["rotate"]).run().assert_refused(1);
    assert!(
        early.contains("nothing was changed. There is no signing key yet"),
        "{early}"
    );

    let server = eddsa(&home).start();
    let old = kid(&signed_in(&server));
    assert!(
        server.banner().contains(&format!("(EdDSA, kid {old})")),
        "{}",
        server.banner()
    );
    server.kill();

    let keys = listed(&home);
    assert_eq!(keys.len(), 1);
    let expected = [&old, "EdDSA", "signing", "database"].map(Value::from);
    assert_eq!(
        ["id", "algorithm", "state", "source"].map(|field| keys[0][field].clone()),
        expected
    );
    let shown = key(&home, &["list"]).run().assert_success().out;
    assert!(
        shown.starts_with(&format!(
            "kid       {old}\nstate     signing, EdDSA, from the database\n"
        )),
        "{shown}"
    );
    assert!(shown.ends_with("verifies  until no end yet\n"), "{shown}");
    assert_fits(&shown);

    let rotated = key(&home, &["rotate"]).run().assert_success();
    assert_fits(&rotated.out);
    let keys = listed(&home);
    assert_eq!(states(&keys), ["signing", "next"], "{rotated:?}");
    let new = keys[1]["id"].as_str().unwrap().to_owned();
    let said = format!("the key {new} was added;\nstart the server soon");
    assert!(rotated.out.starts_with(&said), "{rotated:?}");
    let again = key(&home, &["rotate"]).run().assert_success();
    assert!(again.out.starts_with("nothing was changed"), "{again:?}");
    assert_fits(&again.out);

    let server = eddsa(&home).start();
    assert!(
        server.banner().contains("  next key      signs from "),
        "{}",
        server.banner()
    );
    assert_eq!(published(server.client()), [old, new.clone()]);
    server.kill();
    let hurried = key(&home, &["rotate", "--now"]).run().assert_success();
    assert!(
        hurried
            .out
            .starts_with(&format!("the key {new} signs from now on")),
        "{hurried:?}"
    );
    let server = eddsa(&home).start();
    assert_eq!(kid(&server.sign_in("ada", PASSWORD).token()), new);
}

#[test]
fn keys_are_listed_and_rotated_while_the_server_runs() {
    let home = Home::new();
    let server = eddsa(&home).start();
    let token = signed_in(&server);
    let old = kid(&token);
    assert_eq!(listed(&home)[0]["id"], old.as_str());

    let ahead = key(&home, &["rotate"]).run().assert_success();
    let keys = listed(&home);
    assert_eq!(states(&keys), ["signing", "next"], "{ahead:?}");
    let new = keys[1]["id"].as_str().unwrap().to_owned();
    let said = format!("the key {new} was added;\nit is published, and signs from ");
    assert!(ahead.out.starts_with(&said), "{ahead:?}");
    assert_fits(&ahead.out);
    assert_eq!(published(server.client()), [old.clone(), new.clone()]);
    assert_eq!(kid(&server.sign_in("ada", PASSWORD).token()), old);

    key(&home, &["rotate", "--now"]).run().assert_success();
    assert_eq!(states(&listed(&home)), ["verifying", "signing"]);
    let second = server.sign_in("ada", PASSWORD).token();
    assert_eq!(kid(&second), new);
    server.me(&token).assert_status(200);

    // The tokens are in the server's cache, and dead all the same.
    let revoked = key(&home, &["rotate", "--revoke"]).run().assert_success();
    assert!(
        revoked
            .out
            .contains("every older token is dead: 3 sessions ended"),
        "{revoked:?}"
    );
    for token in [&token, &second] {
        server.me(token).assert_problem(401, "invalid_token");
    }
    let keys = listed(&home);
    assert_eq!(states(&keys), ["signing"]);
    assert_eq!(published(server.client()), [keys[0]["id"].as_str().unwrap()]);
    let token = server.sign_in("ada", PASSWORD).token();
    assert_eq!(kid(&token), keys[0]["id"].as_str().unwrap());
    server.kill();
    eddsa(&home).start().me(&token).assert_status(200);
}

/// Makes an API token of the user with this access token.
fn api_token(server: &Server, token: &str) -> String {
    let wanted = r#"{"name":"script","roles":["CLIENT"],"expires_in":86400}"#;
    let made = with_token_and_json("POST", "/me/tokens", token, wanted);
    let made = server.client().ask(&made);
    made.assert_status(201);
    made.json()["token"].as_str().unwrap().to_owned()
}

#[test]
fn api_tokens_end_with_a_revocation_only_if_told() {
    for is_served in [true, false] {
        let home = Home::new();
        let server = eddsa(&home).start();
        let token = signed_in(&server);
        let script = api_token(&server, &token);
        server.me(&script).assert_status(200);
        for arguments in [
            &["rotate", "--api-tokens"][..],
            &["rotate", "--now", "--api-tokens"],
        ] {
            let refused = key(&home, arguments).run();
            assert_eq!(refused.code, Some(2), "{refused:?}");
        }
        // With the server, or while it is stopped.
        let mut running = Some(server);
        for (arguments, said, status) in [
            (&["rotate", "--revoke"][..], "1 session ended", 200),
            (
                &["rotate", "--revoke", "--api-tokens"],
                "0 sessions and 1 API token ended",
                401,
            ),
            (
                &["rotate", "--revoke", "--api-tokens"],
                "0 sessions and 0 API tokens ended",
                401,
            ),
        ] {
            if !is_served {
                running.take().unwrap().kill();
            }
            let revoked = key(&home, arguments).run().assert_success();
            assert!(revoked.out.contains(said), "{revoked:?}");
            let server = running.get_or_insert_with(|| eddsa(&home).start());
            server.me(&token).assert_status(401);
            server.me(&script).assert_status(status);
        }
    }
}

/// The server may get its secret from an environment that the command does not have.
#[test]
fn rotating_without_the_servers_settings_ends_nothing() {
    let home = Home::new();
    let with_secret = || {
        home.server()
            .variable("JWT_SERVER__TOKEN__SECRET", SECRET)
            .start()
    };
    let server = with_secret();
    let token = signed_in(&server);
    server.kill();
    for arguments in [&["key", "rotate"][..], &["key", "rotate", "--now"]] {
        let refused = home.program(arguments).run().assert_refused(1);
        assert!(
            refused.contains("nothing was changed. The signing key comes from the settings, so"),
            "{refused}"
        );
    }
    let listed = json(home.program(&["key", "list", "--json"]));
    assert_eq!(
        ["algorithm", "state", "source"].map(|field| listed[0][field].clone()),
        ["HS256", "signing", "settings"].map(Value::from)
    );
    let server = with_secret();
    assert!(
        !server.banner().contains("note: the signing key"),
        "{}",
        server.banner()
    );
    server.me(&token).assert_status(200);
}

#[test]
fn revoking_a_stolen_key_ends_every_session() {
    let home = Home::new();
    let server = eddsa(&home).start();
    let token = signed_in(&server);
    server.kill();
    let both = key(&home, &["rotate", "--now", "--revoke"]).run();
    assert_eq!(both.code, Some(2), "{both:?}");

    let revoked = key(&home, &["rotate", "--revoke"]).run().assert_success();
    assert!(
        revoked.out.contains("every older token is dead: 1 session ended"),
        "{revoked:?}"
    );
    let server = eddsa(&home).start();
    assert!(
        server.banner().contains("(1 user, 0 live sessions)"),
        "{}",
        server.banner()
    );
    server.me(&token).assert_problem(401, "invalid_token");
    let published = published(server.client());
    assert_eq!(published.len(), 1);
    assert!(!published.contains(&kid(&token)));
}

#[test]
fn another_algorithm_is_a_rotation_that_a_kill_does_not_undo() {
    let home = Home::new();
    let server = home.server().start();
    let token = signed_in(&server);
    server.kill();
    let server = eddsa(&home).start();
    assert!(
        !server.banner().contains("note: the signing key"),
        "{}",
        server.banner()
    );
    server.me(&token).assert_status(200);
    let next = published(server.client());
    assert_eq!(next.len(), 1);
    server.kill();

    for _ in 0..3 {
        let server = eddsa(&home).start();
        assert_eq!(published(server.client()), next);
        server.me(&token).assert_status(200);
        server.kill();
    }
    key(&home, &["rotate", "--now"]).run().assert_success();
    let server = eddsa(&home).start();
    let new = server.sign_in("ada", PASSWORD).token();
    assert_eq!(kid(&new), next[0]);
    server.kill();
    let server = eddsa(&home).start();
    for token in [&token, &new] {
        server.me(token).assert_status(200);
    }
}

/// A token that has left the server was signed by a key that the next start has.
#[test]
fn no_key_signs_before_it_would_survive_a_kill() {
    let home = Home::new();
    let mut tokens: Vec<String> = Vec::new();
    for (round, algorithm) in ["EdDSA", "ES256", "RS256", "HS256", "EdDSA", "ES256"]
        .into_iter()
        .enumerate()
    {
        let server = home
            .server()
            .flag("--token.algorithm", algorithm)
            .flag("--token.publish_ahead", "0s")
            .start();
        for token in &tokens {
            server.me(token).assert_status(200);
        }
        server
            .sign_up(&format!("user{round}"), PASSWORD)
            .assert_status(201);
        let token = server.sign_in(&format!("user{round}"), PASSWORD).token();
        assert_eq!(header(&token)["alg"], algorithm);
        tokens.push(token);
        server.kill();
    }
}

#[test]
fn a_key_file_signs_and_is_named() {
    let home = Home::new();
    for (file, algorithm) in [
        ("ed25519", "EdDSA"),
        ("ec-sec1", "ES256"),
        ("ec-pkcs8", "ES256"),
        ("rsa-pkcs1", "RS256"),
        ("rsa-pkcs8", "RS256"),
    ] {
        let home = Home::new();
        key_file(&home, file, 0o600);
        let server = home
            .server()
            .flag("--token.algorithm", algorithm)
            .flag("--token.key_file", "key.pem")
            .start();
        let token = signed_in(&server);
        server.me(&token).assert_status(200);
        let line = format!(
            "  signing key   from key file key.pem ({algorithm}, kid {})",
            kid(&token)
        );
        let ended = server.kill();
        assert!(ended.out.contains(&line), "{ended:?}");
        assert!(!ended.out.contains("read by other users"), "{ended:?}");
        let pem = fs::read_to_string(home.path("key.pem")).unwrap();
        let body = pem.lines().find(|line| !line.starts_with("-----")).unwrap();
        assert!(!ended.out.contains(body) && !ended.err.contains(body));
    }
    eddsa(&home).start().kill();
    key_file(&home, "ed25519", 0o600);
    let refused = key(&home, &["rotate"])
        .flag("--token.key_file", "key.pem")
        .run()
        .assert_refused(1);
    assert!(
        refused.contains("The signing key comes from the settings"),
        "{refused}"
    );
}

#[test]
fn a_key_file_that_others_can_read_gets_a_warning() {
    let home = Home::new();
    key_file(&home, "ed25519", 0o640);
    let server = eddsa(&home).flag("--token.key_file", "key.pem").start();
    let said = server.kill().out;
    assert!(
        said.contains("warning: key file key.pem can be read by other users"),
        "{said}"
    );

    let home = Home::new();
    home.write("secret", SECRET);
    fs::set_permissions(home.path("secret"), fs::Permissions::from_mode(0o644)).unwrap();
    let server = eddsa(&home).flag("--token.secret_file", "secret").start();
    let said = server.kill().out;
    assert!(
        said.contains("warning: secret file secret can be read by other users"),
        "{said}"
    );
    assert!(
        said.contains(
            "warning: token.algorithm is EdDSA, so the secret from secret file secret only verifies"
        ),
        "{said}"
    );
}

#[test]
fn a_bad_key_file_is_one_clear_line_and_no_database() {
    for (file, algorithm, why) in [
        (
            "rsa-1024",
            "RS256",
            "key file key.pem: it holds an RSA key of 1024 bits",
        ),
        ("rsa-public", "RS256", "key file key.pem: it holds a public key"),
        (
            "ec-sec1",
            "RS256",
            "key file key.pem: it holds an EC key on P-256, and RS256 takes an RSA key",
        ),
        ("ec-p384", "ES256", "another curve than P-256"),
        ("rsa-encrypted", "RS256", "its key is encrypted"),
        (
            "ed25519",
            "HS256",
            "token.key_file (flag --token.key_file) is for EdDSA, ES256 and RS256",
        ),
    ] {
        let home = Home::new();
        key_file(&home, file, 0o600);
        let line = home
            .server()
            .flag("--token.algorithm", algorithm)
            .flag("--token.key_file", "key.pem")
            .run()
            .assert_refused(1);
        assert!(line.contains(why), "{line}");
        assert!(!home.path("data").exists());
    }
}

#[test]
fn check_config_names_a_key_and_shows_no_part_of_it() {
    let home = Home::new();
    key_file(&home, "ed25519", 0o600);
    let checked = home
        .program(&["check-config"])
        .flag("--token.algorithm", "EdDSA")
        .flag("--token.key_file", "key.pem")
        .run()
        .assert_success();
    let pem = fs::read_to_string(home.path("key.pem")).unwrap();
    assert!(checked.out.contains("key_file = \"key.pem\""), "{checked:?}");
    assert!(!checked.out.contains(pem.lines().nth(1).unwrap()));
}

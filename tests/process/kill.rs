//! `kill -9`, right after an answer and during work: everything that the server has answered holds after the next start.

use std::{
    env, io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::json;

use crate::{
    client::{
        Answer, Client, Deadline, PASSWORD, PATIENCE, claims, post_json, revoke, sign_in, sign_up,
        with_token, with_token_and_json,
    },
    server::{Home, Program, Server},
};

/// Each refresh mints a token, and both tokens of a refresh stay good for as long as a test takes, the long run included.
pub(crate) fn refreshing(server: Program) -> Program {
    server
        .flag("--token.lifetime", "12h")
        .flag("--token.refresh_window", "12h")
        .flag("--token.refresh_grace", "12h")
        .flag("--session.refresh_tokens", "true")
        // The test asks for deleted users often, and all its users sign up from one address.
        .flag("--throttle.address_failures", "1000000")
        .flag("--throttle.sign_ups", "1000000")
}

fn start(home: &Home) -> Server {
    refreshing(home.server()).start()
}

/// Kills the server at once and starts the next one.
fn kill_and_restart(home: &Home, server: Server) -> Server {
    server.kill();
    start(home)
}

#[test]
fn an_answered_sign_up_holds_after_kill_9() {
    let home = Home::new();
    let server = start(&home);
    let id = server.sign_up("ada", PASSWORD).json()["id"].clone();

    let server = kill_and_restart(&home, server);
    let token = server.sign_in("ada", PASSWORD).token();
    assert_eq!(server.me(&token).json()["id"], id);
    server
        .sign_up("ada", PASSWORD)
        .assert_problem(409, "username_taken");
}

#[test]
fn an_answered_sign_in_holds_after_kill_9() {
    let home = Home::new();
    let server = start(&home);
    server.sign_up("ada", PASSWORD).assert_status(201);
    let token = server.sign_in("ada", PASSWORD).token();

    let server = kill_and_restart(&home, server);
    let me = server.me(&token);
    assert_eq!(me.json()["session_id"], claims(&token)["sid"]);
}

#[test]
fn an_answered_refresh_and_its_successor_hold_after_kill_9() {
    let home = Home::new();
    let server = start(&home);
    server.sign_up("ada", PASSWORD).assert_status(201);
    let first = server.sign_in("ada", PASSWORD).token();
    let refreshed = server.refresh(&first);
    assert_eq!(refreshed.json()["refreshed"], true);
    let successor = refreshed.token();

    let server = kill_and_restart(&home, server);
    server.me(&successor).assert_status(200);
    let again = server.refresh(&first);
    assert_eq!(again.json()["refreshed"], false);
    for claim in ["jti", "iat", "exp", "sid"] {
        assert_eq!(
            claims(&again.token())[claim],
            claims(&successor)[claim],
            "{claim}"
        );
    }
}

#[test]
fn an_answered_log_out_or_revocation_holds_after_kill_9() {
    let home = Home::new();
    let server = start(&home);
    server.sign_up("ada", PASSWORD).assert_status(201);
    let first = server.sign_in("ada", PASSWORD).token();
    let successor = server.refresh(&first).token();
    let other = server.sign_in("ada", PASSWORD).token();
    let by_token = server.sign_in("ada", PASSWORD).token();
    server.log_out(&successor).assert_status(204);
    server.ask(&revoke(&by_token)).assert_status(200);

    let server = kill_and_restart(&home, server);
    for token in [&first, &successor, &by_token] {
        server.me(token).assert_problem(401, "invalid_token");
        server.refresh(token).assert_problem(401, "invalid_token");
    }
    server.me(&other).assert_status(200);
}

#[test]
fn a_kill_during_a_start_loses_nothing() {
    /// Longer than a start takes, in steps that are shorter.
    const MOMENTS: [u64; 8] = [1, 2, 4, 5, 6, 8, 10, 14];
    let home = Home::new();
    for moment in MOMENTS {
        home.server().kill_after(Duration::from_millis(moment));
    }
    let server = start(&home);
    assert!(server.banner().contains("(0 users, 0 live sessions)"));
    server.sign_up("ada", PASSWORD).assert_status(201);
    let token = server.sign_in("ada", PASSWORD).token();
    server.kill();

    for moment in MOMENTS {
        home.server().kill_after(Duration::from_millis(moment));
    }
    let server = start(&home);
    server.me(&token).assert_status(200);
    assert!(
        !server.banner().contains("note: the signing key"),
        "{}",
        server.banner()
    );
}

/// A start writes its snapshot into `snap.….generating` and then renames that file.
#[test]
fn a_half_written_snapshot_of_a_killed_start_is_no_damage() {
    let home = Home::new();
    let server = start(&home);
    server.sign_up("ada", PASSWORD).assert_status(201);
    let token = server.sign_in("ada", PASSWORD).token();
    server.kill();
    for left in [&b""[..], b"half of what"] {
        let cut_short = home.copy();
        cut_short.write("data/snap.000000000000FFFF.generating", left);
        start(&cut_short).me(&token).assert_status(200);
    }
}

const NEW_PASSWORD: &str = "another horse battery";

fn refresh_with(refresh_token: &str) -> String {
    post_json("/refresh", &json!({ "refresh_token": refresh_token }).to_string())
}

/// Something that the server has answered, and must still know after every later start.
#[derive(Debug)]
pub(crate) enum Acknowledged {
    User(String),
    Live(String),
    Revoked(String),
    Refreshed {
        old: String,
        successor: String,
    },
    /// With the refresh token that the client used for them.
    Rotated {
        spent: String,
        access: String,
        next: String,
    },
    PasswordChanged(String),
    Deleted(String),
}

impl Acknowledged {
    #[track_caller]
    pub(crate) fn assert_holds(&self, server: &Server) {
        match self {
            Self::User(name) => assert_eq!(server.sign_in(name, PASSWORD).status, 200, "{self:?}"),
            Self::Live(token) => assert_eq!(server.me(token).status, 200, "{self:?}"),
            Self::Revoked(token) => assert_eq!(server.me(token).status, 401, "{self:?}"),
            Self::Refreshed { old, successor } => {
                assert_eq!(server.me(successor).status, 200, "{self:?}");
                let again = server.refresh(old).token();
                assert_eq!(claims(&again)["jti"], claims(successor)["jti"], "{self:?}");
            }
            Self::Rotated { spent, access, next } => {
                assert_eq!(server.me(access).status, 200, "{self:?}");
                let again = server.ask(&refresh_with(spent));
                assert_eq!(again.json()["refresh_token"], **next, "{self:?}");
            }
            Self::PasswordChanged(name) => {
                assert_eq!(server.sign_in(name, PASSWORD).status, 401, "{self:?}");
                assert_eq!(server.sign_in(name, NEW_PASSWORD).status, 200, "{self:?}");
            }
            Self::Deleted(name) => assert_eq!(server.sign_in(name, PASSWORD).status, 401, "{self:?}"),
        }
    }
}

/// What the server has answered one client, and how many answers all clients got.
struct Notebook {
    facts: Vec<Acknowledged>,
    of_all: Arc<AtomicUsize>,
}

impl Notebook {
    fn note(&mut self, fact: Acknowledged) {
        self.facts.push(fact);
        self.of_all.fetch_add(1, Ordering::Relaxed);
    }
}

/// Signs up, signs in, refreshes in both forms, makes and ends API tokens, logs out and revokes as one new user after another,
/// until the server is gone. Some users change their password, some delete their account. Returns what the server answered; a
/// request without an answer may have taken effect or not.
fn work(client: Client, name: &str, of_all: Arc<AtomicUsize>) -> Vec<Acknowledged> {
    let facts = Vec::new();
    let mut notebook = Notebook { facts, of_all };
    for turn in 0.. {
        if work_once(client, &format!("{name}-{turn}"), &mut notebook).is_err() {
            break;
        }
    }
    notebook.facts
}

fn work_once(client: Client, name: &str, notebook: &mut Notebook) -> io::Result<()> {
    client.try_ask(&sign_up(name, PASSWORD))?.assert_status(201);
    notebook.note(Acknowledged::User(name.to_owned()));

    let token = |answer: Answer| answer.token();
    let old = client.try_ask(&sign_in(name, PASSWORD)).map(token)?;
    notebook.note(Acknowledged::Live(old.clone()));
    let successor = client.try_ask(&with_token("GET", "/refresh", &old)).map(token)?;
    let session = old.clone();
    notebook.note(Acknowledged::Refreshed { old, successor });

    let (service, _) = api_token(client, &session)?;
    notebook.note(Acknowledged::Live(service));
    let (revoked, id) = api_token(client, &session)?;
    let end = with_token("DELETE", &format!("/me/sessions/{id}"), &session);
    client.try_ask(&end)?.assert_status(204);
    notebook.note(Acknowledged::Revoked(revoked));

    let revoked = client.try_ask(&sign_in(name, PASSWORD)).map(token)?;
    let log_out = client.try_ask(&with_token("POST", "/logout", &revoked))?;
    log_out.assert_status(204);
    notebook.note(Acknowledged::Revoked(revoked));

    let revoked = client.try_ask(&sign_in(name, PASSWORD)).map(token)?;
    client.try_ask(&revoke(&revoked))?.assert_status(200);
    notebook.note(Acknowledged::Revoked(revoked));

    let spent = client
        .try_ask(&sign_in(name, PASSWORD))
        .map(|answer| refresh_token(&answer))?;
    let rotated = client.try_ask(&refresh_with(&spent))?;
    let (access, next) = (rotated.token(), refresh_token(&rotated));
    notebook.note(Acknowledged::Rotated { spent, access, next });

    // Other users, because a request without an answer may have taken effect.
    let changing = format!("{name}-changing");
    let token = sign_up_and_in(client, &changing)?;
    let body = json!({"current_password": PASSWORD, "new_password": NEW_PASSWORD});
    let change = with_token_and_json("POST", "/me/password", &token, &body.to_string());
    let fresh = client.try_ask(&change)?.token();
    notebook.note(Acknowledged::PasswordChanged(changing));
    notebook.note(Acknowledged::Revoked(token));
    notebook.note(Acknowledged::Live(fresh));

    let leaving = format!("{name}-leaving");
    let token = sign_up_and_in(client, &leaving)?;
    let body = json!({ "current_password": PASSWORD });
    let delete = with_token_and_json("DELETE", "/me", &token, &body.to_string());
    client.try_ask(&delete)?.assert_status(204);
    notebook.note(Acknowledged::Deleted(leaving));
    Ok(())
}

fn sign_up_and_in(client: Client, name: &str) -> io::Result<String> {
    client.try_ask(&sign_up(name, PASSWORD))?.assert_status(201);
    client
        .try_ask(&sign_in(name, PASSWORD))
        .map(|answer| answer.token())
}

/// A new API token, and its id.
fn api_token(client: Client, session: &str) -> io::Result<(String, String)> {
    let body = json!({"name": "deploy", "roles": ["CLIENT"], "expires_in": 86_400});
    let made = client.try_ask(&with_token_and_json(
        "POST",
        "/me/tokens",
        session,
        &body.to_string(),
    ))?;
    made.assert_status(201);
    let member = |name: &str| made.json()[name].as_str().unwrap().to_owned();
    Ok((member("token"), member("id")))
}

fn refresh_token(answer: &Answer) -> String {
    answer.json()["refresh_token"].as_str().unwrap().to_owned()
}

/// How many rounds there are by default; the long run is in CONTRIBUTING.md.
const ROUNDS: usize = 5;

/// How many rounds the environment asks for, or `otherwise`.
pub(crate) fn rounds(otherwise: usize) -> usize {
    match env::var("JWT_SERVER_CRASH_ROUNDS") {
        Ok(rounds) => rounds.parse().expect("JWT_SERVER_CRASH_ROUNDS is a number"),
        Err(_) => otherwise,
    }
}

#[test]
fn kill_9_during_work_loses_nothing_that_was_answered() {
    const CLIENTS: usize = 4;
    /// How many facts of earlier rounds the test checks again after each kill. After the last one it checks all.
    const AGAIN: usize = 200;
    let rounds = rounds(ROUNDS);
    let home = Home::new();
    let mut acknowledged = Vec::new();
    let mut server = start(&home);
    for round in 0..rounds {
        let (client, of_all) = (server.client(), Arc::new(AtomicUsize::new(0)));
        let worker = |number: usize| {
            let (name, of_all) = (format!("user-{round}-{number}"), Arc::clone(&of_all));
            thread::spawn(move || work(client, &name, of_all))
        };
        let workers: Vec<_> = (0..CLIENTS).map(worker).collect();
        let deadline = Deadline::after(PATIENCE);
        // Another number each time, so that the kill interrupts other work.
        while of_all.load(Ordering::Relaxed) < 40 + 7 * (round % 40) {
            assert!(!deadline.is_over(), "round {round}: the clients make no progress");
            thread::sleep(Duration::from_millis(1));
        }
        server = kill_and_restart(&home, server);
        let earlier = acknowledged.len();
        for worker in workers {
            acknowledged.extend(worker.join().unwrap());
        }
        for fact in &acknowledged[earlier..] {
            fact.assert_holds(&server);
        }
        // A later start has lost none of the earlier facts. The stride selects others each time.
        let stride = earlier / AGAIN + 1;
        for fact in acknowledged[..earlier]
            .iter()
            .skip(round % stride)
            .step_by(stride)
        {
            fact.assert_holds(&server);
        }
    }
    for fact in &acknowledged {
        fact.assert_holds(&server);
    }
    println!(
        "{rounds} rounds of kill -9, {} acknowledged writes, none lost",
        acknowledged.len()
    );
}

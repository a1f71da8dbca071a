//! Users move in and out: what an import takes and refuses, all of it or none, and that an import of an export gives the same users.

use std::{fmt::Write as _, io, sync::Arc};

use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use jwt_server::{
    auth::ImportOptions,
    clock::Timestamp,
    domain::{
        Attributes, DisplayName, PasswordHash, RequestContext, Role, User, UserId, UserRoles, Username,
    },
    event::{Actor, EventClass, EventKind},
    http::{Administration, Operator},
    transfer,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use warp::{
    http::{Request, StatusCode},
    hyper::body::{Bytes, Frame},
};

use crate::server::{Answer, PASSWORD, Server, claims, request, spawn, spawn_with};

const OWNER: u32 = 1234;
/// bcrypt of a password that no test uses, as htpasswd writes it.
const HASH: &str = "$2y$04$abcdefghijklmnopqrstuuDIGESTDIGESTDIGESTDIGESTDIGES/.";

fn administration(server: &Server) -> Administration {
    Administration::new(server.auth.accounts().clone(), &server.config, OWNER)
}

async fn answer_of(server: &Server, request: warp::test::RequestBuilder) -> Answer {
    let request = request.extension(Operator { uid: OWNER });
    let (parts, body) = request.reply(&administration(server).app()).await.into_parts();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body,
    }
}

impl Server {
    async fn import(&self, query: &str, file: &str) -> Answer {
        answer_of(self, request("POST", &format!("/admin/import{query}")).body(file)).await
    }

    async fn export(&self, query: &str) -> String {
        let answer = answer_of(self, request("GET", &format!("/admin/export{query}"))).await;
        answer.assert_status(StatusCode::OK);
        assert_eq!(answer.header("content-type"), "application/x-ndjson");
        assert_eq!(answer.header("cache-control"), "no-store");
        answer.text()
    }

    async fn found(&self, name: &str) -> Option<Arc<User>> {
        let name = Username::parse(name).unwrap();
        self.store.user_by_name(&name).await.unwrap()
    }
}

/// A hash that differs from every other one in its last digits.
fn hash(of: char) -> String {
    format!("$2b$04${}", of.to_string().repeat(53))
}

#[tokio::test]
async fn imported_users_sign_in_with_the_password_they_had() {
    let server = spawn().await;
    let made = server.user("maker").await;
    assert!(!made.is_empty());
    let hash = server.password_hash("maker").await.expose().to_owned();
    let old = hash.replacen("$2b$", "$2y$", 1);
    for (name, file) in [
        ("ada", format!("ada:{old}\n")),
        ("bob", format!("username,password_hash\nbob,{old}\n")),
        (
            "cid",
            format!("{{\"username\":\"cid\",\"password_hash\":\"{old}\"}}\n"),
        ),
    ] {
        let report = server.import("", &file).await;
        report.assert_status(StatusCode::OK);
        let expected = json!({"added": 1, "updated": 0, "skipped": 0, "bad": 0, "lines": []});
        assert_eq!(report.json(), expected);
        let token = server.sign_in(name, PASSWORD).await.token();
        assert_eq!(claims(&token)["roles"], json!(["CLIENT"]));
        // It is of this server's own form from then on.
        let rehashed = server.password_hash(name).await;
        assert!(rehashed.expose().starts_with("$2b$04$"), "{name}");
    }
}

#[tokio::test]
async fn one_bad_line_refuses_the_whole_import_unless_it_is_skipped() {
    let server = spawn().await;
    let file = format!("ada:{HASH}\nno user\nbob:y2./\nADA:{HASH}\n");
    let refused = server.import("", &file).await;
    let problem = refused.assert_problem(StatusCode::UNPROCESSABLE_ENTITY, "import_refused");
    let errors = problem["errors"].as_array().unwrap();
    let named: Vec<_> = errors
        .iter()
        .map(|error| error["field"].as_str().unwrap())
        .collect();
    assert_eq!(named, ["line 2", "line 3", "line 4"]);
    let detail = |n: usize| errors[n]["detail"].as_str().unwrap();
    assert!(detail(0).contains("no colon"), "{}", detail(0));
    assert!(detail(1).contains("single quotes"), "{}", detail(1));
    assert!(detail(2).contains("line 1"), "{}", detail(2));
    assert_eq!(server.found("ada").await, None);
    server
        .sign_up("ada", PASSWORD)
        .await
        .assert_status(StatusCode::CREATED);

    let report = server
        .import(
            "?skip_bad=true",
            &file.replace("ada", "eve").replace("ADA", "EVE"),
        )
        .await
        .json();
    assert_eq!(
        (&report["added"], &report["bad"]),
        (&json!(1), &json!(3)),
        "{report}"
    );
    assert!(server.found("eve").await.is_some());
}

#[tokio::test]
async fn a_report_names_a_hundred_lines_and_counts_the_rest() {
    let server = spawn().await;
    let mut file = String::new();
    for n in 0..1234 {
        writeln!(file, "user{n}:no-hash-at-all").unwrap();
    }
    let refused = server.import("", &file).await;
    let problem = refused.assert_problem(StatusCode::UNPROCESSABLE_ENTITY, "import_refused");
    assert_eq!(problem["errors"].as_array().unwrap().len(), 100);
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("1234 lines") && detail.contains("1134 more"),
        "{detail}"
    );
}

#[tokio::test]
async fn a_dry_run_says_what_would_happen_and_does_nothing() {
    let server = spawn().await;
    server.user("bob").await;
    server.events.take();
    let file = format!("ada:{HASH}\nbob:{HASH}\n");
    for (query, expected) in [
        ("?dry_run=true&on_conflict=update", (1, 1, 0)),
        ("?dry_run=true&on_conflict=skip", (1, 0, 1)),
    ] {
        let report = server.import(query, &file).await.json();
        let found = ["added", "updated", "skipped"].map(|name| report[name].as_u64().unwrap());
        assert_eq!(found, <[u64; 3]>::from(expected), "{report}");
    }
    let refused = server.import("?dry_run=true", &file).await;
    let problem = refused.assert_problem(StatusCode::UNPROCESSABLE_ENTITY, "import_refused");
    assert_eq!(problem["errors"][0]["field"], "line 2");
    assert_eq!(server.found("ada").await, None);
    assert_eq!(server.events.take(), []);
    server
        .sign_in("bob", PASSWORD)
        .await
        .assert_status(StatusCode::OK);
}

#[tokio::test]
async fn a_user_who_exists_is_in_the_way_or_stays_or_is_updated() {
    let server = spawn().await;
    let token = server.user("ada").await;
    let before = server.found("ada").await.unwrap();
    server.events.take();
    let file = format!(
        "{}\n{}\n",
        json!({"username": "ada", "password_hash": HASH, "roles": ["EDITOR"]}),
        json!({"username": "bob", "password_hash": HASH, "roles": ["CLIENT"]}),
    );
    let refused = server.import("", &file).await;
    refused.assert_problem(StatusCode::UNPROCESSABLE_ENTITY, "import_refused");
    assert_eq!(server.found("bob").await, None);

    let report = server.import("?on_conflict=skip", &file).await.json();
    assert_eq!((&report["added"], &report["skipped"]), (&json!(1), &json!(1)));
    assert_eq!(server.found("ada").await.as_ref(), Some(&before));
    server.me(&token).await.assert_status(StatusCode::OK);

    let report = server.import("?on_conflict=update", &file).await.json();
    assert_eq!(report["updated"], 2);
    let after = server.found("ada").await.unwrap();
    assert_eq!(
        (after.id, after.roles.lasting().to_string()),
        (before.id, "EDITOR".into())
    );
    server.me(&token).await.assert_dead();
    let kinds = server.events.take();
    let operator = Actor::Operator { uid: Some(OWNER) };
    assert_eq!(kinds.len(), 2, "{kinds:?}");
    assert!(
        kinds
            .iter()
            .all(|event| event.actor == operator && event.subject.is_none())
    );
    assert_eq!(kinds[1].kind, EventKind::UsersImported { added: 0, updated: 2 });
}

#[tokio::test]
async fn what_is_no_list_of_users_is_told_as_a_whole() {
    let server = spawn().await;
    for (file, why) in [("", "no user"), ("hello", "format"), ("username,x\n", "column")] {
        let refused = server.import("", file).await;
        let problem = refused.assert_problem(StatusCode::UNPROCESSABLE_ENTITY, "import_unreadable");
        assert!(problem["detail"].as_str().unwrap().contains(why), "{problem}");
    }
    let wrong = server.import("?on_conflict=merge&dry_run=perhaps", "ada:x").await;
    wrong.assert_fields(&[("on_conflict", "not_a_choice"), ("dry_run", "wrong_type")]);
}

#[tokio::test]
async fn an_import_cannot_take_the_last_administrator_away() {
    let server = spawn().await;
    let admin = json!({"username": "ada", "password_hash": HASH, "roles": ["ADMIN"]});
    server
        .import("", &format!("{admin}\n"))
        .await
        .assert_status(StatusCode::OK);
    let client = json!({"username": "ada", "password_hash": HASH, "roles": ["CLIENT"]});
    let refused = server.import("?on_conflict=update", &format!("{client}\n")).await;
    refused.assert_problem(StatusCode::CONFLICT, "last_administrator");
    assert!(server.found("ada").await.unwrap().is_administrator());
}

#[tokio::test]
async fn a_body_that_is_cut_short_imports_nothing() {
    let server = spawn().await;
    let line = format!("ada:{HASH}\n");
    let pieces = [Ok(Frame::data(Bytes::from(line))), Err(io::Error::other("gone"))];
    let body = StreamBody::new(stream::iter(pieces));
    let request = Request::post("/admin/import").body(body).unwrap();
    let answer = administration(&server).answer(request).await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert_eq!(server.found("ada").await, None);
    // The next one is not held up.
    let report = server.import("", &format!("ada:{HASH}\n")).await;
    report.assert_status(StatusCode::OK);
}

#[tokio::test]
async fn one_import_at_a_time() {
    let server = spawn().await;
    let waiting = server.store.begin_import(false).await.unwrap().unwrap();
    let refused = server.import("", &format!("ada:{HASH}\n")).await;
    refused.assert_problem(StatusCode::CONFLICT, "import_in_progress");
    drop(waiting);
    server
        .import("", &format!("ada:{HASH}\n"))
        .await
        .assert_status(StatusCode::OK);
}

#[tokio::test]
async fn only_the_operator_moves_users_in_and_out() {
    let server = spawn_with(|config| config.admin.enabled = true).await;
    server.user("ada").await;
    server.set_roles("ada", &["ADMIN"]).await;
    let token = server.sign_in("ada", PASSWORD).await.token();
    let bearer = format!("Bearer {token}");
    let list = request("GET", "/admin/users").header("authorization", &bearer);
    server.send(list).await.assert_status(StatusCode::OK);
    for (method, path) in [
        ("POST", "/admin/import"),
        ("GET", "/admin/export?with_hashes=true"),
    ] {
        let asked = request(method, path).header("authorization", &bearer);
        server
            .send(asked)
            .await
            .assert_problem(StatusCode::NOT_FOUND, "not_found");
    }
    for uid in [OWNER + 1, 1] {
        let asked = request("GET", "/admin/export").extension(Operator { uid });
        let answer = asked.reply(&administration(&server).app()).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn an_export_has_hashes_only_if_they_are_asked_for() {
    let server = spawn().await;
    server.user("ada").await;
    let without = server.export("").await;
    assert!(
        !without.contains("$2b$") && without.contains("\"ada\""),
        "{without}"
    );
    assert_eq!(server.export("?with_hashes=false").await, without);
    let with = server.export("?with_hashes=true").await;
    assert!(with.contains(server.password_hash("ada").await.expose()));
}

#[tokio::test]
async fn an_export_is_an_event_before_its_first_page() {
    let server = spawn().await;
    let mut file = String::new();
    for n in 0..501 {
        writeln!(file, "user{n}:{HASH}").unwrap();
    }
    server.import("", &file).await.assert_status(StatusCode::OK);
    for with_hashes in [true, false] {
        server.events.take();
        server.export(&format!("?with_hashes={with_hashes}")).await;
        let events = server.events.take();
        let expected = EventKind::UsersExported { with_hashes };
        assert_eq!(events.len(), 1, "once, and not for each page: {events:?}");
        assert_eq!(events[0].kind, expected);
        assert_eq!(events[0].actor, Actor::Operator { uid: Some(OWNER) });
        assert_eq!(events[0].class(), EventClass::Administration);
    }
    // A reader who stops after the first page has been noted.
    let (accounts, context) = (server.auth.accounts(), RequestContext::default());
    let actor = Actor::Operator { uid: None };
    let (_, next) = accounts.export(None, true, actor, &context).await.unwrap();
    assert_eq!(
        server.events.take_one().kind,
        EventKind::UsersExported { with_hashes: true }
    );
    accounts.export(next, true, actor, &context).await.unwrap();
    assert_eq!(server.events.take(), []);
}

#[tokio::test]
async fn an_export_has_each_user_once_in_the_order_of_names() {
    let server = spawn().await;
    let mut file = String::new();
    for n in 0..1203 {
        writeln!(file, "user{:04}:{HASH}", n * 7 % 1203).unwrap();
    }
    server.import("", &file).await.assert_status(StatusCode::OK);
    let export = server.export("").await;
    let names: Vec<_> = export
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["username"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    let expected: Vec<_> = (0..1203).map(|n| format!("user{n:04}")).collect();
    assert_eq!(names, expected);
}

/// A user as a backup may have them, whatever a user can be.
fn any_user(n: usize) -> impl Strategy<Value = User> {
    let roles = proptest::collection::vec(
        ("[A-Z][A-Z0-9_-]{0,5}", proptest::option::of(1_u64..4_000_000_000)),
        0..4,
    );
    let attributes = proptest::collection::btree_map(
        "x[a-z0-9_]{0,6}",
        prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[^\\p{C}]{0,9}".prop_map(Value::from),
            proptest::collection::vec("[a-zA-Zé\" ]{0,5}", 0..3).prop_map(Value::from),
        ],
        0..4,
    );
    let name = format!("[a-z0-9][a-z0-9._@+'-]{{0,20}}-{n}");
    let name = proptest::string::string_regex(&name).unwrap();
    let display_name = proptest::option::of("[A-Za-zÀ-ÿ\"\\\\,;{}-]{1,20}");
    let hash = "\\$2[aby]\\$(0[4-9]|1[0-6])\\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{30}[.CGKOSWaeimquy26]";
    (
        name,
        hash,
        roles,
        attributes,
        display_name,
        any::<(bool, bool)>(),
        0_u64..4_000_000_000,
    )
        .prop_map(
            |(name, hash, roles, attributes, display_name, (disabled, must_change), created_at)| {
                let created_at = Timestamp::from_secs(created_at);
                let (mut lasting, mut ending) = (Vec::new(), Vec::new());
                for (role, until) in roles {
                    let role = Role::parse(&role).unwrap();
                    match until {
                        Some(until) => ending.push((role, Timestamp::from_secs(until))),
                        None => lasting.push(role),
                    }
                }
                let roles = UserRoles::new(lasting.into_iter().collect(), ending);
                let attributes = attributes.into_iter().collect();
                let hash = PasswordHash::parse(&hash).unwrap();
                let mut user = User::new(Username::parse(&name).unwrap(), hash, roles, created_at);
                user.id = UserId::generate(created_at);
                user.disabled = disabled;
                user.must_change_password = must_change;
                user.display_name = display_name.and_then(|name| DisplayName::parse(&name).ok());
                user.attributes = Attributes::parse(&attributes).unwrap();
                user
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_import_of_an_export_gives_the_same_users(
        users in (1_usize..12).prop_flat_map(|count| (0..count).map(any_user).collect::<Vec<_>>())
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let mut file = Vec::new();
            for user in &users {
                transfer::write_line(&mut file, user, true).unwrap();
            }
            let (one, two) = (spawn().await, spawn().await);
            let mut moving = String::from_utf8(file).unwrap();
            for server in [&one, &two] {
                server.import("", &moving).await.assert_status(StatusCode::OK);
                for user in &users {
                    assert_eq!(server.found(user.username.as_str()).await.as_deref(), Some(user));
                }
                moving = server.export("?with_hashes=true").await;
            }
            let export = one.export("?with_hashes=true").await;
            assert_eq!(two.export("?with_hashes=true").await, export);
            // Once more over the same users: nothing changes.
            let again = two.import("?on_conflict=update", &export).await;
            match again.status {
                StatusCode::OK => assert_eq!(again.json()["updated"], users.len()),
                other => panic!("{other}: {}", again.text()),
            }
            assert_eq!(two.export("?with_hashes=true").await, export);
        });
    }
}

#[tokio::test]
async fn a_program_that_embeds_the_server_imports_from_any_reader() {
    let server = spawn().await;
    let file = format!("ada:{}\n", hash('e'));
    let (accounts, context) = (server.auth.accounts(), RequestContext::default());
    let imported = accounts.import(
        io::Cursor::new(file),
        ImportOptions::default(),
        Actor::Server,
        &context,
    );
    assert_eq!(imported.await.unwrap().added, 1);
    assert_eq!(server.store.count().await.unwrap().users, 1);
    let request = Request::get("/admin/export").body(String::new()).unwrap();
    let answer = administration(&server).answer(request).await;
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(body.ends_with(b"}\n"));
}

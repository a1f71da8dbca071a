//! Who waits at the throttle, as the operator sees it, and that one of them is let in at once without loosening anything for others.

use jwt_server::{
    auth::Accounts,
    domain::{RequestContext, Username},
    event::{Actor, EventKind},
};
use serde_json::{Value, json};
use warp::http::StatusCode;

use crate::{
    server::{PASSWORD, Server, request, seconds, spawn_with},
    throttle::{assert_throttled, hammer, with_ada},
};

const ELSEWHERE: &str = "198.51.100.7";
const STRANGER: &str = "203.0.113.9";

impl Server {
    async fn waiting(&self, query: &str) -> Vec<Value> {
        let page = self.show(&format!("/admin/throttle{query}")).await;
        page["waiting"].as_array().unwrap().clone()
    }

    async fn id_of(&self, name: &str) -> String {
        let page = self.show(&format!("/admin/users?prefix={name}")).await;
        page["users"][0]["id"].as_str().unwrap().to_owned()
    }

    async fn clear(&self, path: &str) {
        let cleared = self
            .operate("DELETE", &format!("/admin/throttle/{path}"), None)
            .await;
        cleared.assert_status(StatusCode::NO_CONTENT);
    }
}

/// What waits, by why and where.
fn each(waiting: &[Value]) -> Vec<(&str, &str, &str)> {
    waiting
        .iter()
        .map(|one| {
            let of = |field: &str| one[field].as_str().unwrap_or_default();
            (of("why"), of("username"), of("network"))
        })
        .collect()
}

#[tokio::test]
async fn a_locked_out_user_is_seen_and_let_in_at_once() {
    let server = with_ada().await;
    server.add("bob", &["CLIENT"]).await;
    assert_eq!(hammer(&server, STRANGER, "ada").await, (30, 30));
    hammer(&server, "203.0.113.10", "bob").await;
    let wait = assert_throttled(&server.sign_in_from(ELSEWHERE, "ada", PASSWORD).await);
    assert_throttled(&server.sign_in_from(ELSEWHERE, "ada", PASSWORD).await);

    let waiting = server.waiting("").await;
    let mut seen = each(&waiting);
    seen.sort_unstable();
    assert_eq!(
        seen,
        [
            ("account", "ada", ELSEWHERE),
            ("account", "ada", STRANGER),
            ("account", "bob", "203.0.113.10"),
        ]
    );
    let owner = waiting.iter().find(|one| one["network"] == ELSEWHERE).unwrap();
    assert_eq!((&owner["refused"], &owner["failures"]), (&json!(2), &json!(32)));
    let until = server.show("/admin/users?prefix=ada").await["users"][0]["created_at"].clone();
    assert!(owner["until"].as_str() > until.as_str() && wait == 60, "{owner}");

    server.events.take();
    server
        .clear(&format!("users/{}", server.id_of("ada").await))
        .await;
    let event = server.events.take_one();
    assert_eq!(event.kind, EventKind::ThrottleCleared { network: None });
    assert!(event.subject.is_some() && matches!(event.actor, Actor::Operator { uid: Some(_) }));
    assert_eq!(
        each(&server.waiting("").await),
        [("account", "bob", "203.0.113.10")]
    );
    server.sign_in_from(ELSEWHERE, "ada", PASSWORD).await.token();
    assert_throttled(&server.sign_in_from("203.0.113.10", "bob", "guess").await);
}

#[tokio::test]
async fn an_attacker_gains_one_fresh_set_of_failures_by_it() {
    let server = with_ada().await;
    hammer(&server, STRANGER, "ada").await;
    let ada = server.id_of("ada").await;
    server.clear(&format!("users/{ada}")).await;
    assert_eq!(hammer(&server, STRANGER, "ada").await, (30, 30));
    // The owner is not behind the old line, but in the new one, and can be let in again.
    assert_eq!(
        assert_throttled(&server.sign_in_from(ELSEWHERE, "ada", PASSWORD).await),
        60
    );
    server.clear(&format!("users/{ada}?network={ELSEWHERE}")).await;
    server.sign_in_from(ELSEWHERE, "ada", PASSWORD).await.token();
}

#[tokio::test]
async fn a_network_is_seen_and_let_try_again() {
    let server = with_ada().await;
    for n in 0..100 {
        server.sign_in_from(STRANGER, &format!("user{n}"), "guess").await;
        server
            .sign_in_from("2001:db8:0:7::1", &format!("user{n}"), "guess")
            .await;
    }
    for address in [STRANGER, "2001:db8:0:7::1"] {
        assert_throttled(&server.sign_in_from(address, "made-up", "guess").await);
    }
    let waiting = server.waiting("").await;
    let expected = [("address", "", "2001:db8:0:7::"), ("address", "", STRANGER)];
    assert_eq!(each(&waiting), expected, "and no made-up name");
    assert_eq!(
        each(&server.waiting("?network=2001:db8:0:7::9").await),
        expected[..1]
    );
    server.clear("networks/2001:db8:0:7::42").await;
    assert_eq!(each(&server.waiting("").await), expected[1..]);
    for n in 0..100 {
        let answer = server
            .sign_in_from("2001:db8:0:7::1", &format!("user{n}"), "guess")
            .await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    }
    assert_throttled(&server.sign_in_from("2001:db8:0:7::1", "user", "guess").await);
    assert_throttled(&server.sign_in_from(STRANGER, "user", "guess").await);
}

#[tokio::test]
async fn a_made_up_name_is_not_remembered() {
    let server = with_ada().await;
    hammer(&server, STRANGER, "correct.horse").await;
    assert_eq!(server.waiting("").await, [] as [Value; 0]);
}

#[tokio::test]
async fn one_can_be_asked_for_and_freed_whom_no_server_remembers() {
    let server = with_ada().await;
    hammer(&server, STRANGER, "ada").await;
    assert_throttled(&server.sign_in_from(ELSEWHERE, "ada", PASSWORD).await);
    server.auth.keep_attempts().await.unwrap();
    let server = server.restart().await;
    assert_eq!(server.waiting("").await, [] as [Value; 0]);
    assert_eq!(
        each(&server.waiting("?account=ADA").await),
        [("account", "ada", "")]
    );
    let there = server.waiting(&format!("?account=ada&network={ELSEWHERE}")).await;
    assert_eq!(each(&there), [("account", "ada", ELSEWHERE)]);
    // By a command, while no server runs: it loads the counts, and keeps what it has changed.
    let accounts: Accounts = server.without_a_server();
    let ada = accounts
        .find_by_name(&Username::parse("ada").unwrap())
        .await
        .unwrap()
        .unwrap();
    let (actor, context) = (Actor::Operator { uid: None }, RequestContext::default());
    accounts.clear_user(&ada, None, actor, &context).await.unwrap();
    drop(accounts);
    let server = server.restart().await;
    assert_eq!(server.waiting("?account=ada").await, [] as [Value; 0]);
    server.sign_in_from(ELSEWHERE, "ada", PASSWORD).await.token();
}

#[tokio::test]
async fn a_freed_user_stays_free_after_a_crash() {
    let server = with_ada().await;
    hammer(&server, STRANGER, "ada").await;
    server.auth.keep_attempts().await.unwrap();
    server
        .clear(&format!("users/{}", server.id_of("ada").await))
        .await;
    // Nothing is kept at the end.
    let server = server.restart().await;
    server.sign_in_from(ELSEWHERE, "ada", PASSWORD).await.token();
}

#[tokio::test]
async fn budgets_are_listed_and_given_back() {
    let server = spawn_with(|config| {
        config.throttle.sign_ups = 1.try_into().unwrap();
        config.throttle.changes = 1.try_into().unwrap();
    })
    .await;
    let token = server.user("ada").await;
    let sign_up = async |name: &str| {
        let body = json!({ "username": name, "password": PASSWORD });
        server.post_from(STRANGER, "/signup", &body).await.status
    };
    assert_eq!(sign_up("bob").await, StatusCode::CREATED);
    assert_eq!(sign_up("eve").await, StatusCode::TOO_MANY_REQUESTS);
    let rename = async || {
        let bearer = request("PATCH", "/me").header("authorization", format!("Bearer {token}"));
        server
            .send(bearer.json(&json!({ "display_name": "Ada" })))
            .await
            .status
    };
    assert_eq!(rename().await, StatusCode::OK);
    assert_eq!(rename().await, StatusCode::TOO_MANY_REQUESTS);
    let waiting = server.waiting("").await;
    assert_eq!(
        each(&waiting),
        [("changes", "ada", ""), ("sign_ups", "", STRANGER)]
    );
    assert!(waiting[0]["session_id"].is_string());
    server
        .clear(&format!("users/{}", server.id_of("ada").await))
        .await;
    assert_eq!(rename().await, StatusCode::OK);
    assert_eq!(sign_up("eve").await, StatusCode::TOO_MANY_REQUESTS);
    server.clear(&format!("networks/{STRANGER}")).await;
    assert_eq!(sign_up("eve").await, StatusCode::CREATED);
    assert_eq!(server.waiting("").await, [] as [Value; 0]);
}

#[tokio::test]
async fn a_client_with_a_refresh_token_is_seen_and_let_in() {
    let server = spawn_with(|config| {
        config.throttle.changes = 3.try_into().unwrap();
        config.session.refresh_tokens = Some(seconds(24 * 3600));
    })
    .await;
    server.user("ada").await;
    let mut refresh_token = server.sign_in("ada", PASSWORD).await.json()["refresh_token"].clone();
    for _ in 0..3 {
        let body = json!({ "refresh_token": refresh_token });
        let answer = server.post("/refresh", &body).await;
        answer.assert_status(StatusCode::OK);
        refresh_token = answer.json()["refresh_token"].clone();
    }
    server.events.take();
    let body = json!({ "refresh_token": refresh_token });
    server
        .post("/refresh", &body)
        .await
        .assert_status(StatusCode::TOO_MANY_REQUESTS);
    let ada = server.id_of("ada").await;
    let told = server.events.take_one();
    assert_eq!(told.subject.map(|user| user.to_string()).as_ref(), Some(&ada));
    assert_eq!(each(&server.waiting("").await), [("refreshes", "ada", "")]);
    server.clear(&format!("users/{ada}")).await;
    let answer = server.post("/refresh", &body).await;
    answer.assert_status(StatusCode::OK);

    // Also a session that has spent its budget and was not refused yet.
    refresh_token = answer.json()["refresh_token"].clone();
    for _ in 0..4 {
        let body = json!({ "refresh_token": refresh_token });
        let answer = server.post("/refresh", &body).await;
        answer.assert_status(StatusCode::OK);
        refresh_token = answer.json()["refresh_token"].clone();
        server.clear(&format!("users/{ada}")).await;
    }
}

#[tokio::test]
async fn those_who_wait_are_listed_in_pages() {
    let server = with_ada().await;
    let mut expected = Vec::new();
    hammer(&server, STRANGER, "ada").await;
    for n in 1..=7 {
        let address = format!("198.51.100.{n}");
        assert_throttled(&server.sign_in_from(&address, "ada", "guess").await);
        expected.push(address);
    }
    expected.push(STRANGER.to_owned());
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = server.show(&format!("/admin/throttle?limit=3{after}")).await;
        let networks = page["waiting"].as_array().unwrap().iter();
        seen.extend(networks.map(|one| one["network"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(seen, expected);
    let whole = server
        .show(&format!("/admin/throttle?limit={}", expected.len()))
        .await;
    assert_eq!(whole.get("next"), None, "a full page can be the last one");
}

#[tokio::test]
async fn a_bad_request_about_the_throttle_is_refused() {
    let server = with_ada().await;
    for (query, fields) in [
        ("?network=here", &[("network", "bad_address")][..]),
        ("?account=a", &[("account", "too_short")]),
        ("?limit=0", &[("limit", "out_of_range")]),
        ("?name=ada", &[("name", "unknown")]),
    ] {
        let answer = server
            .operate("GET", &format!("/admin/throttle{query}"), None)
            .await;
        answer.assert_fields(fields);
    }
    let ada = server.id_of("ada").await;
    let answer = server
        .operate("DELETE", &format!("/admin/throttle/users/{ada}?network=x"), None)
        .await;
    answer.assert_fields(&[("network", "bad_address")]);
    for (method, path) in [
        ("GET", "?account=nobody"),
        ("DELETE", "/users/ada"),
        ("DELETE", "/users/019a2b3c-0000-7000-8000-000000000001"),
        ("DELETE", "/networks/here"),
    ] {
        let answer = server
            .operate(method, &format!("/admin/throttle{path}"), None)
            .await;
        answer.assert_problem(StatusCode::NOT_FOUND, "not_found");
    }
}

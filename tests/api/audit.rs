//! The audit trail: what its route answers to the operator, and what stays in it.

use serde_json::{Value, json};
use warp::http::StatusCode;

use crate::server::{PASSWORD, Server, claims, seconds, spawn, spawn_with};

async fn page(server: &Server, query: &str) -> Value {
    server.auth.keep_events().await.unwrap();
    let answer = server
        .operate("GET", &format!("/admin/events{query}"), None)
        .await;
    answer.assert_status(StatusCode::OK);
    answer.json()
}

async fn events(server: &Server, query: &str) -> Vec<Value> {
    page(server, query).await["events"].as_array().unwrap().clone()
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .map(|event| event["kind"].as_str().unwrap())
        .collect()
}

async fn kinds_of(server: &Server, query: &str) -> Vec<String> {
    let events = events(server, query).await;
    kinds(&events).into_iter().map(str::to_owned).collect()
}

#[tokio::test]
async fn each_event_says_who_did_what_to_whom_from_where_and_when() {
    let server = spawn().await;
    let token = server.user("ada").await;
    let (ada, session) = (claims(&token)["sub"].clone(), claims(&token)["sid"].clone());
    server.sign_in_from("192.0.2.1", "ada", "wrong password").await;
    server.sign_in_from("192.0.2.1", "ada", "wrong password").await;
    server.advance(seconds(7));
    let path = format!("/admin/users/{}", ada.as_str().unwrap());
    let disabled = server
        .operate("PATCH", &path, Some(json!({ "disabled": true })))
        .await;
    disabled.assert_status(StatusCode::OK);

    let events = events(&server, "").await;
    assert_eq!(
        kinds(&events),
        [
            "sign_in_failed",
            "user_disabled",
            "signed_in",
            "user_created",
            "signing_key_created"
        ],
        "refusals wait for the next second"
    );
    let user = json!({ "id": ada, "username": "ada" });
    let mut failed = events[0].clone();
    failed.as_object_mut().unwrap().remove("id");
    let expected = json!({
        "at": "2027-01-15T08:00:00Z", "kind": "sign_in_failed", "user": user, "address": "192.0.2.1",
        "actor": { "type": "anonymous" }, "details": { "reason": "wrong_password" }, "times": 2,
    });
    assert_eq!(failed, expected);
    let [_, disabled, signed_in, ..] = &events[..] else {
        panic!()
    };
    assert_eq!(disabled["actor"], json!({ "type": "operator", "uid": 1234 }));
    assert_eq!(
        (&disabled["user"], &disabled["at"]),
        (&user, &json!("2027-01-15T08:00:07Z"))
    );
    let by = json!({ "type": "user", "id": ada, "username": "ada", "session": session });
    assert_eq!(
        (&signed_in["actor"], &signed_in["details"]),
        (&by, &json!({ "session": session }))
    );
}

#[tokio::test]
async fn events_are_found_by_kind_user_actor_and_time() {
    let server = spawn().await;
    let token = server.user("ada").await;
    server.advance(seconds(60));
    server.user("bob").await;
    server.sign_in("bob", "wrong password").await;
    let ada = claims(&token)["sub"].as_str().unwrap().to_owned();
    for (query, expected) in [
        ("kind=user_created", &["user_created", "user_created"][..]),
        ("user=ADA", &["signed_in", "user_created"]),
        (&format!("user={ada}"), &["signed_in", "user_created"]),
        ("actor=ada", &["signed_in"]),
        ("actor=server", &["signing_key_created"]),
        ("actor=anonymous&user=bob", &["sign_in_failed", "user_created"]),
        ("since=2027-01-15T08:01:00Z&kind=signed_in", &["signed_in"]),
        (
            "until=2027-01-15T08:01:00Z",
            &["signed_in", "user_created", "signing_key_created"],
        ),
        ("user=eve", &[]),
        ("order=oldest&limit=2", &["signing_key_created", "user_created"]),
    ] {
        assert_eq!(kinds_of(&server, &format!("?{query}")).await, expected, "{query}");
    }
}

#[tokio::test]
async fn a_reader_who_follows_misses_nothing() {
    let server = spawn().await;
    server.user("ada").await;
    let mut newest_first = Vec::new();
    let mut query = "?limit=1".to_owned();
    loop {
        let page = page(&server, &query).await;
        newest_first.extend(page["events"].as_array().unwrap().clone());
        let Some(next) = page["next"].as_str() else { break };
        query = format!("?limit=1&after={next}");
    }
    assert_eq!(
        kinds(&newest_first),
        ["signed_in", "user_created", "signing_key_created"]
    );
    let last = newest_first[0]["id"].as_str().unwrap().to_owned();
    let follow = format!("?order=oldest&after={last}");
    assert_eq!(kinds_of(&server, &follow).await, [""; 0]);
    server.sign_in("ada", "wrong password").await;
    server.sign_in("ada", PASSWORD).await;
    let news = kinds_of(&server, &follow).await;
    assert_eq!(news, ["signed_in", "sign_in_failed"]);
    let server = server.restart().await;
    assert_eq!(kinds_of(&server, &follow).await, news, "after a restart too");
}

#[tokio::test]
async fn a_deleted_user_is_named_until_the_event_is_too_old() {
    let server = spawn_with(|config| config.audit.keep = seconds(30 * 86_400)).await;
    let token = server.user("ada").await;
    let ada = claims(&token)["sub"].as_str().unwrap().to_owned();
    let path = format!("/admin/users/{ada}");
    let deleted = server.operate("DELETE", &path, None).await;
    deleted.assert_status(StatusCode::NO_CONTENT);
    let server = server.restart().await;
    let about = events(&server, "?user=ada").await;
    assert_eq!(kinds(&about), ["user_deleted", "signed_in", "user_created"]);
    for event in &about {
        assert_eq!(event["user"], json!({ "id": ada, "username": "ada" }));
    }
    server.advance(seconds(30 * 86_400));
    assert_eq!(server.auth.prune_events().await.unwrap(), 0);
    server.advance(seconds(1));
    assert_eq!(server.auth.prune_events().await.unwrap(), 4);
    assert_eq!(kinds_of(&server, "").await, [""; 0]);
}

#[tokio::test]
async fn a_flood_of_refusals_pushes_out_nothing_else() {
    let server = spawn_with(|config| {
        config.audit.max_events = 1000;
        config.throttle.address_failures = 1_000_000.try_into().unwrap();
        config.throttle.account_failures = 100;
    })
    .await;
    server.user("ada").await;
    for n in 0..1200 {
        let address = format!("192.0.{}.{}", n / 250, n % 250);
        let body = json!({ "username": "not a name", "password": "" });
        server.post_from(&address, "/signin", &body).await;
        if n % 200 == 0 {
            server.auth.keep_events().await.unwrap();
        }
    }
    server.auth.keep_events().await.unwrap();
    assert_eq!(server.auth.prune_events().await.unwrap(), 200);
    assert_eq!(
        kinds_of(&server, "?order=oldest&limit=4").await,
        [
            "signing_key_created",
            "user_created",
            "signed_in",
            "sign_in_failed"
        ]
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_query_is_said_field_by_field() {
    let server = spawn().await;
    for (query, fields) in [
        ("kind=user_vanished", &[("kind", "not_a_choice")][..]),
        (
            "user=a/b&actor=%20",
            &[("user", "bad_user"), ("actor", "bad_user")],
        ),
        ("since=yesterday", &[("since", "bad_moment")]),
        ("until=1", &[("until", "bad_moment")]),
        ("order=random", &[("order", "not_a_choice")]),
        ("after=7", &[("after", "bad_cursor")]),
        ("limit=501", &[("limit", "out_of_range")]),
        ("name=ada", &[("name", "unknown")]),
    ] {
        let path = format!("/admin/events?{query}");
        server.operate("GET", &path, None).await.assert_fields(fields);
    }
    let answer = server.operate("POST", "/admin/events", None).await;
    answer.assert_problem(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed");
    let token = server.user("ada").await;
    let public = server.get("/admin/events", &token).await;
    public.assert_problem(StatusCode::NOT_FOUND, "not_found");
}

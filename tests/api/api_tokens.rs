//! Tokens for services: shown once, with some of their user's roles, and refused from the moment that they end.

use jwt_server::domain::UserChange;
use serde_json::{Value, json};
use warp::http::StatusCode;

use crate::server::{Answer, PASSWORD, Server, request, seconds, spawn, spawn_with};

const DAY: u64 = 24 * 3600;

async fn create(server: &Server, session: &str, body: &Value) -> Answer {
    server.post_with_token("/me/tokens", session, body).await
}

/// A request's body for a token with these roles.
fn wanted(roles: &[&str]) -> Value {
    json!({"name": "nightly backup", "roles": roles, "expires_in": 30 * DAY})
}

/// An API token with the role CLIENT, and its id.
async fn api_token(server: &Server, session: &str) -> (String, String) {
    let answer = create(server, session, &wanted(&["CLIENT"])).await;
    answer.assert_status(StatusCode::CREATED);
    let member = |name: &str| answer.json()[name].as_str().unwrap().to_owned();
    (member("token"), member("id"))
}

async fn send(server: &Server, method: &str, path: &str, token: &str, body: &Value) -> Answer {
    let bearer = format!("Bearer {token}");
    server
        .send(request(method, path).header("authorization", bearer).json(body))
        .await
}

/// The API tokens in the list.
async fn listed(server: &Server, session: &str) -> Vec<Value> {
    let answer = server.get("/me/sessions", session).await;
    answer.assert_status(StatusCode::OK);
    let mut entries = answer.json()["sessions"].as_array().unwrap().clone();
    entries.retain(|entry| entry["kind"] == "api_token");
    entries
}

/// A server and ada, who is a CLIENT and an ADMIN and has just signed in.
async fn with_ada() -> (Server, String) {
    let server = spawn().await;
    let session = server.user("ada").await;
    server.set_roles("ada", &["CLIENT", "ADMIN"]).await;
    (server, session)
}

#[tokio::test]
async fn a_service_gets_a_token_once_and_uses_it_for_months() {
    let (server, session) = with_ada().await;
    let answer = create(&server, &session, &wanted(&["ADMIN"])).await;
    answer.assert_status(StatusCode::CREATED);
    assert_eq!(answer.header("cache-control"), "no-store");
    let made = answer.json();
    let token = made["token"].as_str().unwrap();
    assert_eq!(
        made,
        json!({
            "id": made["id"].as_str().unwrap(),
            "name": "nightly backup",
            "roles": ["ADMIN"],
            "expires_at": "2027-02-14T08:00:00Z",
            "token": token,
        })
    );
    server
        .log_out(&session)
        .await
        .assert_status(StatusCode::NO_CONTENT);
    let server = server.restart().await;
    server.advance(seconds(30 * DAY - 1));
    server.welcome(token).await.assert_welcome("ada", "ADMIN");
    let me = server.me(token).await;
    assert_eq!(me.json()["username"], "ada");
    assert_eq!(me.json()["roles"], json!(["ADMIN"]));
    assert_eq!(me.json()["session_id"], Value::Null);

    server.advance(seconds(1));
    server.welcome(token).await.assert_dead();
    assert_eq!(server.auth.prune().await.unwrap(), 1);
    server.welcome(token).await.assert_dead();
}

#[tokio::test]
async fn it_is_listed_with_the_sessions_and_revoked_like_one() {
    let (server, session) = with_ada().await;
    let (token, id) = api_token(&server, &session).await;
    server.advance(seconds(60));
    let (other, other_id) = api_token(&server, &session).await;
    let stranger = server.user("eve").await;
    assert_eq!(listed(&server, &stranger).await, [] as [Value; 0]);
    server.advance(seconds(30));
    server.welcome(&token).await.assert_status(StatusCode::OK);
    let entry = |id: &str, created_at: &str, used_at: Value, expires_at: &str| {
        json!({
            "kind": "api_token",
            "id": id,
            "name": "nightly backup",
            "roles": ["CLIENT"],
            "created_at": created_at,
            "last_used_at": used_at,
            "expires_at": expires_at,
            "current": false,
        })
    };
    assert_eq!(
        listed(&server, &session).await,
        [
            entry(
                &id,
                "2027-01-15T08:00:00Z",
                "2027-01-15T08:01:30Z".into(),
                "2027-02-14T08:00:00Z"
            ),
            entry(
                &other_id,
                "2027-01-15T08:01:00Z",
                Value::Null,
                "2027-02-14T08:01:00Z"
            ),
        ]
    );

    let path = format!("/me/sessions/{id}");
    send(&server, "DELETE", &path, &stranger, &json!({}))
        .await
        .assert_problem(StatusCode::NOT_FOUND, "not_found");
    server.welcome(&token).await.assert_status(StatusCode::OK);
    send(&server, "DELETE", &path, &session, &json!({}))
        .await
        .assert_status(StatusCode::NO_CONTENT);
    server.welcome(&token).await.assert_dead();
    send(&server, "DELETE", &path, &session, &json!({}))
        .await
        .assert_problem(StatusCode::NOT_FOUND, "not_found");
    let server = server.restart().await;
    server.welcome(&token).await.assert_dead();
    server.welcome(&other).await.assert_status(StatusCode::OK);
    server.welcome(&session).await.assert_status(StatusCode::OK);
}

#[tokio::test]
async fn what_is_wrong_with_a_request_for_one_is_named_at_once() {
    let (server, session) = with_ada().await;
    let ask = async |body: Value| create(&server, &session, &body).await;
    ask(json!({})).await.assert_fields(&[
        ("name", "required"),
        ("roles", "required"),
        ("expires_in", "required"),
    ]);
    let answer = ask(json!({"name": "a\nb", "roles": "CLIENT", "expires_in": "30d", "user": "eve"})).await;
    answer.assert_fields(&[
        ("name", "bad_name"),
        ("roles", "wrong_type"),
        ("expires_in", "wrong_type"),
        ("user", "unknown"),
    ]);
    for (roles, code) in [
        (json!([]), "too_short"),
        (json!(["EDITOR"]), "not_yours"),
        (json!(["CLIENT", "EDITOR"]), "not_yours"),
        (json!(["client"]), "bad_role"),
        (json!(["CLIENT", 7]), "wrong_type"),
        (json!(null), "wrong_type"),
    ] {
        let answer = ask(json!({"name": "x", "roles": roles, "expires_in": 1})).await;
        answer.assert_fields(&[("roles", code)]);
    }
    for (time, code) in [
        (json!(0), "out_of_range"),
        (json!(365 * DAY + 1), "out_of_range"),
        (json!(u64::MAX), "out_of_range"),
        (json!(-1), "wrong_type"),
        (json!(1.5), "wrong_type"),
        (json!(null), "wrong_type"),
    ] {
        let answer = ask(json!({"name": "x", "roles": ["CLIENT"], "expires_in": time})).await;
        answer.assert_fields(&[("expires_in", code)]);
    }
    let answer = ask(json!({"name": "x", "roles": ["EDITOR"], "expires_in": 0})).await;
    answer.assert_fields(&[("roles", "not_yours"), ("expires_in", "out_of_range")]);
    ask(json!({"name": "x", "roles": ["CLIENT"], "expires_in": 365 * DAY}))
        .await
        .assert_status(StatusCode::CREATED);
    assert_eq!(listed(&server, &session).await.len(), 1);
    let other_method = server.get("/me/tokens", &session).await;
    other_method.assert_problem(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed");
    assert_eq!(other_method.allows(), "POST");
}

#[tokio::test]
async fn one_too_many_is_refused_and_no_service_loses_its_own() {
    let server = spawn_with(|config| config.api_tokens.max_per_user = 2).await;
    let session = server.user("ada").await;
    let (first, id) = api_token(&server, &session).await;
    let (second, _) = api_token(&server, &session).await;
    create(&server, &session, &wanted(&["CLIENT"]))
        .await
        .assert_problem(StatusCode::CONFLICT, "too_many_api_tokens");
    for token in [&first, &second] {
        server.welcome(token).await.assert_status(StatusCode::OK);
    }
    send(
        &server,
        "DELETE",
        &format!("/me/sessions/{id}"),
        &session,
        &json!({}),
    )
    .await
    .assert_status(StatusCode::NO_CONTENT);
    let _ = api_token(&server, &session).await;
}

#[tokio::test]
async fn it_is_never_more_than_its_user_is_at_that_moment() {
    let (server, session) = with_ada().await;
    let answer = create(&server, &session, &wanted(&["ADMIN", "CLIENT"])).await;
    let token = answer.json()["token"].as_str().unwrap().to_owned();
    server.welcome(&token).await.assert_welcome("ada", "ADMIN CLIENT");
    // A role that the user gets later is not the token's.
    server.set_roles("ada", &["CLIENT", "EDITOR", "ADMIN"]).await;
    server.welcome(&token).await.assert_welcome("ada", "ADMIN CLIENT");
    server.set_roles("ada", &["CLIENT", "EDITOR"]).await;
    server.welcome(&token).await.assert_welcome("ada", "CLIENT");
    server.set_roles("ada", &["EDITOR"]).await;
    let refused = server.welcome(&token).await;
    refused.assert_problem(StatusCode::FORBIDDEN, "insufficient_scope");
    assert_eq!(server.me(&token).await.json()["roles"], json!([]));

    server.change("ada", UserChange::Disabled(true)).await;
    server.me(&token).await.assert_dead();
    let server = server.restart().await;
    server.me(&token).await.assert_dead();
    server.change("ada", UserChange::Disabled(false)).await;
    server.me(&token).await.assert_status(StatusCode::OK);
}

#[tokio::test]
async fn an_api_token_can_do_nothing_that_outlives_it() {
    let (server, session) = with_ada().await;
    let (token, id) = api_token(&server, &session).await;
    let one = format!("/me/sessions/{id}");
    let requests = [
        ("POST", "/me/tokens", wanted(&["CLIENT"])),
        (
            "POST",
            "/me/password",
            json!({"current_password": PASSWORD, "new_password": "another horse battery"}),
        ),
        ("PATCH", "/me", json!({"display_name": "Eve"})),
        ("DELETE", "/me", json!({"current_password": PASSWORD})),
        ("GET", "/me/sessions", json!({})),
        ("DELETE", "/me/sessions", json!({})),
        ("DELETE", "/me/sessions?all=true", json!({})),
        ("DELETE", one.as_str(), json!({})),
        ("GET", "/refresh", json!({})),
        ("POST", "/refresh", json!({})),
        ("GET", "/logout", json!({})),
        ("POST", "/logout", json!({})),
    ];
    for (method, path, body) in requests {
        let refused = send(&server, method, path, &token, &body).await;
        refused.assert_problem(StatusCode::FORBIDDEN, "session_required");
        assert_eq!(
            refused.header("www-authenticate"),
            "Bearer realm=\"jwt-server\", error=\"insufficient_scope\"",
            "{method} {path}"
        );
    }
    server.welcome(&token).await.assert_status(StatusCode::OK);
    server.welcome(&session).await.assert_status(StatusCode::OK);
    assert_eq!(listed(&server, &session).await.len(), 1);
    assert_eq!(server.me(&session).await.json()["display_name"], Value::Null);
}

#[tokio::test]
async fn another_password_ends_it_unless_its_owner_says_otherwise() {
    let (server, session) = with_ada().await;
    let (token, _) = api_token(&server, &session).await;
    let change = async |current: &str, new: &str, keep: Value| {
        let body = json!({"current_password": current, "new_password": new, "keep_api_tokens": keep});
        send(&server, "POST", "/me/password", &session, &body).await
    };
    let second = "another horse battery";
    change(PASSWORD, second, "yes".into())
        .await
        .assert_fields(&[("keep_api_tokens", "wrong_type")]);
    let session = change(PASSWORD, second, true.into()).await.token();
    server.welcome(&token).await.assert_status(StatusCode::OK);
    let body = json!({"current_password": second, "new_password": PASSWORD});
    let changed = send(&server, "POST", "/me/password", &session, &body).await;
    let session = changed.token();
    server.welcome(&token).await.assert_dead();
    let server = server.restart().await;
    server.welcome(&token).await.assert_dead();
    server.welcome(&session).await.assert_status(StatusCode::OK);
}

#[tokio::test]
async fn ending_all_that_is_listed_ends_it_too_unless_it_is_kept() {
    let (server, session) = with_ada().await;
    let (token, _) = api_token(&server, &session).await;
    let other = server.sign_in("ada", PASSWORD).await.token();
    send(
        &server,
        "DELETE",
        "/me/sessions?keep_api_tokens=true",
        &session,
        &json!({}),
    )
    .await
    .assert_status(StatusCode::NO_CONTENT);
    server.welcome(&other).await.assert_dead();
    server.welcome(&token).await.assert_status(StatusCode::OK);
    send(&server, "DELETE", "/me/sessions", &session, &json!({}))
        .await
        .assert_status(StatusCode::NO_CONTENT);
    server.welcome(&token).await.assert_dead();
    server.welcome(&session).await.assert_status(StatusCode::OK);

    let (token, _) = api_token(&server, &session).await;
    let unclear = "/me/sessions?keep_api_tokens=1";
    send(&server, "DELETE", unclear, &session, &json!({}))
        .await
        .assert_problem(StatusCode::BAD_REQUEST, "bad_request");
    let all = "/me/sessions?all=true";
    send(&server, "DELETE", all, &session, &json!({}))
        .await
        .assert_status(StatusCode::NO_CONTENT);
    let server = server.restart().await;
    for token in [&token, &session] {
        server.welcome(token).await.assert_dead();
    }
}

#[tokio::test]
async fn it_is_gone_with_its_user_and_a_namesake_gets_nothing() {
    let (server, session) = with_ada().await;
    let (token, _) = api_token(&server, &session).await;
    let body = json!({"current_password": PASSWORD});
    send(&server, "DELETE", "/me", &session, &body)
        .await
        .assert_status(StatusCode::NO_CONTENT);
    server.me(&token).await.assert_dead();
    let namesake = server.user("ada").await;
    assert_eq!(listed(&server, &namesake).await, [] as [Value; 0]);
    let server = server.restart().await;
    server.me(&token).await.assert_dead();
}

#[tokio::test]
async fn a_token_that_is_not_exactly_one_is_refused_on_every_route() {
    let (server, session) = with_ada().await;
    let (token, _) = api_token(&server, &session).await;
    let last = token.len() - 1;
    for bad in [
        "jws_",
        &token[..last],
        &token[4..],
        &format!("{token}A"),
        &format!("{token}="),
        &token.to_lowercase(),
        &format!("JWS_{}", &token[4..]),
        &format!("jwr_{}", &token[4..]),
    ] {
        for path in ["/me", "/refresh", "/logout", "/me/sessions"] {
            server.get(path, bad).await.assert_dead();
        }
    }
    // A token of another server: well formed, and unknown here.
    let (elsewhere, others_session) = with_ada().await;
    let (foreign, _) = api_token(&elsewhere, &others_session).await;
    server.me(&foreign).await.assert_dead();
    server.me(&token).await.assert_status(StatusCode::OK);
}

#[tokio::test]
async fn no_kind_of_token_is_taken_for_the_other() {
    let server = spawn_with(|config| config.session.refresh_tokens = Some(seconds(7 * DAY))).await;
    let session = server.user("ada").await;
    let (token, _) = api_token(&server, &session).await;
    let refresh = async |text: &str| server.post("/refresh", &json!({"refresh_token": text})).await;
    refresh(&token).await.assert_dead();
    let refresh_token = server.sign_in("ada", PASSWORD).await.json()["refresh_token"].clone();
    let refresh_token = refresh_token.as_str().unwrap();
    for text in [
        refresh_token.to_owned(),
        refresh_token.replacen("jwr_", "jws_", 1),
        format!("jws_{session}"),
    ] {
        server.me(&text).await.assert_dead();
    }
    let _ = refresh(refresh_token).await.token();
}

#[tokio::test]
async fn the_holder_of_an_api_token_may_revoke_it() {
    let (server, session) = with_ada().await;
    let (token, _) = api_token(&server, &session).await;
    let revoke = async |text: &str| {
        let answer = server.post_form("/revoke", None, &[("token", text)]).await;
        answer.assert_status(StatusCode::OK);
    };
    revoke("jws_x").await;
    revoke(&token[..52]).await;
    server.me(&token).await.assert_status(StatusCode::OK);
    // Also while its user is disabled: otherwise it would come back with them.
    server.change("ada", UserChange::Disabled(true)).await;
    revoke(&token).await;
    revoke(&token).await;
    server.change("ada", UserChange::Disabled(false)).await;
    server.me(&token).await.assert_dead();
}

#[tokio::test]
async fn a_service_asks_about_one_with_one_of_its_own() {
    let (server, session) = with_ada().await;
    let (token, id) = api_token(&server, &session).await;
    let billing = server.user("billing").await;
    server.set_roles("billing", &["CLIENT", "SERVICE"]).await;
    let (client, _) = api_token(&server, &billing).await;
    let service = create(&server, &billing, &wanted(&["SERVICE"])).await;
    let service = service.json()["token"].as_str().unwrap().to_owned();
    let introspect = async |caller: &str, token: &str| {
        let form = [("token", token)];
        server.post_form("/introspect", Some(caller), &form).await
    };
    let refused = introspect(&client, &token).await;
    refused.assert_problem(StatusCode::FORBIDDEN, "insufficient_scope");
    let live = introspect(&service, &token).await.json();
    assert_eq!(
        live,
        json!({
            "active": true,
            "sub": server.me(&token).await.json()["id"],
            "username": "ada",
            "roles": ["CLIENT"],
            "scope": "CLIENT",
            "exp": 1_800_000_000 + 30 * DAY,
            "iat": 1_800_000_000,
            "iss": "jwt-server",
            "jti": id,
            "token_type": "Bearer",
        })
    );
    let path = format!("/me/sessions/{id}");
    send(&server, "DELETE", &path, &session, &json!({}))
        .await
        .assert_status(StatusCode::NO_CONTENT);
    for dead in [token.as_str(), "jws_x"] {
        let answer = introspect(&service, dead).await;
        assert_eq!(answer.text(), r#"{"active":false}"#);
    }
}

#[tokio::test]
async fn the_database_has_nothing_that_could_be_presented() {
    let (server, session) = with_ada().await;
    let (token, _) = api_token(&server, &session).await;
    server.me(&token).await.assert_status(StatusCode::OK);
    // After a restart, so that all of it is in the files.
    let server = server.restart().await;
    server.assert_has_no_file_with(&token.as_bytes()[4..47]);
    server.me(&token).await.assert_status(StatusCode::OK);
}

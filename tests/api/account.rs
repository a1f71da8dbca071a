//! `/me` and below: a user's own name, password, account and sessions.

use std::sync::atomic::{AtomicBool, Ordering};

use jwt_server::domain::ClientAddress;
use serde_json::{Value, json};
use warp::http::StatusCode;

use crate::{
    server::{Answer, PASSWORD, Server, request, seconds, spawn, spawn_with},
    sign_in::assert_wrong,
};

const NEW: &str = "another horse battery";

async fn send(server: &Server, method: &str, path: &str, token: &str, body: &Value) -> Answer {
    let bearer = format!("Bearer {token}");
    server
        .send(request(method, path).header("authorization", bearer).json(body))
        .await
}

async fn delete(server: &Server, path: &str, token: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    server
        .send(request("DELETE", path).header("authorization", bearer))
        .await
}

async fn change_password(server: &Server, token: &str, current: &str, new: &str) -> Answer {
    let body = json!({"current_password": current, "new_password": new});
    send(server, "POST", "/me/password", token, &body).await
}

/// The ids of a user's sessions, oldest first, and the one of the request.
async fn sessions(server: &Server, token: &str) -> Vec<(String, bool)> {
    let answer = server.get("/me/sessions", token).await;
    answer.assert_status(StatusCode::OK);
    let sessions = answer.json()["sessions"].as_array().unwrap().clone();
    sessions
        .iter()
        .map(|session| {
            (
                session["id"].as_str().unwrap().to_owned(),
                session["current"] == true,
            )
        })
        .collect()
}

#[tokio::test]
async fn a_user_chooses_what_to_be_called() {
    let server = spawn().await;
    let token = server.user("ada").await;
    let rename =
        async |name: Value| send(&server, "PATCH", "/me", &token, &json!({"display_name": name})).await;
    let answer = rename("  Ada Lovelace ✨ ".into()).await;
    answer.assert_status(StatusCode::OK);
    assert_eq!(answer.json()["display_name"], "Ada Lovelace ✨");
    assert_eq!(answer.json(), server.me(&token).await.json());
    for (bad, code) in [
        (json!(""), "bad_name"),
        (json!("Ada\u{200b}"), "bad_name"),
        (json!("\u{202e}adA"), "bad_name"),
        (json!("a\u{2028}b"), "bad_name"),
        (json!("\u{3164}"), "bad_name"),
        (json!([null]), "wrong_type"),
        (json!("a\u{7}b"), "bad_name"),
        (json!("x".repeat(65)), "bad_name"),
        (json!(7), "wrong_type"),
    ] {
        rename(bad).await.assert_fields(&[("display_name", code)]);
    }
    let body = json!({"display_name": "Ada", "roles": ["ADMIN"]});
    let answer = send(&server, "PATCH", "/me", &token, &body).await;
    answer.assert_fields(&[("roles", "unknown")]);
    send(&server, "PATCH", "/me", &token, &json!({}))
        .await
        .assert_fields(&[("display_name", "required")]);
    let server = server.restart().await;
    assert_eq!(server.me(&token).await.json()["display_name"], "Ada Lovelace ✨");
}

#[tokio::test]
async fn null_clears_the_display_name() {
    let server = spawn().await;
    let token = server.user("ada").await;
    for name in [json!("Ada"), Value::Null] {
        let body = json!({"display_name": name});
        let answer = send(&server, "PATCH", "/me", &token, &body).await;
        answer.assert_status(StatusCode::OK);
        assert_eq!(answer.json()["display_name"], name);
    }
    let server = server.restart().await;
    assert_eq!(server.me(&token).await.json()["display_name"], Value::Null);
}

#[tokio::test]
async fn a_new_password_needs_the_old_one_and_ends_every_session() {
    let server = spawn().await;
    let token = server.user("ada").await;
    let other = server.sign_in("ada", PASSWORD).await.token();
    let stranger = server.user("eve").await;

    let refused = change_password(&server, &token, "not mine", NEW).await;
    refused.assert_problem(StatusCode::FORBIDDEN, "wrong_password");
    for (new, code) in [
        ("short", "too_short"),
        ("password", "too_weak"),
        (&"x".repeat(72), "too_long"),
    ] {
        let refused = change_password(&server, &token, PASSWORD, new).await;
        refused.assert_fields(&[("new_password", code)]);
    }
    let two_faults = json!({"current_password": PASSWORD, "new_password": "short", "keep_api_tokens": 7});
    let refused = send(&server, "POST", "/me/password", &token, &two_faults).await;
    refused.assert_fields(&[("keep_api_tokens", "wrong_type"), ("new_password", "too_short")]);
    server.welcome(&other).await.assert_status(StatusCode::OK);

    let changed = change_password(&server, &token, PASSWORD, NEW).await;
    let fresh = changed.token();
    assert_eq!(changed.times(), (300, 270, true));
    for _ in 0..2 {
        server.welcome(&fresh).await.assert_welcome("ada", "CLIENT");
    }
    let server = server.restart().await;
    server.welcome(&fresh).await.assert_welcome("ada", "CLIENT");
    for dead in [&token, &other] {
        server.welcome(dead).await.assert_dead();
        server.refresh(dead).await.assert_dead();
    }
    assert_eq!(sessions(&server, &fresh).await.len(), 1);
    server.welcome(&stranger).await.assert_welcome("eve", "CLIENT");
    assert_wrong(&server.sign_in("ada", PASSWORD).await);
    server.sign_in("ada", NEW).await.token();
}

#[tokio::test]
async fn a_copy_of_a_token_is_worth_nothing_after_a_new_password() {
    let server = spawn_with(|config| config.session.refresh_tokens = Some(seconds(24 * 3600))).await;
    server
        .sign_up("ada", PASSWORD)
        .await
        .assert_status(StatusCode::CREATED);
    let signed_in = server.sign_in("ada", PASSWORD).await;
    let (copy, copied_refresh) = (signed_in.token(), signed_in.json()["refresh_token"].clone());
    // The copy is in the cache of verified tokens, and at hand for the thief in every form.
    server.welcome(&copy).await.assert_status(StatusCode::OK);
    let changed = change_password(&server, &copy, PASSWORD, NEW).await;
    let fresh = changed.token();

    let wanted = json!({"name": "backup", "roles": ["CLIENT"], "expires_in": 3600});
    let attempts = [
        ("POST", "/me/tokens", wanted),
        (
            "POST",
            "/me/password",
            json!({"current_password": NEW, "new_password": PASSWORD}),
        ),
        ("PATCH", "/me", json!({"display_name": "Eve"})),
        ("DELETE", "/me", json!({"current_password": NEW})),
        ("GET", "/me/sessions", json!({})),
        ("DELETE", "/me/sessions", json!({})),
        ("GET", "/refresh", json!({})),
        ("GET", "/logout", json!({})),
    ];
    for (method, path, body) in attempts {
        send(&server, method, path, &copy, &body).await.assert_dead();
    }
    server
        .post("/refresh", &json!({"refresh_token": copied_refresh}))
        .await
        .assert_dead();
    for spent in [copy.as_str(), copied_refresh.as_str().unwrap()] {
        server.post_form("/revoke", None, &[("token", spent)]).await;
    }
    server.welcome(&fresh).await.assert_welcome("ada", "CLIENT");
    let refresh_token = changed.json()["refresh_token"].clone();
    server
        .post("/refresh", &json!({"refresh_token": refresh_token}))
        .await
        .token();
}

#[tokio::test]
async fn a_new_password_may_be_answered_as_text() {
    let server = spawn().await;
    let token = server.user("ada").await;
    let body = json!({"current_password": PASSWORD, "new_password": NEW});
    let request = request("POST", "/me/password")
        .header("authorization", format!("Bearer {token}"))
        .header("accept", "text/plain");
    let answer = server.send(request.json(&body)).await;
    answer.assert_status(StatusCode::OK);
    assert_eq!(answer.header("cache-control"), "no-store");
    server
        .welcome(&answer.text())
        .await
        .assert_welcome("ada", "CLIENT");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_token_made_amid_a_new_password_is_dead() {
    let server = std::sync::Arc::new(spawn().await);
    let mut token = server.user("ada").await;
    for round in 0..6 {
        let (current, new) = if round % 2 == 0 {
            (PASSWORD, NEW)
        } else {
            (NEW, PASSWORD)
        };
        let over = std::sync::Arc::new(AtomicBool::new(false));
        let thief = {
            let (server, copy) = (std::sync::Arc::clone(&server), token.clone());
            let over = std::sync::Arc::clone(&over);
            tokio::spawn(async move {
                let wanted = json!({"name": "backup", "roles": ["CLIENT"], "expires_in": 3600});
                let mut made = Vec::new();
                loop {
                    let is_last = over.load(Ordering::SeqCst);
                    let answer = server.post_with_token("/me/tokens", &copy, &wanted).await;
                    if answer.status == StatusCode::CREATED {
                        made.push(answer.json()["token"].as_str().unwrap().to_owned());
                    }
                    if is_last {
                        answer.assert_dead();
                        return made;
                    }
                }
            })
        };
        token = change_password(&server, &token, current, new).await.token();
        over.store(true, Ordering::SeqCst);
        for made in thief.await.unwrap() {
            server.welcome(&made).await.assert_dead();
        }
        server.welcome(&token).await.assert_status(StatusCode::OK);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_new_passwords_at_once_one_wins() {
    let server = std::sync::Arc::new(spawn().await);
    let first = server.user("ada").await;
    let second = server.sign_in("ada", PASSWORD).await.token();
    let tasks = [(first, NEW), (second, "yet another horse battery")].map(|(token, new)| {
        let server = std::sync::Arc::clone(&server);
        tokio::spawn(async move { (change_password(&server, &token, PASSWORD, new).await, new) })
    });
    let mut changed = Vec::new();
    for task in tasks {
        let (answer, new) = task.await.unwrap();
        let status = answer.status;
        if status == StatusCode::OK {
            changed.push((answer.token(), new));
        } else {
            assert!(
                [StatusCode::FORBIDDEN, StatusCode::UNAUTHORIZED].contains(&status),
                "{status}"
            );
        }
    }
    assert_eq!(changed.len(), 1);
    server.welcome(&changed[0].0).await.assert_status(StatusCode::OK);
    server.sign_in("ada", changed[0].1).await.token();
    assert_eq!(server.auth.count().await.unwrap().sessions, Some(2));
}

#[tokio::test]
async fn guessing_the_current_password_is_throttled_as_a_sign_in_is() {
    let server = spawn().await;
    let token = server.user("ada").await;
    let mut refused = 0;
    loop {
        let answer = if refused % 2 == 0 {
            change_password(&server, &token, "a guess", NEW).await
        } else {
            let body = json!({"current_password": "a guess"});
            send(&server, "DELETE", "/me", &token, &body).await
        };
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            assert_eq!(answer.header("retry-after"), "30");
            break;
        }
        answer.assert_problem(StatusCode::FORBIDDEN, "wrong_password");
        refused += 1;
        assert!(refused <= 30);
    }
    assert_eq!(refused, 30);
    let throttled = server.sign_in("ada", PASSWORD).await;
    throttled.assert_problem(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts");
}

#[tokio::test]
async fn a_deleted_account_is_gone_at_once() {
    let server = spawn().await;
    let token = server.user("ada").await;
    let other = server.sign_in("ada", PASSWORD).await.token();
    let body = json!({"current_password": "not mine"});
    let refused = send(&server, "DELETE", "/me", &token, &body).await;
    refused.assert_problem(StatusCode::FORBIDDEN, "wrong_password");
    server.welcome(&token).await.assert_status(StatusCode::OK);

    let body = json!({"current_password": PASSWORD});
    send(&server, "DELETE", "/me", &token, &body)
        .await
        .assert_status(StatusCode::NO_CONTENT);
    let server = server.restart().await;
    for token in [&token, &other] {
        server.welcome(token).await.assert_dead();
        server.refresh(token).await.assert_dead();
    }
    assert_wrong(&server.sign_in("ada", PASSWORD).await);
    // Another user who takes the name is not the one before.
    let namesake = server.user("ada").await;
    server.welcome(&namesake).await.assert_welcome("ada", "CLIENT");
    server.welcome(&token).await.assert_dead();
}

#[tokio::test]
async fn a_user_sees_where_they_are_signed_in_and_ends_it() {
    let server = spawn().await;
    server
        .sign_up("ada", PASSWORD)
        .await
        .assert_status(StatusCode::CREATED);
    let body = json!({"username": "ada", "password": PASSWORD});
    let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";
    let sign_in = request("POST", "/signin")
        .header("user-agent", firefox)
        .extension(ClientAddress::new([192, 0, 2, 7].into()))
        .json(&body);
    let first = server.send(sign_in).await.token();
    server.advance(seconds(60));
    let second = server.sign_in("ada", PASSWORD).await.token();
    let stranger = server.user("eve").await;
    server.advance(seconds(30));
    server.welcome(&first).await.assert_status(StatusCode::OK);

    let answer = server.get("/me/sessions", &second).await;
    answer.assert_status(StatusCode::OK);
    let listed = answer.json();
    let id = listed["sessions"][0]["id"].as_str().unwrap();
    assert_eq!(
        listed["sessions"][0],
        json!({
            "kind": "session",
            "id": id,
            "created_at": "2027-01-15T08:00:00Z",
            "last_used_at": "2027-01-15T08:01:30Z",
            "expires_at": "2027-01-15T08:05:00Z",
            "address": "192.0.2.7",
            "device": "Firefox on Linux",
            "current": false,
        })
    );
    assert_eq!(listed["sessions"][1]["current"], true);
    assert_eq!(listed["sessions"][1]["device"], Value::Null);
    assert_eq!(listed["sessions"].as_array().unwrap().len(), 2);

    // Neither a session of another user, nor an id of no session.
    for path in [
        format!("/me/sessions/{id}"),
        format!("/me/sessions/{}", id.to_uppercase()),
        format!("/me/sessions/{}", id.replace('-', "")),
        "/me/sessions/x".into(),
    ] {
        let names_it = path.to_lowercase().ends_with(id);
        let token = if names_it { &stranger } else { &second };
        let refused = delete(&server, &path, token).await;
        refused.assert_problem(StatusCode::NOT_FOUND, "not_found");
    }
    server.welcome(&first).await.assert_status(StatusCode::OK);
    let path = format!("/me/sessions/{id}");
    // An id in capitals is the same id (RFC 9562, section 4).
    delete(&server, &format!("/me/sessions/{}", id.to_uppercase()), &second)
        .await
        .assert_status(StatusCode::NO_CONTENT);
    delete(&server, &path, &second)
        .await
        .assert_problem(StatusCode::NOT_FOUND, "not_found");
    let server = server.restart().await;
    server.welcome(&first).await.assert_dead();
    server.welcome(&second).await.assert_status(StatusCode::OK);
    server.welcome(&stranger).await.assert_status(StatusCode::OK);
}

#[tokio::test]
async fn all_other_sessions_end_or_this_one_too() {
    let server = spawn().await;
    let first = server.user("ada").await;
    let second = server.sign_in("ada", PASSWORD).await.token();
    let stranger = server.user("eve").await;
    for unclear in ["?all=yes", "?al=true", "?all=true&all=false", "?all"] {
        let refused = delete(&server, &format!("/me/sessions{unclear}"), &first).await;
        refused.assert_problem(StatusCode::BAD_REQUEST, "bad_request");
    }
    server.welcome(&second).await.assert_status(StatusCode::OK);
    delete(&server, "/me/sessions", &first)
        .await
        .assert_status(StatusCode::NO_CONTENT);
    server.welcome(&second).await.assert_dead();
    assert_eq!(sessions(&server, &first).await.len(), 1);
    delete(&server, "/me/sessions?all=false", &first)
        .await
        .assert_status(StatusCode::NO_CONTENT);
    delete(&server, "/me/sessions?all=true", &first)
        .await
        .assert_status(StatusCode::NO_CONTENT);
    server.welcome(&first).await.assert_dead();
    server.welcome(&stranger).await.assert_status(StatusCode::OK);
}

#[tokio::test]
async fn one_sign_in_too_many_ends_the_oldest_session() {
    let server = spawn_with(|config| config.session.max_per_user = 3).await;
    server
        .sign_up("ada", PASSWORD)
        .await
        .assert_status(StatusCode::CREATED);
    let mut tokens = Vec::new();
    for _ in 0..5 {
        tokens.push(server.sign_in("ada", PASSWORD).await.token());
        server.advance(seconds(1));
    }
    for old in &tokens[..2] {
        server.welcome(old).await.assert_dead();
    }
    for live in &tokens[2..] {
        server.welcome(live).await.assert_status(StatusCode::OK);
    }
    let listed = sessions(&server, &tokens[3]).await;
    let current: Vec<_> = listed.iter().map(|(_, current)| *current).collect();
    assert_eq!(current, [false, true, false]);
}

#[tokio::test]
async fn every_route_of_ones_own_asks_for_a_token() {
    let server = spawn().await;
    let paths = [
        ("GET", "/me/sessions"),
        ("DELETE", "/me/sessions"),
        ("DELETE", "/me/sessions/x"),
        ("PATCH", "/me"),
        ("DELETE", "/me"),
        ("POST", "/me/password"),
        ("POST", "/me/tokens"),
    ];
    for (method, path) in paths {
        let answer = server.send(request(method, path).json(&json!({}))).await;
        answer.assert_unauthorized("missing_token", "Bearer realm=\"jwt-server\"");
    }
    server
        .get("/me/sessions/x/y", "x")
        .await
        .assert_problem(StatusCode::NOT_FOUND, "not_found");
    server
        .get("/me/other", "x")
        .await
        .assert_problem(StatusCode::NOT_FOUND, "not_found");
}

//! What one user can make the server write, and how many forged tokens one network can make it verify.

use std::fs;

use serde_json::{Value, json};
use warp::http::StatusCode;

use crate::server::{Answer, PASSWORD, Server, request, seconds, spawn, spawn_with};

const HERE: &str = "192.0.2.1";
const ELSEWHERE: &str = "198.51.100.7";

async fn with_changes(changes: u32) -> Server {
    spawn_with(|config| {
        config.throttle.changes = changes.try_into().unwrap();
        config.session.refresh_tokens = Some(seconds(24 * 3600));
    })
    .await
}

async fn send(server: &Server, method: &str, path: &str, token: &str, body: &Value) -> Answer {
    let bearer = format!("Bearer {token}");
    let request = request(method, path).header("authorization", bearer);
    server.send(request.json(body)).await
}

async fn rename(server: &Server, token: &str) -> Answer {
    send(server, "PATCH", "/me", token, &json!({"display_name": "Ada"})).await
}

#[track_caller]
fn assert_too_many(answer: &Answer) {
    answer.assert_problem(StatusCode::TOO_MANY_REQUESTS, "too_many_requests");
    assert_eq!(answer.header("retry-after"), "1");
}

/// The rows of `docs/api.md` for a session, each method of a path by itself.
fn routes_of_a_session() -> Vec<(String, String)> {
    let page = fs::read_to_string("docs/api.md").unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.map(|line| {
        line.trim_matches('|')
            .split('|')
            .map(str::trim)
            .collect::<Vec<_>>()
    });
    let cells = cells.filter(|cells| cells.len() == 5 && cells[2].contains("session"));
    let routes = cells.flat_map(|cells| {
        let path = cells[1].trim_matches('`').to_owned();
        let methods = cells[0]
            .split(", ")
            .map(|method| method.trim_matches('`').to_owned());
        methods.map(|method| (method, path.clone())).collect::<Vec<_>>()
    });
    routes.collect()
}

#[tokio::test]
async fn every_route_that_changes_something_has_the_budget() {
    let mut checked = 0;
    for (method, path) in routes_of_a_session() {
        // A log-out must always be possible, and a refresh has a budget of its own.
        if method == "GET" || ["/logout", "/refresh"].contains(&path.as_str()) {
            continue;
        }
        let server = with_changes(1).await;
        let token = server.user("ada").await;
        let list = server.get("/me/sessions", &token).await.json();
        let id = list["sessions"][0]["id"].as_str().unwrap().to_owned();
        let body = match (method.as_str(), path.as_str()) {
            ("PATCH", "/me") => json!({"display_name": null}),
            ("DELETE", "/me") => json!({"current_password": PASSWORD}),
            ("POST", "/me/password") => {
                json!({"current_password": PASSWORD, "new_password": "another horse battery"})
            }
            ("POST", "/me/confirm") => json!({"password": PASSWORD}),
            ("POST", "/me/tokens") => json!({"name": "deploy", "roles": ["CLIENT"], "expires_in": 60}),
            ("DELETE", "/me/sessions" | "/me/sessions/{id}") => Value::Null,
            _ => panic!("{method} {path}: say here what it takes, so that its budget can be tested"),
        };
        let path = path.replace("{id}", &id);
        rename(&server, &token).await.assert_status(StatusCode::OK);
        let refused = send(&server, &method, &path, &token, &body).await;
        assert_too_many(&refused);
        server.advance(seconds(1));
        let answer = send(&server, &method, &path, &token, &body).await;
        assert!(answer.status.is_success(), "{method} {path}: {}", answer.text());
        checked += 1;
    }
    assert!(checked >= 6, "only {checked} routes were found");
}

#[tokio::test]
async fn the_end_of_an_api_token_has_the_budget_too() {
    let server = with_changes(2).await;
    let token = server.user("ada").await;
    let wanted = json!({"name": "deploy", "roles": ["CLIENT"], "expires_in": 60});
    let made = send(&server, "POST", "/me/tokens", &token, &wanted).await;
    made.assert_status(StatusCode::CREATED);
    let path = format!("/me/sessions/{}", made.json()["id"].as_str().unwrap());
    rename(&server, &token).await.assert_status(StatusCode::OK);
    assert_too_many(&send(&server, "DELETE", &path, &token, &Value::Null).await);
    server.advance(seconds(1));
    let ended = send(&server, "DELETE", &path, &token, &Value::Null).await;
    ended.assert_status(StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_log_out_is_possible_however_many_changes_were_made() {
    let server = with_changes(3).await;
    let token = server.user("ada").await;
    for _ in 0..3 {
        rename(&server, &token).await.assert_status(StatusCode::OK);
    }
    assert_too_many(&rename(&server, &token).await);
    server.welcome(&token).await.assert_status(StatusCode::OK);
    server.log_out(&token).await.assert_status(StatusCode::NO_CONTENT);
    let token = server.sign_in("ada", PASSWORD).await.token();
    let revoked = server.post_form("/revoke", None, &[("token", &token)]).await;
    revoked.assert_status(StatusCode::OK);
    server.welcome(&token).await.assert_dead();
}

#[tokio::test]
async fn a_stolen_session_keeps_its_owner_from_no_change() {
    let server = with_changes(3).await;
    let stolen = server.user("ada").await;
    let own = server.sign_in("ada", PASSWORD).await.token();
    let drain = async || {
        for _ in 0..4 {
            rename(&server, &stolen).await;
        }
        assert_too_many(&rename(&server, &stolen).await);
    };
    drain().await;
    rename(&server, &own).await.assert_status(StatusCode::OK);
    server.advance(seconds(1));
    drain().await;
    let ended = send(&server, "DELETE", "/me/sessions", &own, &Value::Null).await;
    ended.assert_status(StatusCode::NO_CONTENT);
    server.welcome(&stolen).await.assert_dead();
}

#[tokio::test]
async fn all_sessions_of_a_user_share_a_budget() {
    let server = with_changes(3).await;
    let mut tokens = vec![server.user("ada").await];
    for _ in 0..7 {
        tokens.push(server.sign_in("ada", PASSWORD).await.token());
    }
    let mut made = 0;
    for token in &tokens {
        for _ in 0..4 {
            made += usize::from(rename(&server, token).await.status == StatusCode::OK);
        }
    }
    assert_eq!(made, 12);
    let other = server.user("barbara").await;
    rename(&server, &other).await.assert_status(StatusCode::OK);
}

#[tokio::test]
async fn a_session_is_refreshed_only_so_often_with_either_token() {
    let server = with_changes(3).await;
    server
        .sign_up("ada", PASSWORD)
        .await
        .assert_status(StatusCode::CREATED);
    let mut refresh_token = server.sign_in("ada", PASSWORD).await.json()["refresh_token"].clone();
    for _ in 0..3 {
        let answer = server
            .post("/refresh", &json!({"refresh_token": refresh_token}))
            .await;
        answer.assert_status(StatusCode::OK);
        refresh_token = answer.json()["refresh_token"].clone();
    }
    let body = json!({"refresh_token": refresh_token});
    assert_too_many(&server.post("/refresh", &body).await);
    server.advance(seconds(1));
    let answer = server.post("/refresh", &body).await;
    let token = answer.token();

    // Outside its window a refresh writes nothing, and is not counted.
    for _ in 0..5 {
        server.refresh(&token).await.assert_status(StatusCode::OK);
    }
    // Nor is a refresh that finds the successor of another one.
    server.advance(seconds(280));
    for _ in 0..9 {
        server.refresh(&token).await.assert_status(StatusCode::OK);
    }
}

/// `token` with another signature.
fn forged(token: &str, number: usize) -> String {
    let (claims, signature) = token.rsplit_once('.').unwrap();
    let first = char::from(b'A' + u8::try_from(number % 26).unwrap());
    format!("{claims}.{first}{number:04}{}", &signature[5..])
}

async fn revoke(server: &Server, address: &str, token: &str) -> Answer {
    let address = jwt_server::domain::ClientAddress::new(address.parse().unwrap());
    let request = request("POST", "/revoke").header("content-type", "application/x-www-form-urlencoded");
    let request = request.body(format!("token={token}")).extension(address);
    server.send(request).await
}

async fn refresh(server: &Server, address: &str, token: &str) -> Answer {
    let address = jwt_server::domain::ClientAddress::new(address.parse().unwrap());
    let request = request("GET", "/refresh").header("authorization", format!("Bearer {token}"));
    server.send(request.extension(address)).await
}

#[tokio::test]
async fn forged_tokens_are_counted_by_network_and_good_ones_never_refused() {
    let server = spawn_with(|config| {
        config.throttle.forged_tokens = 8.try_into().unwrap();
        config.session.refresh_tokens = Some(seconds(24 * 3600));
    })
    .await;
    let token = server.user("ada").await;
    for number in 0..4 {
        let answer = revoke(&server, HERE, &forged(&token, number)).await;
        answer.assert_status(StatusCode::OK);
        refresh(&server, HERE, &forged(&token, number))
            .await
            .assert_dead();
    }
    let too_many = |answer: Answer| answer.assert_problem(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts");
    too_many(revoke(&server, HERE, &forged(&token, 5)).await);
    too_many(refresh(&server, HERE, &forged(&token, 6)).await);
    too_many(revoke(&server, HERE, &format!("jwr_{}", "A".repeat(70))).await);
    let body = json!({"refresh_token": format!("jwr_{}", "A".repeat(70))});
    too_many(server.post_from(HERE, "/refresh", &body).await);
    server.post_from(ELSEWHERE, "/refresh", &body).await.assert_dead();
    revoke(&server, ELSEWHERE, &forged(&token, 7))
        .await
        .assert_status(StatusCode::OK);
    // What costs no verification is not counted.
    revoke(&server, HERE, "no token")
        .await
        .assert_status(StatusCode::OK);
    // The neighbours of the client that forges keep their sessions, and can end them.
    refresh(&server, HERE, &token).await.assert_status(StatusCode::OK);
    revoke(&server, HERE, &token).await.assert_status(StatusCode::OK);
    refresh(&server, HERE, &token).await.assert_dead();
    server.advance(seconds(1));
    revoke(&server, HERE, &forged(&token, 8))
        .await
        .assert_status(StatusCode::OK);
}

#[tokio::test]
async fn default_budgets_leave_room_for_a_user_who_tidies_up() {
    let server = spawn().await;
    let token = server.user("ada").await;
    for _ in 0..50 {
        rename(&server, &token).await.assert_status(StatusCode::OK);
    }
}

//! Revocation: the holder of a token of a session can end it, also after the token has ended.

use std::time::Duration;

use jwt_server::{Config, domain::UserChange};
use serde_json::json;
use warp::http::StatusCode;

use crate::server::{Answer, PASSWORD, Server, request, seconds, spawn, spawn_with};

impl Server {
    /// Revokes a token without credentials, and checks the answer, which is the same for every token.
    async fn revoke(&self, token: &str) {
        let answer = self.post_form("/revoke", None, &[("token", token)]).await;
        assert_revoked(&answer);
    }

    async fn use_refresh_token(&self, token: &str) -> Answer {
        self.post("/refresh", &json!({"refresh_token": token})).await
    }
}

#[track_caller]
fn assert_revoked(answer: &Answer) {
    answer.assert_status(StatusCode::OK);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(answer.body.is_empty(), "{}", answer.text());
}

fn with_refresh_tokens(config: &mut Config) {
    config.session.refresh_tokens = Some(Duration::from_hours(7 * 24));
}

/// A new session's access token and refresh token.
async fn pair(server: &Server, username: &str) -> (String, String) {
    let answer = server.sign_in(username, PASSWORD).await;
    let refresh_token = answer.json()["refresh_token"].as_str().map(str::to_owned);
    (answer.token(), refresh_token.unwrap())
}

#[tokio::test]
async fn an_access_token_ends_its_session_at_any_time_of_its_life() {
    for wait in [0, 269, 270, 299] {
        let server = spawn().await;
        let token = server.user("ada").await;
        let other = server.sign_in("ada", PASSWORD).await.token();
        server.advance(seconds(wait));
        let successor = server.refresh(&token).await.token();
        server.revoke(&token).await;
        for dead in [&token, &successor] {
            server.welcome(dead).await.assert_dead();
            server.refresh(dead).await.assert_dead();
        }
        server.welcome(&other).await.assert_welcome("ada", "CLIENT");
        let server = server.restart().await;
        for dead in [&token, &successor] {
            server.welcome(dead).await.assert_dead();
        }
        server.welcome(&other).await.assert_welcome("ada", "CLIENT");
    }
}

#[tokio::test]
async fn a_refresh_token_ends_its_session_even_if_it_was_spent() {
    for spent in [0, 1, 3] {
        let server = spawn_with(with_refresh_tokens).await;
        server.user("ada").await;
        let (mut access, first) = pair(&server, "ada").await;
        let (others_access, others_refresh) = pair(&server, "ada").await;
        let mut newest = first.clone();
        for _ in 0..spent {
            let answer = server.use_refresh_token(&newest).await;
            access = answer.token();
            newest = answer.json()["refresh_token"].as_str().unwrap().to_owned();
            server.advance(seconds(60));
        }
        server.revoke(&first).await;
        server.welcome(&access).await.assert_dead();
        server.use_refresh_token(&newest).await.assert_dead();
        let server = server.restart().await;
        server.welcome(&access).await.assert_dead();
        server.use_refresh_token(&newest).await.assert_dead();
        server.welcome(&others_access).await.assert_status(StatusCode::OK);
        server
            .use_refresh_token(&others_refresh)
            .await
            .assert_status(StatusCode::OK);
        // Further calls get the same answer.
        server.revoke(&first).await;
        server.revoke(&newest).await;
    }
}

#[tokio::test]
async fn a_refresh_token_ends_its_session_where_none_are_issued() {
    let server = spawn_with(with_refresh_tokens).await;
    server.user("ada").await;
    let (access, refresh) = pair(&server, "ada").await;
    let server = server
        .restart_with(|config| config.session.refresh_tokens = None)
        .await;
    server.welcome(&access).await.assert_status(StatusCode::OK);
    server.revoke(&refresh).await;
    server.welcome(&access).await.assert_dead();
}

#[tokio::test]
async fn what_is_no_good_token_is_as_good_as_revoked_and_ends_nothing() {
    let server = spawn_with(|config| {
        with_refresh_tokens(config);
        config.token.policy.refresh_grace = seconds(1);
    })
    .await;
    let other = spawn().await;
    server.user("ada").await;
    let (old, refresh) = pair(&server, "ada").await;
    let foreign = other.user("ada").await;
    let token = server.use_refresh_token(&refresh).await.token();
    server.advance(seconds(1));
    let forged = format!("{}x", &token[..token.len() - 1]);
    let long = "x".repeat(9000);
    for bad in [
        old.as_str(),
        &foreign,
        &forged,
        &format!("{refresh}="),
        &refresh[4..],
        "x",
        "jwr_",
        " ",
        "%ff",
        "é",
        &long,
    ] {
        server.revoke(bad).await;
    }
    server.welcome(&token).await.assert_welcome("ada", "CLIENT");
    server.log_out(&token).await.assert_status(StatusCode::NO_CONTENT);
    server.revoke(&token).await;
    server.revoke(&refresh).await;

    // A finder of an expired token in an old log can do nothing with it.
    let (expired, refresh) = pair(&server, "ada").await;
    server.advance(seconds(300));
    server.revoke(&expired).await;
    server
        .use_refresh_token(&refresh)
        .await
        .assert_status(StatusCode::OK);
}

#[tokio::test]
async fn the_session_of_a_shut_out_user_does_not_come_back_with_them() {
    let server = spawn().await;
    let token = server.user("ada").await;
    server.change("ada", UserChange::Disabled(true)).await;
    server.revoke(&token).await;
    server.change("ada", UserChange::Disabled(false)).await;
    server.welcome(&token).await.assert_dead();
}

#[tokio::test]
async fn a_type_hint_and_other_credentials_make_no_difference() {
    let server = spawn_with(with_refresh_tokens).await;
    server.user("ada").await;
    for hint in ["access_token", "refresh_token", "nonsense", ""] {
        let (access, refresh) = pair(&server, "ada").await;
        let (bystander, _) = pair(&server, "ada").await;
        for token in [&access, &refresh] {
            let form = [("token_type_hint", hint), ("token", token), ("client_id", "app")];
            let answer = server.post_form("/revoke", Some(&bystander), &form).await;
            assert_revoked(&answer);
        }
        server.welcome(&access).await.assert_dead();
        server.welcome(&bystander).await.assert_status(StatusCode::OK);
    }
    let (access, refresh) = pair(&server, "ada").await;
    let form = [("token_type_hint", "access_token"), ("token", refresh.as_str())];
    assert_revoked(&server.post_form("/revoke", Some("dead"), &form).await);
    server.welcome(&access).await.assert_dead();
}

#[tokio::test]
async fn a_form_without_one_token_is_refused() {
    let server = spawn().await;
    let token = server.user("ada").await;
    for form in [
        &[][..],
        &[("token", "")],
        &[("access_token", token.as_str())],
        &[("token", &token), ("token", &token)],
    ] {
        let answer = server.post_form("/revoke", Some(&token), form).await;
        answer.assert_problem(StatusCode::BAD_REQUEST, "invalid_request");
    }
    let query = format!("/revoke?token={token}");
    let answer = server.post_form(&query, None, &[]).await;
    answer.assert_problem(StatusCode::BAD_REQUEST, "invalid_request");
    let as_json = request("POST", "/revoke").json(&json!({"token": token}));
    let answer = server.send(as_json).await;
    answer.assert_problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type");
    server.welcome(&token).await.assert_welcome("ada", "CLIENT");
}

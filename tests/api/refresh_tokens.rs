//! Refresh tokens: each use spends one, a second use within the grace gets the same pair, and a later one ends the session.

use std::{sync::Arc, time::Duration};

use jwt_server::{Config, domain::UserChange};
use serde_json::json;
use warp::http::StatusCode;

use crate::server::{Answer, PASSWORD, Server, claims, request, seconds, spawn, spawn_with};

const DAY: u64 = 24 * 3600;

fn with_refresh_tokens(config: &mut Config) {
    config.session.refresh_tokens = Some(Duration::from_secs(7 * DAY));
}

/// The access token and the refresh token of an answer.
#[track_caller]
fn pair(answer: &Answer) -> (String, String) {
    let refresh_token = answer.json()["refresh_token"].as_str().map(str::to_owned);
    (answer.token(), refresh_token.unwrap())
}

async fn use_token(server: &Server, refresh_token: &str) -> Answer {
    server
        .post("/refresh", &json!({"refresh_token": refresh_token}))
        .await
}

/// A server with refresh tokens, and the pair of ada, who has just signed in.
async fn with_ada() -> (Server, String, String) {
    let server = spawn_with(with_refresh_tokens).await;
    server
        .sign_up("ada", PASSWORD)
        .await
        .assert_status(StatusCode::CREATED);
    let (access, refresh) = pair(&server.sign_in("ada", PASSWORD).await);
    (server, access, refresh)
}

#[tokio::test]
async fn a_client_stays_signed_in_for_weeks_with_short_tokens() {
    let (mut server, access, refresh) = with_ada().await;
    assert!(refresh.starts_with("jwr_"));
    let (mut newest, mut refresh) = (access, refresh);
    for days in [6, 12, 18, 24] {
        server.advance(seconds(6 * DAY));
        server.welcome(&newest).await.assert_dead();
        let answer = use_token(&server, &refresh).await;
        assert_eq!(answer.times(), (300, 270, true));
        let left = 30 * DAY - days * DAY;
        assert_eq!(answer.json()["refresh_expires_in"], left.min(7 * DAY));
        (newest, refresh) = pair(&answer);
        server.welcome(&newest).await.assert_welcome("ada", "CLIENT");
        server = server.restart().await;
        server.welcome(&newest).await.assert_welcome("ada", "CLIENT");
    }
    // To the end of the session and not beyond.
    server.advance(seconds(6 * DAY - 1));
    let answer = use_token(&server, &refresh).await;
    assert_eq!(answer.times(), (1, 1, true));
    assert_eq!(answer.json()["refresh_expires_in"], 1);
    server.advance(seconds(1));
    use_token(&server, &refresh).await.assert_dead();
}

#[tokio::test]
async fn without_them_nothing_is_there_that_was_not_asked_for() {
    let server = spawn().await;
    server
        .sign_up("ada", PASSWORD)
        .await
        .assert_status(StatusCode::CREATED);
    let answer = server.sign_in("ada", PASSWORD).await;
    assert!(answer.json()["refresh_token"].is_null());
    assert_eq!(answer.json().as_object().unwrap().len(), 6);
    use_token(&server, "jwr_x")
        .await
        .assert_unauthorized("missing_token", "Bearer realm=\"jwt-server\"");

    // Turned off again, the issued ones are refused.
    let (server, access, refresh) = with_ada().await;
    let server = server
        .restart_with(|config| config.session.refresh_tokens = None)
        .await;
    server.welcome(&access).await.assert_status(StatusCode::OK);
    let bearer = format!("Bearer {access}");
    let both = request("POST", "/refresh")
        .header("authorization", bearer)
        .json(&json!({"refresh_token": refresh}));
    assert_eq!(server.send(both).await.token(), access, "the Bearer form");
}

#[tokio::test]
async fn an_unused_refresh_token_runs_out() {
    let (server, _, refresh) = with_ada().await;
    server.advance(seconds(7 * DAY - 1));
    let (_, next) = pair(&use_token(&server, &refresh).await);
    server.advance(seconds(7 * DAY));
    use_token(&server, &next).await.assert_dead();
}

#[tokio::test]
async fn a_second_use_within_the_grace_gets_the_same_pair() {
    let (server, old, first) = with_ada().await;
    server.advance(seconds(60));
    let (access, second) = pair(&use_token(&server, &first).await);
    server.welcome(&old).await.assert_status(StatusCode::OK);
    server.advance(seconds(9));
    let again = use_token(&server, &first).await;
    assert_eq!(again.json()["refreshed"], false);
    assert_eq!(pair(&again).1, second);
    assert_eq!(claims(&pair(&again).0)["jti"], claims(&access)["jti"]);
    server.advance(seconds(1));
    server.welcome(&old).await.assert_dead();
    server.welcome(&access).await.assert_status(StatusCode::OK);
}

#[tokio::test]
async fn a_copy_that_is_used_later_ends_the_session() {
    for restart in [false, true] {
        let (mut server, _, stolen) = with_ada().await;
        let (access, refresh) = pair(&use_token(&server, &stolen).await);
        let (others_access, others_refresh) = pair(&server.sign_in("ada", PASSWORD).await);
        server.advance(seconds(10));
        use_token(&server, &stolen).await.assert_dead();
        if restart {
            server = server.restart().await;
        }
        server.welcome(&access).await.assert_dead();
        use_token(&server, &refresh).await.assert_dead();
        // Another sign-in of the same user is another session.
        server.welcome(&others_access).await.assert_status(StatusCode::OK);
        let _ = pair(&use_token(&server, &others_refresh).await);
    }
}

#[tokio::test]
async fn the_grace_lets_no_grandparent_through() {
    let (server, _, first) = with_ada().await;
    let (_, second) = pair(&use_token(&server, &first).await);
    let (access, third) = pair(&use_token(&server, &second).await);
    use_token(&server, &first).await.assert_dead();
    server.welcome(&access).await.assert_dead();
    use_token(&server, &third).await.assert_dead();
}

#[tokio::test]
async fn a_log_out_a_new_password_and_a_shut_out_user_end_it() {
    let (server, access, refresh) = with_ada().await;
    server
        .log_out(&access)
        .await
        .assert_status(StatusCode::NO_CONTENT);
    use_token(&server, &refresh).await.assert_dead();

    let (_, refresh) = pair(&server.sign_in("ada", PASSWORD).await);
    server.change("ada", UserChange::Disabled(true)).await;
    use_token(&server, &refresh).await.assert_dead();
    server.change("ada", UserChange::Disabled(false)).await;
    use_token(&server, &refresh).await.assert_dead();
    let (access, refresh) = pair(&server.sign_in("ada", PASSWORD).await);

    let (_, others) = pair(&server.sign_in("ada", PASSWORD).await);
    let body = json!({"current_password": PASSWORD, "new_password": "another horse battery"});
    let (_, fresh) = pair(&server.post_with_token("/me/password", &access, &body).await);
    for ended in [&others, &refresh] {
        use_token(&server, ended).await.assert_dead();
    }
    let _ = pair(&use_token(&server, &fresh).await);
}

#[tokio::test]
async fn no_kind_of_token_is_taken_for_the_other() {
    let (server, access, refresh) = with_ada().await;
    use_token(&server, &access).await.assert_dead();
    for path in ["/welcome", "/me", "/refresh", "/logout"] {
        server.get(path, &refresh).await.assert_dead();
    }
    for bad in [
        "",
        "jwr_",
        "JWR_",
        &refresh[4..],
        &refresh.to_lowercase(),
        &format!("{refresh}="),
    ] {
        use_token(&server, bad).await.assert_dead();
    }
    // None of that was a reuse.
    let _ = pair(&use_token(&server, &refresh).await);
}

#[tokio::test]
async fn both_forms_of_refresh_stand_side_by_side() {
    let (server, access, refresh) = with_ada().await;
    let bearer = format!("Bearer {access}");
    let post = || request("POST", "/refresh");
    let with_bearer = || post().header("authorization", bearer.as_str());
    // A request without a refresh token is of the Bearer form, whatever else it carries.
    for request in [
        with_bearer(),
        with_bearer().body(""),
        with_bearer().header("content-type", "application/json").body(""),
        with_bearer()
            .header("content-type", "application/json")
            .body("{}"),
        with_bearer()
            .header("content-type", "application/json")
            .body("{{"),
        with_bearer().header("content-type", "text/plain").body("hello"),
    ] {
        assert_eq!(server.send(request).await.token(), access);
    }
    // A client that always sends its access token may still use the other one, also when the first has expired.
    let both = with_bearer().json(&json!({"refresh_token": refresh}));
    let (_, refresh) = pair(&server.send(both).await);
    server.advance(seconds(400));
    let both = with_bearer().json(&json!({"refresh_token": refresh}));
    let _ = pair(&server.send(both).await);

    server
        .send(post())
        .await
        .assert_unauthorized("missing_token", "Bearer realm=\"jwt-server\"");
    server
        .send(post().json(&json!({})))
        .await
        .assert_fields(&[("refresh_token", "required")]);
    let more = post().json(&json!({"refresh_token": "x", "scope": "all"}));
    server.send(more).await.assert_fields(&[("scope", "unknown")]);
    let number = post().json(&json!({"refresh_token": 7}));
    server
        .send(number)
        .await
        .assert_fields(&[("refresh_token", "wrong_type")]);
    let text = post()
        .header("accept", "text/plain")
        .json(&json!({"refresh_token": refresh}));
    let answer = server.send(text).await;
    assert_eq!(answer.text().split('.').count(), 3, "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_sixty_four_uses_at_once_all_get_the_same_pair() {
    let (server, _, refresh) = with_ada().await;
    let server = Arc::new(server);
    let tasks: Vec<_> = (0..64)
        .map(|_| {
            let (server, refresh) = (Arc::clone(&server), refresh.clone());
            tokio::spawn(async move { use_token(&server, &refresh).await })
        })
        .collect();
    let mut pairs = Vec::new();
    for task in tasks {
        let (access, refresh) = pair(&task.await.unwrap());
        pairs.push((claims(&access)["jti"].clone(), refresh));
    }
    pairs.dedup();
    assert_eq!(pairs.len(), 1, "{pairs:?}");
}

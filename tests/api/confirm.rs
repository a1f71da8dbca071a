//! `POST /me/confirm`: the password of a session is fresh for 15 minutes.

use jwt_server::{
    domain::{BearerToken, SessionId},
    event::EventKind,
};
use serde_json::json;
use warp::http::StatusCode;

use crate::server::{Answer, PASSWORD, Server, claims, seconds, spawn, spawn_with};

impl Server {
    async fn confirm(&self, token: &str, password: &str) -> Answer {
        self.post_with_token("/me/confirm", token, &json!({"password": password}))
            .await
    }

    /// Whether the session of `token` may do what can't be undone.
    async fn is_confirmed(&self, token: &str) -> bool {
        let token = BearerToken::parse(token).unwrap();
        let principal = self.auth.authenticate(&token).await.unwrap();
        self.auth.accounts().confirmed_recently(&principal).await.is_ok()
    }
}

/// A server whose access tokens last for hours.
async fn patient() -> Server {
    spawn_with(|config| {
        config.token.policy.lifetime = seconds(4 * 3600);
        config.token.policy.refresh_window = seconds(4 * 3600);
    })
    .await
}

#[tokio::test]
async fn a_password_counts_for_15_minutes_and_survives_a_refresh() {
    let server = patient().await;
    let token = server.user("ada").await;
    assert!(server.is_confirmed(&token).await, "by the sign-in");
    server.advance(seconds(899));
    assert!(server.is_confirmed(&token).await);
    server.advance(seconds(1));
    assert!(!server.is_confirmed(&token).await);
    let other = server.sign_in("ada", PASSWORD).await.token();
    assert!(server.is_confirmed(&other).await);
    assert!(
        !server.is_confirmed(&token).await,
        "the password of another session"
    );
    server.events.take();
    let answer = server.confirm(&token, PASSWORD).await;
    answer.assert_status(StatusCode::OK);
    assert_eq!(answer.json(), json!({"expires_in": 900}));
    let session = SessionId::parse(claims(&token)["sid"].as_str().unwrap()).unwrap();
    assert_eq!(
        server.events.take_one().kind,
        EventKind::SessionConfirmed { session }
    );
    let refreshed = server.refresh(&token).await.token();
    assert_ne!(refreshed, token);
    let server = server.restart().await;
    server.advance(seconds(899));
    assert!(server.is_confirmed(&refreshed).await);
    server.advance(seconds(1));
    assert!(!server.is_confirmed(&refreshed).await);
    // A new password is one that was given.
    let change = json!({"current_password": PASSWORD, "new_password": "another horse battery"});
    let changed = server.post_with_token("/me/password", &refreshed, &change).await;
    assert!(server.is_confirmed(&changed.token()).await);
}

#[tokio::test]
async fn a_wrong_password_confirms_nothing_and_is_counted() {
    let server = patient().await;
    let token = server.user("ada").await;
    server.advance(seconds(900));
    for wrong in ["wrong password", "", "x"] {
        server.events.take();
        let answer = server.confirm(&token, wrong).await;
        answer.assert_problem(StatusCode::FORBIDDEN, "wrong_password");
        assert_eq!(server.events.take_one().kind, EventKind::CurrentPasswordWrong);
    }
    assert!(!server.is_confirmed(&token).await);
    let mut last = server.confirm(&token, "wrong password").await;
    for _ in 0..60 {
        server.advance(seconds(1));
        last = server.confirm(&token, "wrong password").await;
    }
    last.assert_problem(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts");
    let right = server.confirm(&token, PASSWORD).await;
    right.assert_problem(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts");
    assert!(!server.is_confirmed(&token).await);
}

#[tokio::test]
async fn only_a_session_is_confirmed() {
    let server = spawn().await;
    let token = server.user("ada").await;
    let wanted = json!({"name": "script", "roles": ["CLIENT"], "expires_in": 86_400});
    let made = server.post_with_token("/me/tokens", &token, &wanted).await;
    let api_token = made.json()["token"].as_str().unwrap().to_owned();
    let answer = server.confirm(&api_token, PASSWORD).await;
    answer.assert_problem(StatusCode::FORBIDDEN, "session_required");
    assert!(
        server.is_confirmed(&api_token).await,
        "its scope decides what it may"
    );
    let answer = server.post_with_token("/me/confirm", &token, &json!({})).await;
    answer.assert_fields(&[("password", "required")]);
    server.log_out(&token).await.assert_status(StatusCode::NO_CONTENT);
    server.confirm(&token, PASSWORD).await.assert_dead();
}

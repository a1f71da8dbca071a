//! Roles that end: they hold to the second, on every route and for every kind of token, without a write.

use jwt_server::{Role, domain::UserChange};
use serde_json::json;
use warp::http::StatusCode;

use crate::server::{START, Server, claims, seconds, spawn};

/// Gives `ada` no role but CLIENT until a moment so many seconds after the start. Returns a token of hers.
async fn client_for(server: &Server, length: u64) -> String {
    let token = server.user("ada").await;
    let until = Some(START.plus(seconds(length)));
    server
        .change("ada", UserChange::GiveRole(Role::CLIENT, until))
        .await;
    token
}

#[tokio::test]
async fn a_role_holds_to_the_second_before_its_end() {
    let server = spawn().await;
    let token = client_for(&server, 100).await;
    let body = json!({"name": "backup", "roles": ["CLIENT"], "expires_in": 3600});
    let api_token = server.post_with_token("/me/tokens", &token, &body).await.json();
    let api_token = api_token["token"].as_str().unwrap();
    server.advance(seconds(99));
    for token in [&token, api_token] {
        server.welcome(token).await.assert_welcome("ada", "CLIENT");
        assert_eq!(server.me(token).await.json()["roles"], json!(["CLIENT"]));
    }
    server.advance(seconds(1));
    for token in [&token, api_token] {
        let refused = server.welcome(token).await;
        refused.assert_problem(StatusCode::FORBIDDEN, "insufficient_scope");
        assert_eq!(server.me(token).await.json()["roles"], json!([]));
    }
    // The user makes no API token for a role that has ended.
    let refused = server.post_with_token("/me/tokens", &token, &body).await;
    refused.assert_fields(&[("roles", "not_yours")]);
    let server = server.restart().await;
    let refused = server.welcome(&token).await;
    refused.assert_problem(StatusCode::FORBIDDEN, "insufficient_scope");
    // Given again, it holds again.
    server
        .change("ada", UserChange::GiveRole(Role::CLIENT, None))
        .await;
    server.welcome(&token).await.assert_welcome("ada", "CLIENT");
}

#[tokio::test]
async fn a_new_token_has_only_the_roles_that_hold() {
    let server = spawn().await;
    let token = client_for(&server, 280).await;
    let editor = Role::parse("EDITOR").unwrap();
    server.change("ada", UserChange::GiveRole(editor, None)).await;
    let signed_in = server.sign_in("ada", crate::server::PASSWORD).await.token();
    assert_eq!(claims(&signed_in)["roles"], json!(["EDITOR", "CLIENT"]));
    server.advance(seconds(280));
    let refreshed = server.refresh(&token).await;
    assert_eq!(refreshed.json()["refreshed"], true);
    assert_eq!(claims(&refreshed.token())["roles"], json!(["EDITOR"]));
    let signed_in = server.sign_in("ada", crate::server::PASSWORD).await.token();
    assert_eq!(claims(&signed_in)["roles"], json!(["EDITOR"]));
}

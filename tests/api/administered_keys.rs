//! The signing keys as the administration lists and rotates them while the server runs.

use std::sync::atomic::Ordering;

use jwt_server::{
    auth::KeyRotation,
    config::{Origin, Secret},
    domain::{Algorithm, RequestContext},
    event::{Actor, EventKind},
};
use serde_json::{Value, json};
use warp::http::StatusCode;

use crate::{
    keys::kid,
    online::over_broken_store,
    server::{Answer, PASSWORD, Server, request, spawn, spawn_with},
};

async fn eddsa() -> Server {
    spawn_with(|config| config.token.algorithm = Algorithm::EdDsa).await
}

impl Server {
    async fn rotate_as_operator(&self, body: Value) -> Answer {
        self.operate("POST", "/admin/keys/rotate", Some(body)).await
    }
}

fn each(keys: &Value, field: &str) -> Vec<String> {
    let keys = keys["keys"].as_array().unwrap().iter();
    keys.map(|key| key[field].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn keys_are_listed_with_their_times_and_nothing_private() {
    let server = eddsa().await;
    let old = kid(&server.user("ada").await);
    let rotated = server.rotate_as_operator(json!({})).await;
    rotated.assert_status(StatusCode::OK);
    assert_eq!(rotated.json()["waiting"], false);
    assert_eq!(rotated.json().get("ended_sessions"), None);
    let listed = server.operate("GET", "/admin/keys", None).await;
    let keys = listed.json();
    assert_eq!(keys["keys"], rotated.json()["keys"]);
    assert_eq!(each(&keys, "state"), ["signing", "next"]);
    assert_eq!(each(&keys, "source"), ["database", "database"]);
    assert_eq!(each(&keys, "algorithm"), ["EdDSA", "EdDSA"]);
    assert_eq!(each(&keys, "id")[0], old);
    let (first, next) = (&keys["keys"][0], &keys["keys"][1]);
    assert_eq!(first["signs_until"], next["signs_from"]);
    assert_eq!(
        (&next["published"], &next["verifies_until"]),
        (&json!(true), &Value::Null)
    );
    let fields: Vec<&String> = next.as_object().unwrap().keys().collect();
    assert_eq!(
        fields,
        [
            "algorithm",
            "created_at",
            "id",
            "published",
            "signs_from",
            "signs_until",
            "source",
            "state",
            "verifies_until"
        ],
        "{keys}"
    );
    let again = server.rotate_as_operator(json!({})).await;
    assert_eq!(again.json()["waiting"], true);
}

#[tokio::test]
async fn a_rotation_by_the_operator_is_the_running_servers() {
    for server in [spawn().await, eddsa().await] {
        let old = server.user("ada").await;
        server.welcome(&old).await.assert_welcome("ada", "CLIENT");
        server.events.take();
        let rotated = server.rotate_as_operator(json!({ "now": true })).await;
        assert_eq!(each(&rotated.json(), "state"), ["verifying", "signing"]);
        let event = server.events.take_one();
        assert_eq!(event.kind.name(), "signing_key_rotated");
        assert!(matches!(event.actor, Actor::Operator { uid: Some(_) }));
        let new = server.sign_in("ada", PASSWORD).await.token();
        assert_eq!(kid(&new), each(&rotated.json(), "id")[1]);
        for token in [&old, &new] {
            server.welcome(token).await.assert_welcome("ada", "CLIENT");
        }
    }
}

#[tokio::test]
async fn a_revocation_ends_api_tokens_only_if_told() {
    for api_tokens in [false, true] {
        let server = eddsa().await;
        let token = server.user("ada").await;
        let scripts = [server.api_token(&token).await, server.api_token(&token).await];
        for token in [&token, &scripts[0], &scripts[1]] {
            // So that it is known, and in the cache.
            server.welcome(token).await.assert_welcome("ada", "CLIENT");
        }
        server.events.take();
        let body = json!({ "revoke": true, "api_tokens": api_tokens });
        let revoked = server.rotate_as_operator(body).await;
        revoked.assert_status(StatusCode::OK);
        assert_eq!(revoked.json()["ended_sessions"], 1);
        let ended = revoked.json()["ended_api_tokens"].as_u64();
        assert_eq!(ended, api_tokens.then_some(2));
        assert_eq!(each(&revoked.json(), "state"), ["signing"]);
        server.welcome(&token).await.assert_dead();
        for script in &scripts {
            let answer = server.welcome(script).await;
            if api_tokens {
                answer.assert_dead();
            } else {
                answer.assert_welcome("ada", "CLIENT");
            }
        }
        let kinds = server.events.take_kinds();
        let kid = each(&revoked.json(), "id")[0].clone();
        let mut expected = vec![EventKind::SessionsEnded { count: 1 }];
        expected.extend(api_tokens.then_some(EventKind::ApiTokensRevoked { count: 2 }));
        expected.push(EventKind::SigningKeyRevoked { kid });
        assert_eq!(kinds, expected);
        let server = server.restart().await;
        server.welcome(&token).await.assert_dead();
        let script = server.welcome(&scripts[0]).await.status;
        assert_eq!(script == StatusCode::OK, !api_tokens);
        server.sign_in("ada", PASSWORD).await.token();
    }
}

#[tokio::test]
async fn a_revocation_that_stops_half_way_ends_the_rest_when_repeated() {
    let (server, store) = over_broken_store().await;
    let token = server.user("ada").await;
    let script = server.api_token(&token).await;
    let revoke = async || {
        let rotation = KeyRotation::Revoke { api_tokens: true };
        let (actor, context) = (Actor::Operator { uid: None }, RequestContext::default());
        server
            .auth
            .accounts()
            .rotate_keys(rotation, actor, &context)
            .await
    };
    store.keeps_api_tokens.store(true, Ordering::SeqCst);
    assert!(revoke().await.is_err());
    server.welcome(&token).await.assert_dead();
    server.welcome(&script).await.assert_welcome("ada", "CLIENT");
    store.keeps_api_tokens.store(false, Ordering::SeqCst);
    store.refuses_keys.store(true, Ordering::SeqCst);
    assert!(revoke().await.is_err());
    server.welcome(&script).await.assert_dead();
    store.refuses_keys.store(false, Ordering::SeqCst);
    let ended = revoke().await.unwrap();
    assert_eq!((ended.ended, ended.ended_api_tokens), (Some(0), Some(0)));
    assert_ne!(kid(&server.sign_in("ada", PASSWORD).await.token()), kid(&token));
}

#[tokio::test]
async fn a_bad_rotation_is_refused_and_changes_nothing() {
    let server = eddsa().await;
    let token = server.user("ada").await;
    let before = server.show("/admin/keys").await;
    for (body, fields) in [
        (
            json!({ "now": true, "revoke": true }),
            &[("now", "one_at_a_time")][..],
        ),
        (json!({ "api_tokens": true }), &[("revoke", "required")]),
        (
            json!({ "now": true, "api_tokens": true }),
            &[("revoke", "required")],
        ),
        (json!({ "revoke": "yes" }), &[("revoke", "wrong_type")]),
        (json!({ "soon": true }), &[("soon", "unknown")]),
    ] {
        server.rotate_as_operator(body).await.assert_fields(fields);
    }
    assert_eq!(server.show("/admin/keys").await, before);
    server.welcome(&token).await.assert_welcome("ada", "CLIENT");
    // Only the operator is answered.
    for (method, path) in [("GET", "/admin/keys"), ("POST", "/admin/keys/rotate")] {
        let bearer = request(method, path)
            .header("authorization", format!("Bearer {token}"))
            .json(&json!({}));
        let answer = server.send(bearer).await;
        answer.assert_problem(StatusCode::NOT_FOUND, "not_found");
    }
}

#[tokio::test]
async fn a_key_of_the_settings_is_named_as_such_and_stays() {
    let server = spawn_with(|config| {
        config.token.secret = Some(Secret {
            bytes: vec![7; 32].into(),
            origin: Origin::KeyFile("a/path".into()),
        });
    })
    .await;
    let token = server.user("ada").await;
    for body in [
        json!({}),
        json!({ "now": true }),
        json!({ "revoke": true, "api_tokens": true }),
    ] {
        let refused = server.rotate_as_operator(body).await;
        let problem = refused.assert_problem(StatusCode::CONFLICT, "key_from_settings");
        assert!(!problem.to_string().contains("a/path"), "{problem}");
    }
    let keys = server.show("/admin/keys").await;
    assert_eq!(each(&keys, "source"), ["settings"]);
    server.welcome(&token).await.assert_welcome("ada", "CLIENT");
}

//! Attributes of users: who gives them, and where they are shown.

use jwt_server::event::{Actor, EventKind};
use serde_json::{Value, json};
use warp::http::StatusCode;

use crate::{
    administration::OWNER,
    server::{Answer, PASSWORD, Server, claims, request, spawn_with},
};

impl Server {
    /// Gives a user these attributes, as the operator.
    async fn set_attributes(&self, id: &str, attributes: &Value) -> Answer {
        let body = json!({ "attributes": attributes });
        self.operate("PATCH", &format!("/admin/users/{id}"), Some(body))
            .await
    }
}

/// A server whose tokens show two attributes, and ada's token.
async fn with_ada() -> (Server, String, String) {
    let server = spawn_with(|config| config.token.attributes = vec!["tenant".into(), "staff".into()]).await;
    let token = server.user("ada").await;
    let id = claims(&token)["sub"].as_str().unwrap().to_owned();
    (server, token, id)
}

#[tokio::test]
async fn named_attributes_are_claims_from_the_next_token_on_and_shown_at_once() {
    let (server, token, id) = with_ada().await;
    assert_eq!(server.me(&token).await.json().get("attributes"), None);
    let service = server.service().await;
    server.events.take();
    let given = json!({ "tenant": "north", "staff": true, "note": "pays late", "level": 2 });
    let answer = server.set_attributes(&id, &given).await;
    answer.assert_status(StatusCode::OK);
    assert_eq!(answer.json()["attributes"], given);
    let event = server.events.take_one();
    assert_eq!(
        (&event.kind, event.actor),
        (
            &EventKind::AttributesChanged,
            Actor::Operator { uid: Some(OWNER) }
        )
    );

    let shown = json!({ "tenant": "north", "staff": true });
    let later = server.sign_in("ada", PASSWORD).await.token();
    assert_eq!(
        claims(&token).get("tenant"),
        None,
        "a token says what held when it was issued"
    );
    assert_eq!(
        (&claims(&later)["tenant"], &claims(&later)["staff"]),
        (&json!("north"), &json!(true))
    );
    for hidden in ["note", "level"] {
        assert_eq!(claims(&later).get(hidden), None);
    }
    for token in [&token, &later] {
        server.welcome(token).await.assert_welcome("ada", "CLIENT");
        assert_eq!(server.me(token).await.json()["attributes"], shown);
        let told = server.introspect(&service, token).await.json();
        assert_eq!(
            (&told["tenant"], &told["staff"], told.get("note")),
            (&json!("north"), &json!(true), None)
        );
    }
    // All of them are replaced, also for the tokens that are there.
    server
        .set_attributes(&id, &json!({ "tenant": "south" }))
        .await
        .assert_status(StatusCode::OK);
    assert_eq!(
        server.me(&later).await.json()["attributes"],
        json!({ "tenant": "south" })
    );
    let told = server.introspect(&service, &later).await.json();
    assert_eq!((&told["tenant"], told.get("staff")), (&json!("south"), None));
    server
        .set_attributes(&id, &json!({}))
        .await
        .assert_status(StatusCode::OK);
    assert_eq!(server.me(&later).await.json().get("attributes"), None);
}

#[tokio::test]
async fn a_token_outlives_the_setting_that_named_its_attributes() {
    let (server, _, id) = with_ada().await;
    server
        .set_attributes(&id, &json!({ "tenant": "north" }))
        .await
        .assert_status(StatusCode::OK);
    let token = server.sign_in("ada", PASSWORD).await.token();
    let server = server
        .restart_with(|config| config.token.attributes.clear())
        .await;
    server.welcome(&token).await.assert_welcome("ada", "CLIENT");
    assert_eq!(server.me(&token).await.json().get("attributes"), None);
    server.log_out(&token).await.assert_status(StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_user_gives_themselves_none_and_bad_ones_are_refused() {
    let (server, token, id) = with_ada().await;
    let body = json!({ "display_name": "Ada", "attributes": { "tenant": "north" } });
    let bearer = format!("Bearer {token}");
    let refused = server
        .send(
            request("PATCH", "/me")
                .header("authorization", bearer)
                .json(&body),
        )
        .await;
    refused.assert_fields(&[("attributes", "unknown")]);
    let signup = json!({ "username": "eve", "password": PASSWORD, "attributes": { "tenant": "north" } });
    server
        .post("/signup", &signup)
        .await
        .assert_fields(&[("attributes", "unknown")]);
    server
        .set_attributes(&id, &json!({ "tenant": "north" }))
        .await
        .assert_status(StatusCode::OK);
    for (bad, code) in [
        (json!({ "sub": "eve" }), "reserved"),
        (json!({ "roles": ["ADMIN"] }), "reserved"),
        (json!({ "Tenant": "north" }), "bad_name"),
        (json!({ "tenant": null }), "bad_value"),
        (json!({ "tenant": { "a": 1 } }), "bad_value"),
        (json!({ "tenant": "x".repeat(2048) }), "too_long"),
        (json!(["tenant"]), "wrong_type"),
        (json!(null), "wrong_type"),
    ] {
        server
            .set_attributes(&id, &bad)
            .await
            .assert_fields(&[("attributes", code)]);
    }
    assert_eq!(
        server.me(&token).await.json()["attributes"],
        json!({ "tenant": "north" })
    );
}

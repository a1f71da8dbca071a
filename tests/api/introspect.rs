//! Introspection: everything about a live token, nothing about any other one, and which callers may use it.

use std::{sync::Arc, sync::atomic::Ordering, time::Duration};

use jwt_server::{
    Auth, Config,
    auth::Parts,
    clock::ManualClock,
    domain::{Algorithm, UserChange},
    event::Listeners,
    store,
};
use serde_json::{Value, json};
use warp::http::StatusCode;

use crate::{
    broken_store::BrokenStore,
    server::{Answer, PASSWORD, START, Server, claims, request, seconds, spawn, spawn_with},
};

const FORM: &str = "application/x-www-form-urlencoded";

impl Server {
    pub(crate) async fn introspect(&self, caller: &str, token: &str) -> Answer {
        self.post_form("/introspect", Some(caller), &[("token", token)])
            .await
    }

    /// The token of a service that may introspect.
    pub(crate) async fn service(&self) -> String {
        let token = self.user("billing").await;
        self.set_roles("billing", &["SERVICE"]).await;
        token
    }
}

/// The description of a live token.
#[track_caller]
fn active(answer: &Answer) -> Value {
    answer.assert_status(StatusCode::OK);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-store");
    let answer = answer.json();
    assert_eq!(answer["active"], true, "{answer}");
    answer
}

#[track_caller]
fn assert_inactive(answer: &Answer) {
    answer.assert_status(StatusCode::OK);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.text(), r#"{"active":false}"#);
}

#[tokio::test]
async fn a_live_token_is_described_with_the_present_roles_of_its_user() {
    for algorithm in Algorithm::ALL {
        for (audience, aud) in [
            (&[][..], None),
            (&["notes"], Some(json!("notes"))),
            (&["notes", "shop"], Some(json!(["notes", "shop"]))),
        ] {
            let server = spawn_with(|config| {
                config.token.algorithm = algorithm;
                config.token.audience = audience.iter().map(ToString::to_string).collect();
            })
            .await;
            let service = server.service().await;
            let token = server.user("ada").await;
            server.set_roles("ada", &["CLIENT", "EDITOR"]).await;
            server.advance(seconds(7));

            let claims = claims(&token);
            let mut expected = json!({
                "active": true,
                "sub": claims["sub"],
                "username": "ada",
                "roles": ["CLIENT", "EDITOR"],
                "scope": "CLIENT EDITOR",
                "exp": START.as_secs() + 300,
                "iat": START.as_secs(),
                "iss": "jwt-server",
                "jti": claims["jti"],
                "sid": claims["sid"],
                "token_type": "Bearer",
            });
            if let Some(aud) = aud {
                expected["aud"] = aud;
            }
            assert_eq!(active(&server.introspect(&service, &token).await), expected);
        }
    }
}

#[tokio::test]
async fn an_old_token_says_what_audience_it_was_made_for() {
    let server = spawn_with(|config| config.token.audience = vec!["notes".into()]).await;
    let service = server.service().await;
    let server = server
        .restart_with(|config| config.token.audience = vec!["notes".into(), "shop".into()])
        .await;
    let token = server.user("ada").await;
    let aud = async |token: &str| active(&server.introspect(&service, token).await)["aud"].clone();
    assert_eq!(aud(&service).await, "notes");
    assert_eq!(aud(&token).await, json!(["notes", "shop"]));
}

#[tokio::test]
async fn a_token_is_active_to_the_last_second_of_its_life_or_grace() {
    let server = spawn_with(|config| config.token.policy.refresh_window = seconds(300)).await;
    let service = server.service().await;
    let token = server.user("ada").await;
    let successor = server.refresh(&token).await.token();
    // The caller refreshes as well.
    let service = server.refresh(&service).await.token();
    server.advance(seconds(9));
    active(&server.introspect(&service, &token).await);
    server.advance(seconds(1));
    assert_inactive(&server.introspect(&service, &token).await);

    server.advance(seconds(200));
    let service = server.refresh(&service).await.token();
    server.advance(seconds(89));
    active(&server.introspect(&service, &successor).await);
    server.advance(seconds(1));
    assert_inactive(&server.introspect(&service, &successor).await);
}

#[tokio::test]
async fn tokens_of_an_ended_session_or_a_disabled_user_are_inactive() {
    let server = spawn().await;
    let service = server.service().await;
    let token = server.user("ada").await;
    server.change("ada", UserChange::Disabled(true)).await;
    assert_inactive(&server.introspect(&service, &token).await);
    server.change("ada", UserChange::Disabled(false)).await;
    assert_inactive(&server.introspect(&service, &token).await);
    let token = server.sign_in("ada", PASSWORD).await.token();
    active(&server.introspect(&service, &token).await);
    server.log_out(&token).await.assert_status(StatusCode::NO_CONTENT);
    assert_inactive(&server.introspect(&service, &token).await);

    let token = server.sign_in("ada", PASSWORD).await.token();
    let body = json!({"current_password": PASSWORD});
    let bearer = format!("Bearer {token}");
    let delete = request("DELETE", "/me").header("authorization", bearer);
    server
        .send(delete.json(&body))
        .await
        .assert_status(StatusCode::NO_CONTENT);
    assert_inactive(&server.introspect(&service, &token).await);
}

#[tokio::test]
async fn whatever_is_no_live_access_token_gets_the_same_two_words() {
    let server =
        spawn_with(|config| config.session.refresh_tokens = Some(Duration::from_hours(7 * 24))).await;
    let other = spawn().await;
    let service = server.service().await;
    let answer = server.sign_in("billing", PASSWORD).await;
    let refresh_token = answer.json()["refresh_token"].as_str().unwrap().to_owned();
    let foreign = other.user("billing").await;
    let (head, rest) = service.split_once('.').unwrap();
    let (payload, _) = rest.split_once('.').unwrap();
    let unsigned = format!("{head}.{payload}.");
    let long = "x".repeat(9000);
    for token in [
        refresh_token.as_str(),
        &foreign,
        &unsigned,
        &format!("{service} "),
        &format!("Bearer {service}"),
        &service[..service.len() - 1],
        "x",
        " ",
        "%",
        "\0",
        "é",
        "../../etc/passwd",
        "{\"active\":true}",
        &long,
    ] {
        assert_inactive(&server.introspect(&service, token).await);
    }
    // Introspection does not use up the refresh token.
    let body = json!({"refresh_token": refresh_token});
    server.post("/refresh", &body).await.assert_status(StatusCode::OK);
}

#[tokio::test]
async fn only_a_user_with_one_of_the_roles_now_may_ask() {
    let server = spawn().await;
    let token = server.user("ada").await;
    let refused = server.introspect(&token, &token).await;
    refused.assert_problem(StatusCode::FORBIDDEN, "insufficient_scope");
    assert_eq!(
        refused.header("www-authenticate"),
        "Bearer realm=\"jwt-server\", error=\"insufficient_scope\", scope=\"ADMIN SERVICE\""
    );
    for role in ["ADMIN", "SERVICE"] {
        server.set_roles("ada", &[role]).await;
        active(&server.introspect(&token, &token).await);
    }
    server.set_roles("ada", &["CLIENT"]).await;
    let refused = server.introspect(&token, "x").await;
    refused.assert_problem(StatusCode::FORBIDDEN, "insufficient_scope");

    let server = spawn_with(|config| config.introspection.roles = vec!["GATE".parse().unwrap()]).await;
    let token = server.service().await;
    let refused = server.introspect(&token, &token).await;
    refused.assert_problem(StatusCode::FORBIDDEN, "insufficient_scope");
    server.set_roles("billing", &["GATE"]).await;
    active(&server.introspect(&token, &token).await);
}

#[tokio::test]
async fn the_caller_must_present_a_live_token_in_the_header() {
    let server = spawn().await;
    let service = server.service().await;
    let bare = "Bearer realm=\"jwt-server\"";
    let none = server
        .post_form("/introspect", None, &[("token", &service)])
        .await;
    none.assert_unauthorized("missing_token", bare);
    let form = [("token", service.as_str()), ("access_token", &service)];
    let path = format!("/introspect?access_token={service}");
    server
        .post_form(&path, None, &form)
        .await
        .assert_unauthorized("missing_token", bare);
    let basic = request("POST", "/introspect")
        .header("authorization", "Basic YWRhOnB3")
        .header("content-type", "application/x-www-form-urlencoded")
        .body("token=x");
    server
        .send(basic)
        .await
        .assert_unauthorized("missing_token", bare);
    // A token in the query is not read.
    let in_query = server
        .post_form(&format!("/introspect?token={service}"), Some(&service), &[])
        .await;
    in_query.assert_problem(StatusCode::BAD_REQUEST, "invalid_request");

    server
        .log_out(&service)
        .await
        .assert_status(StatusCode::NO_CONTENT);
    server.introspect(&service, &service).await.assert_dead();
}

#[tokio::test]
async fn a_form_is_read_as_oauth_has_it() {
    let server = spawn_with(|config| config.server.max_body = 1024).await;
    let service = server.service().await;
    let bearer = format!("Bearer {service}");
    let send = async |kind: &str, body: &[u8]| {
        let headers = [
            ("authorization", bearer.as_bytes()),
            ("content-type", kind.as_bytes()),
        ];
        let body = String::from_utf8(body.to_vec()).unwrap();
        server.send_exactly("POST", "/introspect", &headers, &body).await
    };
    let good = format!("token={service}");

    for body in [
        good.clone(),
        format!("token_type_hint=refresh_token&{good}"),
        format!("{good}&token_type_hint=nonsense&resource=%zz&=&&"),
        format!("to%6ben={}", service.replace('.', "%2E")),
    ] {
        active(&send(FORM, body.as_bytes()).await);
    }
    for kind in [
        "application/x-www-form-urlencoded; charset=UTF-8",
        "Application/X-WWW-Form-Urlencoded",
    ] {
        active(&send(kind, good.as_bytes()).await);
    }
    let many: Vec<_> = (0..17).map(|n| format!("x{n}=1")).collect();
    for body in [
        "",
        "&",
        "=",
        "token",
        "token=",
        "Token=x",
        "[token]=x",
        &format!("{good}&{good}"),
        &format!("{good}&to%6ben=x"),
        &format!("token=&{good}"),
        &format!("{good}&x=1&x=1"),
        &format!("{good}&{}", many.join("&")),
        r#"{"token":"x"}"#,
    ] {
        let answer = send(FORM, body.as_bytes()).await;
        answer.assert_problem(StatusCode::BAD_REQUEST, "invalid_request");
    }
    for body in [
        "token=%",
        "token=%ff",
        "token=a%00b",
        "token=\u{feff}x",
        "token=a+b",
    ] {
        assert_inactive(&send(FORM, body.as_bytes()).await);
    }
    for kind in ["application/json", "text/plain", "", "multipart/form-data"] {
        let answer = send(kind, good.as_bytes()).await;
        answer.assert_problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type");
        assert!(answer.text().contains(FORM), "{}", answer.text());
    }
    let padded = |length: usize| format!("{good}&x={}", "1".repeat(length - good.len() - 3));
    active(&send(FORM, padded(1024).as_bytes()).await);
    let over = send(FORM, padded(1025).as_bytes()).await;
    over.assert_problem(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large");
}

#[tokio::test]
async fn only_a_caller_that_guesses_tokens_has_to_wait() {
    let server = spawn().await;
    let service = server.service().await;
    let gate = server.user("gate").await;
    server.set_roles("gate", &["SERVICE"]).await;
    let token = server.user("ada").await;
    let dead = server.sign_in("ada", PASSWORD).await.token();
    server.log_out(&dead).await.assert_status(StatusCode::NO_CONTENT);

    for n in 0..100 {
        assert_inactive(&server.introspect(&service, &format!("guess{n}")).await);
    }
    let throttled = server.introspect(&service, "guess").await;
    throttled.assert_problem(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts");
    assert_eq!(throttled.header("retry-after"), "1");
    // A client may flood the service with nonsense; the service's other users must not notice.
    for _ in 0..200 {
        active(&server.introspect(&service, &token).await);
        assert_inactive(&server.introspect(&service, &dead).await);
    }
    // Another session of the same caller has to wait too, and another caller has not.
    let again = server.sign_in("billing", PASSWORD).await.token();
    let throttled = server.introspect(&again, "guess").await;
    throttled.assert_problem(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts");
    assert_inactive(&server.introspect(&gate, "guess").await);

    server.advance(seconds(1));
    assert_inactive(&server.introspect(&service, "guess").await);
    let throttled = server.introspect(&service, "guess").await;
    throttled.assert_problem(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts");
    // A sign-in is not throttled by it.
    server
        .sign_in("billing", PASSWORD)
        .await
        .assert_status(StatusCode::OK);
}

#[tokio::test]
async fn a_caller_that_shows_real_refresh_tokens_never_has_to_wait() {
    let lifetime = Duration::from_hours(24);
    let server = spawn_with(|config| config.session.refresh_tokens = Some(lifetime)).await;
    let service = server.service().await;
    server.user("ada").await;
    let answer = server.sign_in("ada", PASSWORD).await.json();
    let refresh_token = answer["refresh_token"].as_str().unwrap();
    for _ in 0..200 {
        assert_inactive(&server.introspect(&service, refresh_token).await);
    }
}

#[tokio::test]
async fn a_store_that_fails_is_503_and_says_nothing_of_the_token() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(START));
    let mut config = Config::default();
    config.store.path = directory.path().join("data");
    let inner = store::open(&config.store, START, Listeners::default())
        .await
        .unwrap();
    let store = Arc::new(BrokenStore::around(inner));
    config.password.bcrypt_cost = 4;
    let auth = Auth::new(
        &config,
        Parts::new(Arc::clone(&store) as _, Arc::clone(&clock) as _),
    )
    .await
    .unwrap();
    let server = Server::over(auth, Arc::clone(&store) as _, config, clock, directory);
    let service = server.service().await;
    let token = server.user("ada").await;

    // The caller is still known; what the token is worth can't be found out.
    store.accepts.store(1, Ordering::SeqCst);
    let answer = server.introspect(&service, &token).await;
    answer.assert_problem(StatusCode::SERVICE_UNAVAILABLE, "storage_unavailable");
    store.accepts.store(u32::MAX, Ordering::SeqCst);
    active(&server.introspect(&service, &token).await);

    store.ends_sessions.store(false, Ordering::SeqCst);
    let answer = server.post_form("/revoke", None, &[("token", &token)]).await;
    answer.assert_problem(StatusCode::SERVICE_UNAVAILABLE, "storage_unavailable");
    active(&server.introspect(&service, &token).await);
}

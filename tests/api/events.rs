//! What the listeners are told: each thing that happens is one event, and a request that changes nothing is none.

use std::{sync::Arc, time::Duration};

use jwt_server::{
    Role,
    auth::KeyRotation,
    config::{Origin, Secret},
    domain::{ClientAddress, PasswordHash, RequestContext, Roles, SessionId, UserChange, UserId, Username},
    event::{Actor, Event, EventKind, SignInFailure, SignUpRefusal, ThrottleAxis},
};
use serde_json::json;
use warp::http::StatusCode;

use crate::server::{Answer, PASSWORD, Server, claims, request, seconds, spawn, spawn_with};

const HOME: &str = "192.0.2.1";
const OPERATOR: Actor = Actor::Operator { uid: None };

async fn id_of(server: &Server, username: &str) -> UserId {
    let name = Username::parse(username).unwrap();
    server.store.user_by_name(&name).await.unwrap().unwrap().id
}

fn session_of(token: &str) -> SessionId {
    SessionId::parse(claims(token)["sid"].as_str().unwrap()).unwrap()
}

/// The user, by the session of `token`.
fn by(user: UserId, token: &str) -> Actor {
    Actor::User {
        id: user,
        session: Some(session_of(token)),
        api_token: None,
    }
}

/// A server with the user ada, signed in; what came before is taken from the recorder.
async fn with_ada() -> (Server, UserId, String) {
    let server = spawn_with(|config| config.session.refresh_tokens = Some(Duration::from_hours(24))).await;
    let token = server.user("ada").await;
    let ada = id_of(&server, "ada").await;
    server.events.take();
    (server, ada, token)
}

#[track_caller]
fn assert_event(event: &Event, kind: &EventKind, subject: Option<UserId>, actor: Actor) {
    assert_eq!(
        (&event.kind, event.subject, event.actor),
        (kind, subject, actor),
        "{event:?}"
    );
}

async fn send(server: &Server, method: &str, path: &str, token: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    server
        .send(request(method, path).header("authorization", bearer))
        .await
}

async fn send_json(
    server: &Server,
    method: &str,
    path: &str,
    token: &str,
    body: &serde_json::Value,
) -> Answer {
    let bearer = format!("Bearer {token}");
    let request = request(method, path).header("authorization", bearer);
    server.send(request.json(body)).await
}

#[tokio::test]
async fn a_first_start_is_one_event_and_the_next_is_none() {
    let server = spawn().await;
    let event = server.events.take_one();
    assert!(
        matches!(event.kind, EventKind::SigningKeyCreated { .. }),
        "{event:?}"
    );
    assert_eq!((event.subject, event.actor), (None, Actor::Server));
    let server = server.restart().await;
    assert_eq!(server.events.take(), []);
}

#[tokio::test]
async fn a_sign_up_is_one_event_and_so_is_each_refusal() {
    let server = spawn().await;
    server.events.take();
    let address = ClientAddress::new(HOME.parse().unwrap());
    let body = json!({"username": "ada", "password": PASSWORD});
    let answer = server.post_from(HOME, "/signup", &body).await;
    answer.assert_status(StatusCode::CREATED);
    let ada = id_of(&server, "ada").await;
    let event = server.events.take_one();
    let roles = Roles::from_iter([Role::CLIENT]);
    assert_event(
        &event,
        &EventKind::UserCreated { roles },
        Some(ada),
        Actor::Anonymous,
    );
    assert_eq!(event.context.client.address, Some(address));

    for (name, password, reason) in [
        ("ada", PASSWORD, SignUpRefusal::UsernameTaken),
        ("barbara", "short", SignUpRefusal::PasswordRejected),
        ("barbara", "password", SignUpRefusal::PasswordRejected),
    ] {
        server.sign_up(name, password).await;
        let refused = EventKind::SignUpRefused { reason };
        assert_event(&server.events.take_one(), &refused, None, Actor::Anonymous);
    }

    let server = server.restart_with(|config| config.signup.enabled = false).await;
    server.sign_up("barbara", PASSWORD).await;
    let closed = EventKind::SignUpRefused {
        reason: SignUpRefusal::Closed,
    };
    assert_event(&server.events.take_one(), &closed, None, Actor::Anonymous);
}

#[tokio::test]
async fn a_sign_in_is_one_event_and_so_is_each_failure() {
    let (server, ada, _) = with_ada().await;
    let token = server.sign_in("ada", PASSWORD).await.token();
    let session = session_of(&token);
    let event = server.events.take_one();
    assert_event(
        &event,
        &EventKind::SignedIn { session },
        Some(ada),
        by(ada, &token),
    );

    for (name, password, reason, subject) in [
        ("ada", "wrong password", SignInFailure::WrongPassword, Some(ada)),
        ("nobody", PASSWORD, SignInFailure::NoSuchUser, None),
        ("not a name", PASSWORD, SignInFailure::Malformed, None),
        ("ada", "", SignInFailure::Malformed, Some(ada)),
    ] {
        server.sign_in(name, password).await;
        let failed = EventKind::SignInFailed { reason };
        assert_event(&server.events.take_one(), &failed, subject, Actor::Anonymous);
    }

    server.change("ada", UserChange::Disabled(true)).await;
    server.sign_in("ada", PASSWORD).await;
    let failed = EventKind::SignInFailed {
        reason: SignInFailure::AccountDisabled,
    };
    assert_event(&server.events.take_one(), &failed, Some(ada), Actor::Anonymous);
}

#[tokio::test]
async fn a_throttled_sign_in_is_one_event_and_no_failure() {
    let (server, ada, _) = with_ada().await;
    let mut kinds = Vec::new();
    while !matches!(kinds.as_slice(), [EventKind::Throttled { .. }]) {
        server.sign_in_from("203.0.113.9", "ada", "wrong password").await;
        kinds = server.events.take_kinds();
        assert_eq!(kinds.len(), 1, "{kinds:?}");
    }
    server.sign_in_from("203.0.113.9", "ada", "wrong password").await;
    let event = server.events.take_one();
    assert_eq!((event.subject, event.actor), (Some(ada), Actor::Anonymous));
    let EventKind::Throttled { axis, retry_after } = event.kind else {
        panic!("{event:?}")
    };
    assert_eq!(axis, ThrottleAxis::Account);
    assert!(retry_after > Duration::ZERO);
}

#[tokio::test]
async fn a_throttled_question_about_tokens_is_one_event() {
    let (server, ada, _) = with_ada().await;
    server.set_roles("ada", &["INTROSPECT"]).await;
    let server = server
        .restart_with(|config| {
            config.introspection.roles = vec![Role::parse("INTROSPECT").unwrap()];
        })
        .await;
    let token = server.sign_in("ada", PASSWORD).await.token();
    server.events.take();
    let mut events = Vec::new();
    while events.is_empty() {
        server
            .post_form("/introspect", Some(&token), &[("token", "made-up")])
            .await;
        events = server.events.take();
    }
    assert_eq!(events.len(), 1);
    assert_eq!((events[0].subject, events[0].actor), (Some(ada), by(ada, &token)));
    assert!(matches!(
        events[0].kind,
        EventKind::Throttled {
            axis: ThrottleAxis::Caller,
            ..
        }
    ));
}

#[tokio::test]
async fn a_check_a_refresh_and_a_list_are_no_events() {
    let (server, _, token) = with_ada().await;
    for path in ["/me", "/welcome", "/refresh", "/me/sessions"] {
        server.get(path, &token).await.assert_status(StatusCode::OK);
    }
    for path in ["/me", "/welcome", "/refresh", "/logout"] {
        server.get(path, "no.such.token").await.assert_dead();
    }
    server.advance(seconds(290));
    assert!(server.refresh(&token).await.times().2, "a successor");
    server.auth.prune().await.unwrap();
    assert_eq!(server.events.take(), []);
}

#[tokio::test]
async fn a_spent_refresh_token_is_one_event() {
    let (server, ada, _) = with_ada().await;
    let answer = server.sign_in("ada", PASSWORD).await;
    let session = session_of(&answer.token());
    let refresh_token = answer.json()["refresh_token"].clone();
    let spend = async || {
        let body = json!({"refresh_token": refresh_token});
        server.post("/refresh", &body).await
    };
    server.events.take();
    spend().await.token();
    assert_eq!(server.events.take(), []);
    server.advance(seconds(11));
    for _ in 0..2 {
        spend().await.assert_dead();
    }
    let reused = EventKind::RefreshTokenReused { session };
    assert_event(&server.events.take_one(), &reused, Some(ada), Actor::Anonymous);
}

#[tokio::test]
async fn the_end_of_a_session_is_one_event() {
    let (server, ada, token) = with_ada().await;
    let session = session_of(&token);
    server.log_out(&token).await.assert_status(StatusCode::NO_CONTENT);
    server.log_out(&token).await.assert_dead();
    let logged_out = EventKind::LoggedOut { session };
    assert_event(&server.events.take_one(), &logged_out, Some(ada), by(ada, &token));

    let answer = server.sign_in("ada", PASSWORD).await;
    let (token, refresh_token) = (answer.token(), answer.json()["refresh_token"].clone());
    let other = server.sign_in("ada", PASSWORD).await.token();
    server.events.take();
    for token in [&token, refresh_token.as_str().unwrap()] {
        server.post_form("/revoke", None, &[("token", token)]).await;
    }
    let session = session_of(&token);
    let logged_out = EventKind::LoggedOut { session };
    assert_event(&server.events.take_one(), &logged_out, Some(ada), by(ada, &token));

    let asks = server.sign_in("ada", PASSWORD).await.token();
    server.events.take();
    let session = session_of(&other);
    let path = format!("/me/sessions/{session}");
    for expected in [StatusCode::NO_CONTENT, StatusCode::NOT_FOUND] {
        send(&server, "DELETE", &path, &asks)
            .await
            .assert_status(expected);
    }
    let ended = EventKind::SessionEnded { session };
    assert_event(&server.events.take_one(), &ended, Some(ada), by(ada, &asks));

    for _ in 0..2 {
        server.sign_in("ada", PASSWORD).await.token();
    }
    server.events.take();
    for _ in 0..2 {
        send(&server, "DELETE", "/me/sessions", &asks)
            .await
            .assert_status(StatusCode::NO_CONTENT);
    }
    let ended = EventKind::SessionsEnded { count: 2 };
    assert_event(&server.events.take_one(), &ended, Some(ada), by(ada, &asks));
}

#[tokio::test]
async fn a_change_of_an_account_is_one_event() {
    let (server, ada, token) = with_ada().await;
    let body = json!({"display_name": "Ada"});
    let answer = send_json(&server, "PATCH", "/me", &token, &body).await;
    answer.assert_status(StatusCode::OK);
    let event = server.events.take_one();
    assert_event(&event, &EventKind::DisplayNameChanged, Some(ada), by(ada, &token));

    let new = "another horse battery";
    let body = json!({"current_password": PASSWORD, "new_password": new});
    let fresh = send_json(&server, "POST", "/me/password", &token, &body).await;
    let fresh = fresh.token();
    let session = session_of(&fresh);
    let event = server.events.take_one();
    assert_event(
        &event,
        &EventKind::PasswordChanged { session },
        Some(ada),
        by(ada, &token),
    );

    let body = json!({"current_password": new});
    send_json(&server, "DELETE", "/me", &fresh, &body).await;
    let event = server.events.take_one();
    assert_event(&event, &EventKind::UserDeleted, Some(ada), by(ada, &fresh));
}

#[tokio::test]
async fn a_wrong_current_password_is_one_event_of_its_own() {
    let (server, ada, token) = with_ada().await;
    for (method, path, body) in [
        (
            "POST",
            "/me/password",
            json!({"current_password": "a guess", "new_password": "another horse battery"}),
        ),
        ("DELETE", "/me", json!({"current_password": "a guess"})),
        ("DELETE", "/me", json!({"current_password": ""})),
    ] {
        let refused = send_json(&server, method, path, &token, &body).await;
        refused.assert_problem(StatusCode::FORBIDDEN, "wrong_password");
        let event = server.events.take_one();
        assert_event(
            &event,
            &EventKind::CurrentPasswordWrong,
            Some(ada),
            by(ada, &token),
        );
    }
    // One that the throttle refuses is no wrong password.
    let body = json!({"current_password": "a guess"});
    let mut kinds = Vec::new();
    while !matches!(kinds.as_slice(), [EventKind::Throttled { .. }]) {
        send_json(&server, "DELETE", "/me", &token, &body).await;
        kinds = server.events.take_kinds();
        assert_eq!(kinds.len(), 1, "{kinds:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_log_outs_at_once_one_is_an_event() {
    let (server, ada, _) = with_ada().await;
    let server = Arc::new(server);
    for _ in 0..10 {
        let token = server.sign_in("ada", PASSWORD).await.token();
        server.events.take();
        let tasks: Vec<_> = (0..6)
            .map(|n| {
                let (server, token) = (Arc::clone(&server), token.clone());
                tokio::spawn(async move {
                    if n % 2 == 0 {
                        server.log_out(&token).await;
                    } else {
                        server.post_form("/revoke", None, &[("token", &token)]).await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let session = session_of(&token);
        let logged_out = EventKind::LoggedOut { session };
        assert_event(&server.events.take_one(), &logged_out, Some(ada), by(ada, &token));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_that_the_full_queue_refuses_is_one_event() {
    let server = spawn_with(|config| {
        config.password.hash_threads = 1;
        config.password.hash_queue = 1;
        config.password.bcrypt_cost = 8;
    })
    .await;
    server.user("ada").await;
    let ada = id_of(&server, "ada").await;
    let server = Arc::new(server);
    server.events.take();
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let server = Arc::clone(&server);
            tokio::spawn(async move { server.sign_in("ada", PASSWORD).await.status })
        })
        .collect();
    let mut busy = 0;
    for task in tasks {
        busy += usize::from(task.await.unwrap() == StatusCode::SERVICE_UNAVAILABLE);
    }
    assert!(busy > 0);
    let refused = EventKind::SignInFailed {
        reason: SignInFailure::Busy,
    };
    let events = server.events.take();
    assert_eq!(events.len(), 8);
    let of_it: Vec<_> = events.iter().filter(|event| event.kind == refused).collect();
    assert_eq!(of_it.len(), busy);
    for event in of_it {
        assert_event(event, &refused, Some(ada), Actor::Anonymous);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_whose_user_changes_meanwhile_is_one_event() {
    let server = spawn_with(|config| {
        config.password.hash_threads = 1;
        config.password.bcrypt_cost = 10;
    })
    .await;
    let server = Arc::new(server);
    let [meanwhile, before] = [SignInFailure::ChangedMeanwhile, SignInFailure::WrongPassword]
        .map(|reason| EventKind::SignInFailed { reason });
    for n in 0..20 {
        let name = format!("ada{n}");
        server
            .sign_up(&name, PASSWORD)
            .await
            .assert_status(StatusCode::CREATED);
        let ada = id_of(&server, &name).await;
        server.events.take();
        let signing_in = {
            let (server, name) = (Arc::clone(&server), name.clone());
            tokio::spawn(async move { server.sign_in(&name, PASSWORD).await })
        };
        // As a rule, the user has been read by then, and the password is being verified.
        tokio::time::sleep(Duration::from_millis(10)).await;
        let other = PasswordHash::parse(&format!("$2b$04${}", "a".repeat(53))).unwrap();
        server.change(&name, UserChange::Password(other)).await;
        crate::sign_in::assert_wrong(&signing_in.await.unwrap());
        let event = server.events.take_one();
        assert_eq!((event.subject, event.actor), (Some(ada), Actor::Anonymous));
        if event.kind == meanwhile {
            return;
        }
        assert_eq!(event.kind, before, "the sign-in came after the change");
    }
    panic!("no password changed while it was being verified");
}

#[tokio::test]
async fn an_address_that_is_throttled_is_one_event() {
    let (server, ..) = with_ada().await;
    for n in 0..100 {
        let name = format!("user{n}");
        server.sign_in_from("203.0.113.9", &name, "wrong password").await;
    }
    server.events.take();
    server.sign_in_from("203.0.113.9", "barbara", "a guess").await;
    let event = server.events.take_one();
    assert_eq!((event.subject, event.actor), (None, Actor::Anonymous));
    let EventKind::Throttled { axis, retry_after } = event.kind else {
        panic!("{event:?}")
    };
    assert_eq!((axis, retry_after), (ThrottleAxis::Address, seconds(10)));
}

#[tokio::test]
async fn another_signing_key_from_the_settings_is_one_event() {
    let (server, ..) = with_ada().await;
    let secret = |byte: u8| {
        Some(Secret {
            bytes: vec![byte; 32].into(),
            origin: Origin::Default,
        })
    };
    let server = server
        .restart_with(|config| config.token.secret = secret(7))
        .await;
    server.events.take();
    let server = server
        .restart_with(|config| config.token.secret = secret(7))
        .await;
    assert_eq!(server.events.take(), []);
    let server = server
        .restart_with(|config| config.token.secret = secret(8))
        .await;
    let events = server.events.take();
    let replaced: Vec<_> = events
        .iter()
        .filter(|event| matches!(event.kind, EventKind::SigningKeyReplaced { .. }))
        .collect();
    let [event] = replaced[..] else {
        panic!("{events:?}")
    };
    assert_eq!((event.subject, event.actor), (None, Actor::Server));
}

#[tokio::test]
async fn a_change_by_the_operator_is_one_event() {
    let (server, ada, token) = with_ada().await;
    // Another administrator stays.
    server.set_roles("ada", &["CLIENT"]).await;
    let (accounts, context) = (server.auth.accounts(), RequestContext::default());
    let roles = Roles::from_iter([Role::ADMIN]);
    let changed = accounts.set_roles(ada, roles.clone(), OPERATOR, &context).await;
    assert_eq!(changed.unwrap().unwrap().roles, roles.clone().into());
    let changed = EventKind::RolesChanged { roles };
    assert_event(&server.events.take_one(), &changed, Some(ada), OPERATOR);
    server.welcome(&token).await.assert_welcome("ada", "ADMIN");

    for (disabled, kind) in [(true, EventKind::UserDisabled), (false, EventKind::UserEnabled)] {
        let changed = accounts.set_disabled(ada, disabled, OPERATOR, &context).await;
        assert_eq!(changed.unwrap().unwrap().disabled, disabled);
        assert_event(&server.events.take_one(), &kind, Some(ada), OPERATOR);
        server.welcome(&token).await.assert_dead();
    }

    let unknown = UserId::generate(crate::server::START);
    let changed = accounts.set_disabled(unknown, true, OPERATOR, &context).await;
    assert!(changed.unwrap().is_none());
    assert_eq!(server.events.take(), []);
}

#[tokio::test]
async fn an_api_token_made_or_revoked_is_one_event() {
    let (server, ada, token) = with_ada().await;
    let create = async || {
        let body = json!({"name": "backup", "roles": ["CLIENT"], "expires_in": 3600});
        let answer = server.post_with_token("/me/tokens", &token, &body).await;
        answer.assert_status(StatusCode::CREATED);
        let answer = answer.json();
        let event = server.events.take_one();
        let EventKind::ApiTokenCreated { api_token } = event.kind else {
            panic!("{event:?}")
        };
        assert_eq!((event.subject, event.actor), (Some(ada), by(ada, &token)));
        assert_eq!(answer["id"], api_token.to_string());
        (api_token, answer["token"].as_str().unwrap().to_owned())
    };
    let (api_token, _) = create().await;
    let path = format!("/me/sessions/{api_token}");
    for _ in 0..2 {
        send(&server, "DELETE", &path, &token).await;
    }
    let revoked = EventKind::ApiTokenRevoked { api_token };
    assert_event(&server.events.take_one(), &revoked, Some(ada), by(ada, &token));

    let (api_token, text) = create().await;
    for _ in 0..2 {
        server.post_form("/revoke", None, &[("token", &text)]).await;
    }
    let revoked = EventKind::ApiTokenRevoked { api_token };
    let itself = Actor::User {
        id: ada,
        session: None,
        api_token: Some(api_token),
    };
    assert_event(&server.events.take_one(), &revoked, Some(ada), itself);
}

#[tokio::test]
async fn a_change_of_the_keys_is_one_event() {
    let (server, ..) = with_ada().await;
    let context = RequestContext::default();
    let rotate = async |rotation| {
        let accounts = server.without_a_server();
        let rotated = accounts.rotate_keys(rotation, OPERATOR, &context).await.unwrap();
        rotated.keys.newest().unwrap().id.clone()
    };
    let kid = rotate(KeyRotation::Ahead).await;
    let rotated = EventKind::SigningKeyRotated { kid };
    assert_event(&server.events.take_one(), &rotated, None, OPERATOR);

    let kid = rotate(KeyRotation::Revoke { api_tokens: false }).await;
    let ended = EventKind::SessionsEnded { count: 1 };
    let revoked = EventKind::SigningKeyRevoked { kid };
    assert_eq!(server.events.take_kinds(), [ended, revoked]);
}

#[tokio::test]
async fn a_key_that_is_due_is_one_event_of_the_server() {
    let server = spawn_with(|config| {
        config.token.rotate_every = Some(Duration::from_hours(24 * 30));
    })
    .await;
    server.events.take();
    server.auth.tend_keys().await.unwrap();
    assert_eq!(server.events.take(), []);
    server.advance(Duration::from_hours(24 * 30));
    for _ in 0..2 {
        server.auth.tend_keys().await.unwrap();
    }
    let event = server.events.take_one();
    assert_eq!(event.actor, Actor::Server);
    assert!(matches!(event.kind, EventKind::SigningKeyRotated { .. }));
}

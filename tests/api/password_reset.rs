//! `POST /password-reset`: a forgotten password, and a temporary one that must be changed.

use std::time::Duration;

use jwt_server::{
    auth::{IssuedResetCode, SetPassword},
    domain::{CodeLifetime, Password, RequestContext, UserChange, Username},
    event::{Actor, EventKind, SignInFailure},
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use warp::http::StatusCode;

use crate::server::{Answer, PASSWORD, Server, seconds, spawn};

const OPERATOR: Actor = Actor::Operator { uid: None };
const NEW: &str = "another horse battery";
const TEMPORARY: &str = "temporary horse staple";
const HOME: &str = "192.0.2.1";

impl Server {
    /// Makes a reset code for an hour.
    async fn reset_code(&self, username: &str) -> String {
        let name = Username::parse(username).unwrap();
        let id = self.store.user_by_name(&name).await.unwrap().unwrap().id;
        let lifetime = CodeLifetime::within(Duration::from_hours(1), CodeLifetime::LONGEST_RESET).unwrap();
        let (accounts, context) = (self.auth.accounts(), RequestContext::default());
        let made = accounts.make_reset_code(id, lifetime, OPERATOR, &context).await;
        let IssuedResetCode { text, .. } = made.unwrap().unwrap();
        text.expose_secret().to_owned()
    }

    async fn reset(&self, code: &str, password: &str) -> Answer {
        let body = json!({"token": code, "password": password});
        self.post_from(HOME, "/password-reset", &body).await
    }

    /// Gives the user a temporary password, as an administrator does.
    async fn give_temporary(&self, username: &str) {
        let name = Username::parse(username).unwrap();
        let user = self.store.user_by_name(&name).await.unwrap().unwrap();
        let password = SetPassword {
            password: Password::parse(TEMPORARY.into()).unwrap(),
            must_change: true,
            keeps_api_tokens: false,
        };
        let (accounts, context) = (self.auth.accounts(), RequestContext::default());
        let set = accounts.set_password(&user, password, OPERATOR, &context).await;
        assert!(set.unwrap().unwrap().must_change_password);
    }
}

/// The reset token of the answer to a right password that must be changed.
#[track_caller]
fn reset_token(answer: &Answer) -> String {
    let problem = answer.assert_problem(StatusCode::FORBIDDEN, "password_change_required");
    assert_eq!(problem["expires_in"], 900);
    problem["reset_token"].as_str().unwrap().to_owned()
}

async fn api_token(server: &Server, token: &str) -> String {
    let wanted = json!({"name": "script", "roles": ["CLIENT"], "expires_in": 86_400});
    let made = server.post_with_token("/me/tokens", token, &wanted).await;
    made.json()["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_reset_code_gives_a_password_and_ends_all_else() {
    let server = spawn().await;
    let token = server.user("ada").await;
    let api_token = api_token(&server, &token).await;
    server.events.take();
    let code = server.reset_code("ada").await;
    assert!(code.starts_with("jwp_"));
    let made = server.events.take_one();
    assert_eq!((made.kind, made.actor), (EventKind::ResetCodeMade, OPERATOR));
    server.welcome(&token).await.assert_welcome("ada", "CLIENT");
    server.sign_in("ada", PASSWORD).await.token();
    server.events.take();

    let answer = server.reset(&code, NEW).await;
    let new = answer.token();
    assert!(answer.json()["device_token"].is_string(), "{}", answer.text());
    let event = server.events.take_one();
    assert!(matches!(event.kind, EventKind::PasswordReset { .. }));
    assert_eq!(event.subject, made.subject);
    server.welcome(&new).await.assert_welcome("ada", "CLIENT");
    server.welcome(&token).await.assert_dead();
    server.welcome(&api_token).await.assert_dead();
    let old = server.sign_in("ada", PASSWORD).await;
    old.assert_problem(StatusCode::UNAUTHORIZED, "invalid_credentials");
    server.sign_in("ada", NEW).await.token();
    let again = server.reset(&code, "a third horse battery").await;
    again.assert_problem(StatusCode::FORBIDDEN, "invalid_reset_token");
    server.assert_has_no_file_with(code.as_bytes());
}

#[tokio::test]
async fn a_bad_reset_code_is_one_answer_whatever_is_wrong() {
    let server = spawn().await;
    for name in ["ada", "barbara", "deleted", "disabled", "changed"] {
        server.user(name).await;
    }
    let expired = server.reset_code("barbara").await;
    server.advance(seconds(3600));
    let (replaced, kept) = (server.reset_code("ada").await, server.reset_code("ada").await);
    let (deleted, disabled, changed) = (
        server.reset_code("deleted").await,
        server.reset_code("disabled").await,
        server.reset_code("changed").await,
    );
    server.change("disabled", UserChange::Disabled(true)).await;
    server.change("disabled", UserChange::Disabled(false)).await;
    let hash = server.password_hash("ada").await;
    server.change("changed", UserChange::Password(hash)).await;
    let name = Username::parse("deleted").unwrap();
    let user = server.store.user_by_name(&name).await.unwrap().unwrap();
    let _ = server.store.delete_user(user.id, None).await.unwrap();
    server.events.take();
    let mut answers = Vec::new();
    for bad in [
        &expired,
        &replaced,
        &deleted,
        &disabled,
        &changed,
        "",
        "jwp_x",
        &kept[..52],
        &kept.replacen("jwp_", "jwi_", 1),
    ] {
        let answer = server.reset(bad, NEW).await;
        answers.push(answer.assert_problem(StatusCode::FORBIDDEN, "invalid_reset_token"));
        assert_eq!(server.events.take_one().kind, EventKind::ResetCodeRefused);
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    server.reset(&kept, NEW).await.token();
}

#[tokio::test]
async fn a_password_that_is_refused_leaves_the_reset_code() {
    let server = spawn().await;
    server.user("ada").await;
    let code = server.reset_code("ada").await;
    for (body, fields) in [
        (json!({}), &[("token", "required"), ("password", "required")][..]),
        (
            json!({"token": 7, "password": PASSWORD, "username": "ada"}),
            &[("token", "wrong_type"), ("username", "unknown")],
        ),
        (
            json!({"token": code, "password": ""}),
            &[("password", "too_short")],
        ),
        (
            json!({"token": code, "password": "short"}),
            &[("password", "too_short")],
        ),
        (
            json!({"token": code, "password": "password"}),
            &[("password", "too_weak")],
        ),
        (
            json!({"token": code, "password": "x".repeat(72)}),
            &[("password", "too_long")],
        ),
    ] {
        let answer = server.post("/password-reset", &body).await;
        answer.assert_fields(fields);
    }
    // The forgotten password may be chosen again.
    server.reset(&code, PASSWORD).await.token();
}

#[tokio::test]
async fn of_resets_at_once_by_one_code_one_succeeds() {
    let server = spawn().await;
    server.user("ada").await;
    let code = server.reset_code("ada").await;
    let passwords: Vec<_> = (0..6).map(|n| format!("a horse battery number {n}")).collect();
    let uses = passwords.iter().map(|password| server.reset(&code, password));
    let answers = futures_util::future::join_all(uses).await;
    let mut winner = None;
    for (answer, password) in answers.iter().zip(&passwords) {
        if answer.status == StatusCode::OK {
            assert_eq!(winner.replace((answer.token(), password)), None);
        } else {
            answer.assert_problem(StatusCode::FORBIDDEN, "invalid_reset_token");
        }
    }
    let (token, password) = winner.unwrap();
    server.welcome(&token).await.assert_welcome("ada", "CLIENT");
    server.sign_in("ada", password).await.token();
}

#[tokio::test]
async fn a_disabled_user_gets_no_reset_code() {
    let server = spawn().await;
    server.user("ada").await;
    server.change("ada", UserChange::Disabled(true)).await;
    let name = Username::parse("ada").unwrap();
    let id = server.store.user_by_name(&name).await.unwrap().unwrap().id;
    let (accounts, context) = (server.auth.accounts(), RequestContext::default());
    let lifetime = CodeLifetime::LONGEST_RESET;
    let refused = accounts.make_reset_code(id, lifetime, OPERATOR, &context).await;
    assert_eq!(refused.err().unwrap().to_string(), "the user is disabled");
}

#[tokio::test]
async fn a_temporary_password_is_good_for_its_change_alone() {
    let server = spawn().await;
    let before = server.user("ada").await;
    server.give_temporary("ada").await;
    server.welcome(&before).await.assert_dead();
    server.refresh(&before).await.assert_dead();
    let wrong = server.sign_in("ada", PASSWORD).await;
    wrong.assert_problem(StatusCode::UNAUTHORIZED, "invalid_credentials");
    server.events.take();
    let answer = server.sign_in("ada", TEMPORARY).await;
    let code = reset_token(&answer);
    let refused = EventKind::SignInFailed {
        reason: SignInFailure::PasswordChangeRequired,
    };
    assert_eq!(server.events.take_one().kind, refused);
    let name = Username::parse("ada").unwrap();
    let id = server.store.user_by_name(&name).await.unwrap().unwrap().id;
    let sessions = server.store.sessions(id, crate::server::START).await.unwrap();
    assert_eq!(sessions, [], "it opens no session");

    // It is no credential anywhere.
    for path in ["/me", "/welcome", "/refresh", "/logout", "/me/sessions"] {
        server.get(path, &code).await.assert_dead();
    }
    let form = [("token", code.as_str())];
    let revoked = server.post_form("/revoke", None, &form).await;
    revoked.assert_status(StatusCode::OK);
    let confirm = json!({"password": TEMPORARY});
    let answer = server.post_with_token("/me/confirm", &code, &confirm).await;
    answer.assert_dead();
    let body = json!({"username": "eve", "password": PASSWORD, "invitation": code});
    let answer = server.post("/signup", &body).await;
    answer.assert_problem(StatusCode::FORBIDDEN, "invalid_invitation");

    let same = server.reset(&code, TEMPORARY).await;
    same.assert_fields(&[("password", "unchanged")]);
    let token = server.reset(&code, NEW).await.token();
    server.welcome(&token).await.assert_welcome("ada", "CLIENT");
    server.sign_in("ada", NEW).await.token();
    let old = server.sign_in("ada", TEMPORARY).await;
    old.assert_problem(StatusCode::UNAUTHORIZED, "invalid_credentials");
}

#[tokio::test]
async fn the_token_of_a_temporary_password_lasts_15_minutes() {
    let server = spawn().await;
    server.user("ada").await;
    server.give_temporary("ada").await;
    let first = reset_token(&server.sign_in("ada", TEMPORARY).await);
    server.advance(seconds(899));
    let second = reset_token(&server.sign_in("ada", TEMPORARY).await);
    let refused = server.reset(&first, NEW).await;
    refused.assert_problem(StatusCode::FORBIDDEN, "invalid_reset_token");
    server.advance(seconds(900));
    let refused = server.reset(&second, NEW).await;
    refused.assert_problem(StatusCode::FORBIDDEN, "invalid_reset_token");
    let third = reset_token(&server.sign_in("ada", TEMPORARY).await);
    server.advance(seconds(899));
    // Another temporary password ends the token of the first one.
    let fourth = reset_token(&server.sign_in("ada", TEMPORARY).await);
    server.give_temporary("ada").await;
    for token in [third, fourth] {
        let refused = server.reset(&token, NEW).await;
        refused.assert_problem(StatusCode::FORBIDDEN, "invalid_reset_token");
    }
    let fifth = reset_token(&server.sign_in("ada", TEMPORARY).await);
    server.reset(&fifth, NEW).await.token();
}

#[tokio::test]
async fn a_disabled_user_with_a_temporary_password_is_disabled() {
    let server = spawn().await;
    server.user("ada").await;
    server.give_temporary("ada").await;
    server.change("ada", UserChange::Disabled(true)).await;
    let answer = server.sign_in("ada", TEMPORARY).await;
    let problem: Value = answer.assert_problem(StatusCode::FORBIDDEN, "account_disabled");
    assert_eq!(problem.get("reset_token"), None);
}

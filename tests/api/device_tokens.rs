//! Device tokens: a client that has signed in before is known again, whatever happens in its network.

use jwt_server::domain::ClientAddress;
use serde_json::{Value, json};
use warp::http::StatusCode;

use crate::{
    server::{Answer, PASSWORD, Server, request, seconds, spawn, spawn_with},
    sign_in::assert_wrong,
};

const HOME: &str = "192.0.2.1";
const DAY: u64 = 24 * 3600;
const NEW: &str = "another horse battery";

async fn sign_in_with(server: &Server, name: &str, password: &str, device: &Value) -> Answer {
    let body = json!({"username": name, "password": password, "device_token": device});
    server.post_from(HOME, "/signin", &body).await
}

/// The device token of a token answer.
#[track_caller]
fn device_of(answer: &Answer) -> Value {
    answer.token();
    let device = answer.json()["device_token"].clone();
    assert!(
        device.as_str().is_some_and(|text| text.starts_with("jwd_")),
        "{device}"
    );
    device
}

/// A server with the user ada, and her device token.
async fn with_ada() -> (Server, Value) {
    let server = spawn().await;
    server
        .sign_up("ada", PASSWORD)
        .await
        .assert_status(StatusCode::CREATED);
    let device = device_of(&server.sign_in_from(HOME, "ada", PASSWORD).await);
    (server, device)
}

/// Guesses from [`HOME`] until no guess is admitted.
async fn spend_the_network(server: &Server) {
    for _ in 0..300 {
        let answer = server.sign_in_from(HOME, "ada", "a guess").await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            return;
        }
    }
    panic!("never throttled");
}

async fn assert_shut_out(server: &Server, device: &Value) {
    let answer = sign_in_with(server, "ada", PASSWORD, device).await;
    answer.assert_problem(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts");
}

#[tokio::test]
async fn its_owner_gets_in_while_their_network_is_used_to_guess() {
    let (server, device) = with_ada().await;
    spend_the_network(&server).await;
    assert_shut_out(&server, &Value::Null).await;
    for _ in 0..30 {
        let answer = sign_in_with(&server, "ada", PASSWORD, &device).await;
        assert_eq!(device_of(&answer), device, "it stays the same");
        server.advance(seconds(1));
        spend_the_network(&server).await;
    }
    let server = {
        server.auth.keep_attempts().await.unwrap();
        server.restart().await
    };
    assert_shut_out(&server, &Value::Null).await;
    let answer = sign_in_with(&server, "ada", PASSWORD, &device).await;
    let token = answer.token();
    // So does what a signed-in user needs the password for.
    let body = json!({"current_password": PASSWORD, "new_password": NEW, "device_token": device});
    let changed = server
        .send(signed("POST", "/me/password", &token).json(&body))
        .await;
    let (token, fresh) = (changed.token(), device_of(&changed));
    assert_ne!(fresh, device);
    spend_the_network(&server).await;
    let body = json!({"current_password": NEW});
    let refused = server.send(signed("DELETE", "/me", &token).json(&body)).await;
    refused.assert_problem(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts");
    let body = json!({"current_password": NEW, "device_token": fresh});
    server
        .send(signed("DELETE", "/me", &token).json(&body))
        .await
        .assert_status(StatusCode::NO_CONTENT);
}

/// A request from [`HOME`] with a token.
fn signed(method: &str, path: &str, token: &str) -> warp::test::RequestBuilder {
    request(method, path)
        .header("authorization", format!("Bearer {token}"))
        .extension(ClientAddress::new(HOME.parse().unwrap()))
}

#[tokio::test]
async fn wrong_passwords_with_it_lock_out_only_itself() {
    let (server, device) = with_ada().await;
    let other = device_of(&server.sign_in_from(HOME, "ada", PASSWORD).await);
    // A slip is forgiven.
    for _ in 0..3 {
        for _ in 0..99 {
            assert_wrong(&sign_in_with(&server, "ada", "a slip", &device).await);
        }
        sign_in_with(&server, "ada", PASSWORD, &device).await.token();
    }
    for _ in 0..100 {
        assert_wrong(&sign_in_with(&server, "ada", "a guess", &device).await);
    }
    // It counts no more, and its failures were counted nowhere else.
    spend_the_network(&server).await;
    assert_shut_out(&server, &device).await;
    let answer = sign_in_with(&server, "ada", PASSWORD, &other).await;
    assert_eq!(device_of(&answer), other);
    server.auth.keep_attempts().await.unwrap();
    let server = server.restart().await;
    assert_shut_out(&server, &device).await;
    server.advance(seconds(DAY));
    let answer = sign_in_with(&server, "ada", PASSWORD, &device).await;
    assert_eq!(device_of(&answer), device, "a day later it counts again");
}

#[tokio::test]
async fn one_that_is_locked_out_is_replaced_at_a_sign_in() {
    let (server, device) = with_ada().await;
    for _ in 0..100 {
        assert_wrong(&sign_in_with(&server, "ada", "a guess", &device).await);
    }
    let fresh = device_of(&sign_in_with(&server, "ada", PASSWORD, &device).await);
    assert_ne!(fresh, device);
    spend_the_network(&server).await;
    let answer = sign_in_with(&server, "ada", PASSWORD, &fresh).await;
    assert_eq!(device_of(&answer), fresh);
}

#[tokio::test]
async fn it_is_worth_nothing_at_another_account() {
    let (server, device) = with_ada().await;
    let eves = {
        server
            .sign_up("eve", PASSWORD)
            .await
            .assert_status(StatusCode::CREATED);
        device_of(&server.sign_in_from(HOME, "eve", PASSWORD).await)
    };
    spend_the_network(&server).await;
    assert_shut_out(&server, &eves).await;
    // Nor was it counted: eve's own device is as it was.
    for _ in 0..200 {
        assert_shut_out(&server, &eves).await;
    }
    let answer = sign_in_with(&server, "eve", PASSWORD, &eves).await;
    assert_eq!(device_of(&answer), eves);
    sign_in_with(&server, "ada", PASSWORD, &device).await.token();
}

#[tokio::test]
async fn it_is_no_credential() {
    let (server, device) = with_ada().await;
    let device = device.as_str().unwrap();
    for path in ["/me", "/welcome", "/refresh", "/logout", "/me/sessions"] {
        server.get(path, device).await.assert_dead();
    }
    for body in [
        json!({"username": "ada", "device_token": device}),
        json!({"device_token": device}),
    ] {
        let answer = server.post("/signin", &body).await;
        answer.assert_status(StatusCode::UNPROCESSABLE_ENTITY);
    }
    assert_wrong(&sign_in_with(&server, "ada", device, &json!(device)).await);
    server.post_form("/revoke", None, &[("token", device)]).await;
    let answer = sign_in_with(&server, "ada", PASSWORD, &json!(device)).await;
    assert_eq!(device_of(&answer), device, "/revoke does not end it either");
}

#[tokio::test]
async fn a_wrong_one_tells_nothing_of_a_user() {
    let (server, device) = with_ada().await;
    let foreign = device_of(&{
        let (elsewhere, _) = with_ada().await;
        elsewhere.sign_in_from(HOME, "ada", PASSWORD).await
    });
    let changed = {
        let text = device.as_str().unwrap();
        let last = if text.ends_with('A') { "Q" } else { "A" };
        json!(format!("{}{last}", &text[..text.len() - 1]))
    };
    // From a network that is known to no user, so that nothing else tells of one.
    let mut told = Vec::new();
    for name in ["ada", "nobody"] {
        let mut answers = Vec::new();
        for device in [
            &foreign,
            &changed,
            &json!(""),
            &json!("jwd_"),
            &json!("ж"),
            &Value::Null,
        ] {
            for _ in 0..6 {
                let body = json!({"username": name, "password": "a guess", "device_token": device});
                let answer = server.post_from("203.0.113.9", "/signin", &body).await;
                answers.push((answer.status, answer.text()));
            }
        }
        told.push(answers);
    }
    assert_eq!(told[0], told[1]);
    assert_eq!(told[0][0].0, StatusCode::UNAUTHORIZED);
    assert_eq!(told[0][35].0, StatusCode::TOO_MANY_REQUESTS);
    for wrong in [json!(7), json!(["jwd_"]), json!({"text": device})] {
        let answer = sign_in_with(&server, "ada", PASSWORD, &wrong).await;
        answer.assert_fields(&[("device_token", "wrong_type")]);
    }
}

#[tokio::test]
async fn a_new_password_ends_every_one_but_its_own() {
    let (server, device) = with_ada().await;
    let thief = device_of(&server.sign_in_from(HOME, "ada", PASSWORD).await);
    let token = sign_in_with(&server, "ada", PASSWORD, &device).await.token();
    let body = json!({"current_password": PASSWORD, "new_password": NEW});
    let changed = server
        .send(signed("POST", "/me/password", &token).json(&body))
        .await;
    let fresh = device_of(&changed);
    let server = server.restart().await;
    spend_the_network(&server).await;
    for ended in [&device, &thief] {
        let answer = sign_in_with(&server, "ada", NEW, ended).await;
        answer.assert_problem(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts");
    }
    assert_eq!(device_of(&sign_in_with(&server, "ada", NEW, &fresh).await), fresh);
}

#[tokio::test]
async fn the_end_of_the_other_sessions_ends_their_device_tokens() {
    let (server, device) = with_ada().await;
    let thief = device_of(&server.sign_in_from(HOME, "ada", PASSWORD).await);
    let token = sign_in_with(&server, "ada", PASSWORD, &device).await.token();
    server
        .send(signed("DELETE", "/me/sessions", &token))
        .await
        .assert_status(StatusCode::NO_CONTENT);
    spend_the_network(&server).await;
    assert_shut_out(&server, &thief).await;
    let answer = sign_in_with(&server, "ada", PASSWORD, &device).await;
    assert_eq!(device_of(&answer), device);
    server
        .send(signed("DELETE", "/me/sessions?all=true", &answer.token()))
        .await
        .assert_status(StatusCode::NO_CONTENT);
    spend_the_network(&server).await;
    assert_shut_out(&server, &device).await;
}

#[tokio::test]
async fn one_that_is_long_unused_is_worth_nothing() {
    let (server, device) = with_ada().await;
    let unused = device_of(&server.sign_in_from(HOME, "ada", PASSWORD).await);
    server.advance(seconds(60 * DAY));
    sign_in_with(&server, "ada", PASSWORD, &device).await.token();
    server.advance(seconds(31 * DAY));
    spend_the_network(&server).await;
    assert_shut_out(&server, &unused).await;
    sign_in_with(&server, "ada", PASSWORD, &device).await.token();
}

#[tokio::test]
async fn a_client_that_wants_text_is_given_none_and_may_present_one() {
    let (server, device) = with_ada().await;
    let as_text = async |device: &Value| {
        let body = json!({"username": "ada", "password": PASSWORD, "device_token": device});
        let request = request("POST", "/signin").header("accept", "text/plain");
        let request = request.extension(ClientAddress::new(HOME.parse().unwrap()));
        server.send(request.json(&body)).await
    };
    spend_the_network(&server).await;
    as_text(&Value::Null)
        .await
        .assert_status(StatusCode::TOO_MANY_REQUESTS);
    let answer = as_text(&device).await;
    answer.assert_status(StatusCode::OK);
    assert_eq!(answer.text().split('.').count(), 3, "the token alone");
}

#[tokio::test]
async fn only_a_sign_in_and_a_new_password_give_one() {
    let server = spawn_with(|config| config.session.refresh_tokens = Some(seconds(DAY))).await;
    let signed_up = server.sign_up("ada", PASSWORD).await;
    assert_eq!(signed_up.json().get("device_token"), None);
    let signed_in = server.sign_in("ada", PASSWORD).await;
    device_of(&signed_in);
    let refreshed = server.refresh(&signed_in.token()).await;
    assert_eq!(refreshed.json().get("device_token"), None);
    let body = json!({"refresh_token": signed_in.json()["refresh_token"]});
    let refreshed = server.post("/refresh", &body).await;
    assert_eq!(refreshed.json().get("device_token"), None);
}

#[tokio::test]
async fn the_database_has_only_their_hashes() {
    let (server, device) = with_ada().await;
    // After a restart, so that all of it is in the files.
    let server = server.restart().await;
    server.assert_has_no_file_with(&device.as_str().unwrap().as_bytes()[4..47]);
    assert_eq!(
        device_of(&sign_in_with(&server, "ada", PASSWORD, &device).await),
        device
    );
}

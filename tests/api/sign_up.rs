//! `POST /signup`.

use jwt_server::domain::{Role, Roles};
use serde_json::json;
use warp::http::StatusCode;

use crate::server::{PASSWORD, request, seconds, spawn, spawn_with};

#[tokio::test]
async fn a_sign_up_answers_with_the_new_user_and_no_secret() {
    let server = spawn().await;
    let answer = server.sign_up(" Ada ", PASSWORD).await;
    answer.assert_status(StatusCode::CREATED);
    let user = answer.json();
    assert_eq!(user["username"], "ada");
    assert_eq!(user["roles"], json!(["CLIENT"]));
    assert_eq!(user["created_at"], "2027-01-15T08:00:00Z");
    assert_eq!(user["id"].as_str().unwrap().len(), 36);
    assert_eq!(user.as_object().unwrap().len(), 4, "{user}");
}

#[tokio::test]
async fn a_taken_username_is_a_conflict_however_it_is_written() {
    let server = spawn().await;
    server
        .sign_up("ada", PASSWORD)
        .await
        .assert_status(StatusCode::CREATED);
    for name in ["ada", "ADA", " ada\n"] {
        let answer = server.sign_up(name, "another good password").await;
        answer.assert_problem(StatusCode::CONFLICT, "username_taken");
    }
    server.sign_in("ada", PASSWORD).await.token();
}

#[tokio::test]
async fn every_field_that_is_wrong_is_named_at_once() {
    let server = spawn().await;
    let long = "x".repeat(72);
    for (body, fields) in [
        (
            json!({}),
            &[("username", "required"), ("password", "required")][..],
        ),
        (json!({"username": "ada"}), &[("password", "required")]),
        (
            json!({"username": 7, "password": null}),
            &[("username", "wrong_type"), ("password", "wrong_type")],
        ),
        (
            json!({"username": ["ada"], "password": {"a": 1}}),
            &[("username", "wrong_type"), ("password", "wrong_type")],
        ),
        (
            json!({"username": "a", "password": ""}),
            &[("username", "too_short"), ("password", "too_short")],
        ),
        (
            json!({"username": "a".repeat(65), "password": long}),
            &[("username", "too_long"), ("password", "too_long")],
        ),
        (
            json!({"username": "_ada", "password": "a\0bcdefgh"}),
            &[("username", "bad_character"), ("password", "bad_character")],
        ),
        (
            json!({"username": "admin:x:ADMIN", "password": PASSWORD}),
            &[("username", "bad_character")],
        ),
        (
            json!({"username": "ada\nroot", "password": PASSWORD}),
            &[("username", "bad_character")],
        ),
        (
            json!({"username": "ada", "password": PASSWORD, "roles": ["ADMIN"]}),
            &[("roles", "unknown")],
        ),
        (
            json!({"username": "ada", "password": PASSWORD, "Username": "eve"}),
            &[("Username", "unknown")],
        ),
        (
            json!({"username": "ada", "password": "short"}),
            &[("password", "too_short")],
        ),
        (
            json!({"username": "ada", "password": "password"}),
            &[("password", "too_weak")],
        ),
    ] {
        server.post("/signup", &body).await.assert_fields(fields);
    }
    assert_eq!(server.auth.count().await.unwrap().users, 0);
}

#[tokio::test]
async fn passwords_of_8_characters_and_of_71_bytes_are_good() {
    let server = spawn().await;
    let longest = "correct horse battery staple, ".repeat(3)[..71].to_owned();
    for (name, password) in [
        ("short", "xK9#mq2!"),
        ("long", longest.as_str()),
        ("unicode", "пароль-длинный-ñ-🔑"),
    ] {
        server
            .sign_up(name, password)
            .await
            .assert_status(StatusCode::CREATED);
        server.sign_in(name, password).await.token();
        let cut: String = password.chars().take(password.chars().count() - 1).collect();
        let answer = server.sign_in(name, &cut).await;
        answer.assert_problem(StatusCode::UNAUTHORIZED, "invalid_credentials");
    }
}

#[tokio::test]
async fn a_closed_sign_up_is_refused_before_anything_is_looked_at() {
    let server = spawn_with(|config| config.signup.enabled = false).await;
    let answer = server.sign_up("ada", PASSWORD).await;
    answer.assert_problem(StatusCode::FORBIDDEN, "signup_closed");
    assert_eq!(server.auth.count().await.unwrap().users, 0);
}

#[tokio::test]
async fn the_roles_of_new_users_are_those_of_the_settings() {
    let roles: Roles = [Role::CLIENT, Role::parse("EDITOR").unwrap()]
        .into_iter()
        .collect();
    let server = spawn_with(|config| config.signup.roles = roles).await;
    let token = server.user("ada").await;
    server
        .welcome(&token)
        .await
        .assert_welcome("ada", "CLIENT EDITOR");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_eight_sign_ups_of_one_name_at_once_one_wins() {
    let server = std::sync::Arc::new(spawn().await);
    let tasks: Vec<_> = (0..8)
        .map(|n| {
            let server = std::sync::Arc::clone(&server);
            let password = format!("correct horse battery {n}");
            tokio::spawn(async move { (server.sign_up("ada", &password).await, password) })
        })
        .collect();
    let mut winners = Vec::new();
    let mut losers = Vec::new();
    for task in tasks {
        let (answer, password) = task.await.unwrap();
        if answer.status == StatusCode::CREATED {
            winners.push(password);
        } else {
            answer.assert_problem(StatusCode::CONFLICT, "username_taken");
            losers.push(password);
        }
    }
    assert_eq!(winners.len(), 1);
    server.sign_in("ada", &winners[0]).await.token();
    for password in &losers {
        let answer = server.sign_in("ada", password).await;
        answer.assert_problem(StatusCode::UNAUTHORIZED, "invalid_credentials");
    }
    assert_eq!(server.auth.count().await.unwrap().users, 1);
}

#[tokio::test]
async fn sign_up_outlives_a_restart() {
    let server = spawn().await;
    server
        .sign_up("ada", PASSWORD)
        .await
        .assert_status(StatusCode::CREATED);
    let server = server.restart().await;
    server.sign_in("ada", PASSWORD).await.token();
    server
        .sign_up("ada", PASSWORD)
        .await
        .assert_problem(StatusCode::CONFLICT, "username_taken");
}

#[tokio::test]
async fn strings_that_upset_other_servers_are_an_error_or_a_user() {
    let Some(folder) = std::env::var_os("JWT_SERVER_VECTORS") else {
        println!("skipped: JWT_SERVER_VECTORS does not name the folder with the test vectors");
        return;
    };
    let text = std::fs::read_to_string(std::path::Path::new(&folder).join("naughty/blns.json")).unwrap();
    let strings: Vec<String> = serde_json::from_str(&text).unwrap();
    assert!(strings.len() > 400);
    let server = spawn().await;
    for string in &strings {
        // So that no sign-in is throttled for it.
        server.advance(seconds(3600));
        for body in [
            json!({"username": string, "password": PASSWORD}),
            json!({"username": "ada", "password": string}),
        ] {
            let answer = server.post("/signup", &body).await;
            let expected = [
                StatusCode::CREATED,
                StatusCode::CONFLICT,
                StatusCode::UNPROCESSABLE_ENTITY,
            ];
            assert!(expected.contains(&answer.status), "{string:?}: {}", answer.text());
            let answer = server.post("/signin", &body).await;
            let expected = [StatusCode::OK, StatusCode::UNAUTHORIZED];
            assert!(expected.contains(&answer.status), "{string:?}: {}", answer.text());
        }
        if let Ok(value) = warp::http::HeaderValue::try_from(format!("Bearer {string}")) {
            let request = request("GET", "/welcome").header("authorization", value);
            let answer = server.send(request).await;
            assert!(
                [StatusCode::UNAUTHORIZED, StatusCode::BAD_REQUEST].contains(&answer.status),
                "{string:?}"
            );
        }
    }
}

//! `POST /signup`.

use jwt_server::domain::{Role, Roles};
use serde_json::json;
use warp::http::StatusCode;

use crate::server::{Answer, PASSWORD, Server, request, seconds, spawn, spawn_with};

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
            json!({"username": "a", "password": "short", "roles": ["ADMIN"]}),
            &[
                ("username", "too_short"),
                ("roles", "unknown"),
                ("password", "too_short"),
            ],
        ),
        (
            json!({"username": "ada", "password": "short", "roles": ["ADMIN"]}),
            &[("roles", "unknown"), ("password", "too_short")],
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

/// The answer to a sign-up from `address`.
async fn sign_up_from(server: &Server, address: &str, username: &str, password: &str) -> Answer {
    let body = json!({"username": username, "password": password});
    server.post_from(address, "/signup", &body).await
}

#[tokio::test]
async fn only_the_network_that_signs_up_often_has_to_wait() {
    const HERE: &str = "2001:db8:0:7::1";
    const ELSEWHERE: &str = "2001:db8:0:8::1";
    let server = spawn_with(|config| config.throttle.sign_ups = 4.try_into().unwrap()).await;
    sign_up_from(&server, HERE, "ada", PASSWORD)
        .await
        .assert_status(StatusCode::CREATED);
    // What does not look like a sign-up costs nothing.
    for _ in 0..5 {
        sign_up_from(&server, HERE, "a", PASSWORD)
            .await
            .assert_fields(&[("username", "too_short")]);
    }
    for (name, password, status) in [
        ("ada", PASSWORD, StatusCode::CONFLICT),
        ("barbara", "password", StatusCode::UNPROCESSABLE_ENTITY),
        ("barbara", PASSWORD, StatusCode::CREATED),
    ] {
        let answer = sign_up_from(&server, "2001:db8:0:7:ffff::2", name, password).await;
        answer.assert_status(status);
    }
    // Neither says the server now whether a name is taken, nor does it look at the password.
    let mut refusals = Vec::new();
    for (name, password) in [("ada", PASSWORD), ("carol", PASSWORD), ("carol", "password")] {
        let refused = sign_up_from(&server, HERE, name, password).await;
        refused.assert_problem(StatusCode::TOO_MANY_REQUESTS, "too_many_requests");
        assert_eq!(refused.header("retry-after"), "60");
        refusals.push(refused.text());
    }
    assert!(refusals.iter().all(|text| *text == refusals[0]), "{refusals:?}");
    sign_up_from(&server, ELSEWHERE, "ada", PASSWORD)
        .await
        .assert_status(StatusCode::CONFLICT);
    // Signing in is another matter.
    server.sign_in_from(HERE, "ada", PASSWORD).await.token();

    server.advance(seconds(60));
    sign_up_from(&server, HERE, "carol", PASSWORD)
        .await
        .assert_status(StatusCode::CREATED);
    sign_up_from(&server, HERE, "dora", PASSWORD)
        .await
        .assert_status(StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn a_site_of_many_ipv6_networks_has_to_wait_too() {
    for (site, networks) in [("2001:db8:0:7%::1", 2), ("2001:db8:0:%00::1", 4)] {
        let server = spawn_with(|config| config.throttle.sign_ups = 1.try_into().unwrap()).await;
        let sign_up = async |number: usize| {
            let address = site.replace('%', &format!("{number:02x}"));
            sign_up_from(&server, &address, &format!("user{number}"), PASSWORD).await
        };
        for number in 0..networks {
            sign_up(number).await.assert_status(StatusCode::CREATED);
        }
        let refused = sign_up(networks).await;
        refused.assert_problem(StatusCode::TOO_MANY_REQUESTS, "too_many_requests");
        sign_up_from(&server, "2001:db8:1:7::1", "ada", PASSWORD)
            .await
            .assert_status(StatusCode::CREATED);
    }
}

#[tokio::test]
async fn a_class_behind_one_address_can_sign_up() {
    let server = spawn().await;
    for number in 0..30 {
        let name = format!("pupil{number}");
        for (name, password, status) in [
            (name.as_str(), "password", StatusCode::UNPROCESSABLE_ENTITY),
            (name.as_str(), PASSWORD, StatusCode::CREATED),
            ("pupil0", PASSWORD, StatusCode::CONFLICT),
        ] {
            let answer = sign_up_from(&server, "192.0.2.1", name, password).await;
            answer.assert_status(status);
        }
    }
}

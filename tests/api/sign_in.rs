//! `POST /signin` and `/logout`.

use std::sync::Arc;

use jwt_server::{clock::Stopwatch, domain::UserChange};
use serde_json::{Value, json};
use warp::http::StatusCode;

use crate::server::{Answer, PASSWORD, claims, request, seconds, spawn, spawn_with};

pub(crate) fn assert_wrong(answer: &Answer) {
    answer.assert_unauthorized("invalid_credentials", "Bearer realm=\"jwt-server\"");
}

#[tokio::test]
async fn a_password_is_the_same_on_every_keyboard() {
    let server = spawn().await;
    // The same letters, composed and decomposed.
    let passwords = [
        "g\u{fc}n\u{e9}\u{df} batterie 72",
        "gu\u{308}ne\u{301}\u{df} batterie 72",
    ];
    for (user, chosen) in ["ada", "bo"].into_iter().zip(passwords) {
        let answer = server.sign_up(user, chosen).await;
        answer.assert_status(StatusCode::CREATED);
        for typed in passwords {
            server.sign_in(user, typed).await.token();
        }
        assert_wrong(&server.sign_in(user, "gune\u{df} batterie 72").await);
    }
}

#[tokio::test]
async fn the_right_password_is_answered_with_a_token() {
    let server = spawn().await;
    server
        .sign_up("ada", PASSWORD)
        .await
        .assert_status(StatusCode::CREATED);
    let answer = server.sign_in(" ADA ", PASSWORD).await;
    assert_eq!(answer.times(), (300, 270, true));
    let answered = answer.json();
    let members: Vec<_> = answered.as_object().unwrap().keys().collect();
    let expected = [
        "access_token",
        "device_token",
        "expires_in",
        "refresh_in",
        "refreshed",
        "token_type",
    ];
    assert_eq!(members, expected);
    server
        .welcome(&answer.token())
        .await
        .assert_welcome("ada", "CLIENT");
}

#[tokio::test]
async fn whatever_is_wrong_the_answer_is_the_same() {
    let server = spawn().await;
    server
        .sign_up("ada", PASSWORD)
        .await
        .assert_status(StatusCode::CREATED);
    server
        .sign_up("bob", PASSWORD)
        .await
        .assert_status(StatusCode::CREATED);
    server.change("bob", UserChange::Disabled(true)).await;
    let mut bodies = Vec::new();
    for (name, password) in [
        ("ada", "wrong password"),
        ("ada", ""),
        ("ada", "correct horse battery "),
        ("ada", "Correct horse battery"),
        ("ada", &"x".repeat(72)),
        ("ada", &format!("{PASSWORD}\0")),
        ("nobody", PASSWORD),
        ("", PASSWORD),
        ("a", PASSWORD),
        ("no such name!", PASSWORD),
        (&"a".repeat(5000), PASSWORD),
        ("bob", "wrong password"),
    ] {
        let answer = server.sign_in(name, password).await;
        assert_wrong(&answer);
        bodies.push(answer.text());
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
}

#[tokio::test]
async fn whatever_is_wrong_the_answer_takes_as_long() {
    let server = spawn_with(|config| {
        config.password.bcrypt_cost = 8;
        config.throttle.account_failures = 100;
    })
    .await;
    for name in ["ada", "bob"] {
        server
            .sign_up(name, PASSWORD)
            .await
            .assert_status(StatusCode::CREATED);
    }
    server.change("bob", UserChange::Disabled(true)).await;
    let long = "x".repeat(100);
    let device = server.sign_in("ada", PASSWORD).await.json()["device_token"].clone();
    let others = spawn().await;
    others.user("ada").await;
    let foreign = others.sign_in("ada", PASSWORD).await.json()["device_token"].clone();
    let none = Value::Null;
    let kinds = [
        ("ada", "wrong password", &none),
        ("ada", "wrong password", &device),
        ("ada", "wrong password", &foreign),
        ("nobody", PASSWORD, &none),
        ("nobody", PASSWORD, &foreign),
        ("bob", "wrong password", &none),
        ("no name!", PASSWORD, &foreign),
        ("ada", long.as_str(), &none),
    ];
    let mut times = kinds.map(|_| Vec::new());
    // In turn, so that other load of the machine slows all kinds alike.
    for _ in 0..11 {
        for ((name, password, device), times) in kinds.iter().zip(&mut times) {
            let body = json!({"username": name, "password": password, "device_token": device});
            let stopwatch = Stopwatch::start();
            assert_wrong(&server.post("/signin", &body).await);
            times.push(stopwatch.milliseconds());
        }
    }
    let medians = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    });
    let (least, most) = (
        medians.iter().copied().reduce(f64::min),
        medians.iter().copied().reduce(f64::max),
    );
    // Without the decoy, those without a user take a hundredth of the time.
    assert!(most < least.map(|least| least * 4.0), "{medians:?}");
}

#[tokio::test]
async fn a_body_with_other_fields_is_told_so() {
    let server = spawn().await;
    server
        .post("/signin", &json!({"username": "ada"}))
        .await
        .assert_fields(&[("password", "required")]);
    let body = json!({"username": "ada", "password": PASSWORD, "remember": true});
    server
        .post("/signin", &body)
        .await
        .assert_fields(&[("remember", "unknown")]);
}

#[tokio::test]
async fn a_disabled_account_is_named_only_after_the_right_password() {
    let server = spawn().await;
    let token = server.user("ada").await;
    server.change("ada", UserChange::Disabled(true)).await;
    let answer = server.sign_in("ada", PASSWORD).await;
    answer.assert_problem(StatusCode::FORBIDDEN, "account_disabled");
    assert_wrong(&server.sign_in("ada", "wrong password").await);

    for answer in [
        server.welcome(&token).await,
        server.refresh(&token).await,
        server.log_out(&token).await,
    ] {
        answer.assert_dead();
    }
    server.change("ada", UserChange::Disabled(false)).await;
    server.welcome(&token).await.assert_dead();
    let token = server.sign_in("ada", PASSWORD).await.token();
    server.welcome(&token).await.assert_welcome("ada", "CLIENT");
}

#[tokio::test]
async fn two_sign_ins_in_one_second_give_two_sessions() {
    let server = spawn().await;
    let first = server.user("ada").await;
    let second = server.sign_in("ada", PASSWORD).await.token();
    for claim in ["jti", "sid"] {
        assert_ne!(claims(&first)[claim], claims(&second)[claim]);
    }
    server.log_out(&first).await.assert_status(StatusCode::NO_CONTENT);
    server.welcome(&first).await.assert_dead();
    server.welcome(&second).await.assert_welcome("ada", "CLIENT");
}

#[tokio::test]
async fn with_accept_text_plain_the_body_is_the_token_alone() {
    let server = spawn().await;
    let token = server.user("ada").await;
    let body = json!({"username": "ada", "password": PASSWORD});
    for accept in [
        "text/plain",
        "TEXT/PLAIN; q=0.5",
        "text/html, text/plain;charset=utf-8",
    ] {
        let answer = server
            .send(request("POST", "/signin").header("accept", accept).json(&body))
            .await;
        answer.assert_status(StatusCode::OK);
        assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
        assert_eq!(answer.header("cache-control"), "no-store");
        server
            .welcome(&answer.text())
            .await
            .assert_welcome("ada", "CLIENT");
    }
    let bearer = format!("Bearer {token}");
    let refresh = request("GET", "/refresh")
        .header("accept", "text/plain")
        .header("authorization", bearer);
    assert_eq!(server.send(refresh).await.text(), token);
    for accept in [
        "*/*",
        "application/json",
        "text/plain, application/json",
        "text/html",
    ] {
        let answer = server
            .send(request("POST", "/signin").header("accept", accept).json(&body))
            .await;
        assert_eq!(answer.header("content-type"), "application/json", "{accept}");
    }
    let refused = request("POST", "/signin").header("accept", "text/plain");
    assert_wrong(
        &server
            .send(refused.json(&json!({"username": "ada", "password": "wrong"})))
            .await,
    );
}

#[tokio::test]
async fn log_out_answers_get_head_and_post() {
    let server = spawn().await;
    server
        .sign_up("ada", PASSWORD)
        .await
        .assert_status(StatusCode::CREATED);
    for method in ["GET", "HEAD", "POST"] {
        let token = server.sign_in("ada", PASSWORD).await.token();
        let log_out = || request(method, "/logout").header("authorization", format!("Bearer {token}"));
        let answer = server.send(log_out()).await;
        answer.assert_status(StatusCode::NO_CONTENT);
        assert!(answer.body.is_empty());
        server.send(log_out()).await.assert_dead();
        server.welcome(&token).await.assert_dead();
    }
}

#[tokio::test]
async fn log_out_ends_the_token_its_predecessor_and_its_successor() {
    for which in 0..3 {
        let server = spawn().await;
        let first = server.user("ada").await;
        server.advance(seconds(275));
        let second = server.refresh(&first).await.token();
        // Within the grace of the first, so that the whole chain is alive.
        let mut tokens = vec![first, second];
        if which == 2 {
            tokens.push(server.sign_in("ada", PASSWORD).await.token());
        }
        for token in &tokens {
            server.welcome(token).await.assert_status(StatusCode::OK);
        }
        server
            .log_out(&tokens[which])
            .await
            .assert_status(StatusCode::NO_CONTENT);

        let (ended, left): (Vec<_>, Vec<_>) = match which {
            2 => (vec![&tokens[2]], vec![&tokens[0], &tokens[1]]),
            _ => (vec![&tokens[0], &tokens[1]], vec![]),
        };
        let assert_so = async |server: &crate::server::Server| {
            for token in &ended {
                server.welcome(token).await.assert_dead();
                server.refresh(token).await.assert_dead();
                server.log_out(token).await.assert_dead();
            }
            for token in &left {
                server.welcome(token).await.assert_status(StatusCode::OK);
            }
        };
        assert_so(&server).await;
        let server = server.restart().await;
        assert_so(&server).await;
    }
}

#[tokio::test]
async fn a_session_outlives_a_restart() {
    let server = spawn().await;
    let token = server.user("ada").await;
    let server = server.restart().await;
    server.welcome(&token).await.assert_welcome("ada", "CLIENT");
    server.advance(seconds(300));
    let server = server.restart().await;
    server.welcome(&token).await.assert_dead();
    assert_eq!(
        server.auth.count().await.unwrap().sessions,
        Some(0),
        "pruned at the start"
    );
}

#[tokio::test]
async fn sessions_that_have_run_out_are_pruned_and_no_others() {
    let server = spawn().await;
    server.user("ada").await;
    server.advance(seconds(100));
    let token = server.sign_in("ada", PASSWORD).await.token();
    server.advance(seconds(200));
    assert_eq!(server.auth.count().await.unwrap().sessions, Some(2));
    assert_eq!(server.auth.prune().await.unwrap(), 1);
    assert_eq!(server.auth.count().await.unwrap().sessions, Some(1));
    server.welcome(&token).await.assert_welcome("ada", "CLIENT");
}

#[tokio::test]
async fn a_hash_of_another_cost_is_renewed_by_the_next_good_sign_in() {
    let server = spawn().await;
    let token = server.user("ada").await;
    let old = server.password_hash("ada").await;
    let server = server
        .restart_with(|config| config.password.bcrypt_cost = 5)
        .await;
    assert_wrong(&server.sign_in("ada", "wrong password").await);
    assert_eq!(server.password_hash("ada").await, old);

    server.sign_in("ada", PASSWORD).await.token();
    let new = server.password_hash("ada").await;
    assert!(new.expose().starts_with("$2b$05$"), "{}", new.expose());
    server.welcome(&token).await.assert_welcome("ada", "CLIENT");
    let server = server.restart().await;
    server.sign_in("ada", PASSWORD).await.token();
    assert_eq!(server.password_hash("ada").await, new);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_sign_ins_at_once_renew_a_hash_and_all_succeed() {
    let server = spawn().await;
    server
        .sign_up("ada", PASSWORD)
        .await
        .assert_status(StatusCode::CREATED);
    let server = Arc::new(
        server
            .restart_with(|config| config.password.bcrypt_cost = 6)
            .await,
    );
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let server = Arc::clone(&server);
            tokio::spawn(async move { server.sign_in("ada", PASSWORD).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().token();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_is_503_with_retry_after_and_harms_no_other() {
    let server = spawn_with(|config| {
        config.password.hash_threads = 1;
        config.password.hash_queue = 1;
        config.password.bcrypt_cost = 9;
    })
    .await;
    let token = server.user("ada").await;
    let server = Arc::new(server);
    let flood: Vec<_> = (0..24)
        .map(|_| {
            let server = Arc::clone(&server);
            tokio::spawn(async move { server.sign_in("ada", "wrong password").await })
        })
        .collect();
    server.welcome(&token).await.assert_welcome("ada", "CLIENT");
    let mut busy = 0;
    for task in flood {
        let answer = task.await.unwrap();
        if answer.status == StatusCode::SERVICE_UNAVAILABLE {
            answer.assert_problem(StatusCode::SERVICE_UNAVAILABLE, "busy");
            assert!(answer.header("retry-after").parse::<u64>().unwrap() > 0);
            busy += 1;
        } else {
            assert_wrong(&answer);
        }
    }
    assert!((1..24).contains(&busy), "{busy} of 24 were turned away");
    server.sign_in("ada", PASSWORD).await.token();
}

#[tokio::test]
async fn another_secret_ends_every_session_for_good() {
    let secret = |byte: u8| {
        Some(jwt_server::config::Secret {
            bytes: vec![byte; 32].into(),
            origin: jwt_server::config::Origin::Default,
        })
    };
    let server = spawn().await;
    let token = server.user("ada").await;
    assert!(server.auth.key().given_by.is_none() && server.auth.key().replaced.is_none());

    let server = server
        .restart_with(|config| config.token.secret = secret(b'a'))
        .await;
    assert_eq!(server.auth.key().replaced, Some(1));
    server.welcome(&token).await.assert_dead();
    let second = server.sign_in("ada", PASSWORD).await.token();

    let server = server.restart().await;
    assert_eq!(
        server.auth.key().replaced,
        None,
        "the same secret is the same key"
    );
    server.welcome(&second).await.assert_welcome("ada", "CLIENT");

    let server = server
        .restart_with(|config| config.token.secret = secret(b'b'))
        .await;
    assert_eq!(server.auth.key().replaced, Some(1));
    let server = server
        .restart_with(|config| config.token.secret = secret(b'a'))
        .await;
    server.welcome(&second).await.assert_dead();
    let server = server.restart_with(|config| config.token.secret = None).await;
    assert_eq!(server.auth.key().replaced, Some(0));
    for token in [&token, &second] {
        server.welcome(token).await.assert_dead();
    }
}

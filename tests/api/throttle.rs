//! How fast passwords can be guessed, by address and by account, without any delay for a user who knows theirs.

use std::sync::Arc;

use jwt_server::{
    Roles,
    domain::{Client, ClientAddress, Password, RequestContext, Username},
    event::Actor,
};
use warp::http::StatusCode;

use crate::{
    server::{Answer, PASSWORD, Server, request, seconds, spawn, spawn_with},
    sign_in::assert_wrong,
};

const HOME: &str = "192.0.2.1";
const ELSEWHERE: &str = "198.51.100.7";
const STRANGER: &str = "203.0.113.9";

/// The seconds until the next attempt is allowed.
#[track_caller]
pub(crate) fn assert_throttled(answer: &Answer) -> u64 {
    answer.assert_problem(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts");
    let wait = answer.header("retry-after").parse().unwrap();
    assert!(wait > 0);
    wait
}

/// A server with the user ada, who signed in from [`HOME`] once.
pub(crate) async fn with_ada() -> Server {
    let server = spawn().await;
    server
        .sign_up("ada", PASSWORD)
        .await
        .assert_status(StatusCode::CREATED);
    server.sign_in_from(HOME, "ada", PASSWORD).await.token();
    server
}

/// Fails until the address is throttled. Returns the number of failures and the wait.
pub(crate) async fn hammer(server: &Server, address: &str, name: &str) -> (usize, u64) {
    for failures in 0..300 {
        let answer = server.sign_in_from(address, name, "wrong password").await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            return (failures, assert_throttled(&answer));
        }
        assert_wrong(&answer);
    }
    panic!("never throttled");
}

#[tokio::test]
async fn only_the_address_that_guesses_at_many_accounts_has_to_wait() {
    let server = with_ada().await;
    for n in 0..100 {
        // All addresses of one /64.
        let address = format!("2001:db8:0:7:{n:x}::{n:x}");
        assert_wrong(&server.sign_in_from(&address, &format!("user{n}"), "guess").await);
    }
    let refused = server.sign_in_from("2001:db8:0:7::1", "user100", "guess").await;
    assert_eq!(assert_throttled(&refused), 10);
    for same in ["ada", "no name!"] {
        assert_throttled(&server.sign_in_from("2001:db8:0:7::1", same, PASSWORD).await);
    }
    assert_wrong(&server.sign_in_from("2001:db8:0:8::1", "user100", "guess").await);

    server.advance(seconds(10));
    assert_wrong(&server.sign_in_from("2001:db8:0:7::1", "user100", "guess").await);
    assert_throttled(&server.sign_in_from("2001:db8:0:7::1", "user101", "guess").await);
}

#[tokio::test]
async fn an_attack_on_an_account_delays_strangers_and_not_its_owner() {
    let server = with_ada().await;
    assert_eq!(hammer(&server, STRANGER, "ada").await, (30, 30));
    // Strangers are throttled from any other address; the owner is not.
    assert_throttled(&server.sign_in_from("203.0.113.77", "ada", "wrong password").await);
    server.sign_in_from(HOME, "ada", PASSWORD).await.token();
    assert_wrong(&server.sign_in_from(HOME, "ada", "a slip").await);
    server.sign_in_from(HOME, "ada", PASSWORD).await.token();
    assert_throttled(&server.sign_in_from(STRANGER, "ada", "wrong password").await);
    // Other accounts are not concerned.
    assert_wrong(&server.sign_in_from(STRANGER, "bob", "wrong password").await);
}

#[tokio::test]
async fn the_owner_gets_in_from_a_new_place_during_an_attack() {
    let server = with_ada().await;
    hammer(&server, STRANGER, "ada").await;
    let wait = assert_throttled(&server.sign_in_from(ELSEWHERE, "ada", PASSWORD).await);
    assert_eq!(wait, 60, "behind the stranger");
    for _ in 0..wait {
        server.advance(seconds(1));
        let _ = server.sign_in_from(STRANGER, "ada", "wrong password").await;
    }
    server.sign_in_from(ELSEWHERE, "ada", PASSWORD).await.token();
    // The place is known from now on, whatever strangers do.
    hammer(&server, STRANGER, "ada").await;
    server.sign_in_from(ELSEWHERE, "ada", PASSWORD).await.token();
}

#[tokio::test]
async fn a_hundred_failures_in_a_row_and_then_one_an_hour() {
    let server = with_ada().await;
    let (mut failures, mut wait) = (0, 0);
    while failures < 102 {
        // Each attempt comes from another address, so that no address is throttled.
        let address = format!("203.0.{}.{}", failures / 100, failures % 100);
        let answer = server.sign_in_from(&address, "ada", "wrong password").await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            wait = assert_throttled(&answer);
            server.advance(seconds(wait));
        } else {
            assert_wrong(&answer);
            assert!(failures < 100 || wait == 3600, "{failures}");
            assert!(failures >= 100 || wait < 3600, "{failures}");
            failures += 1;
        }
    }
    server.sign_in_from(HOME, "ada", PASSWORD).await.token();
}

#[tokio::test]
async fn a_throttled_account_looks_like_a_name_without_an_account() {
    let server = with_ada().await;
    let mut told = Vec::new();
    for name in ["ada", "nobody"] {
        let mut answers = Vec::new();
        for _ in 0..34 {
            let answer = server.sign_in_from(STRANGER, name, "wrong password").await;
            answers.push((answer.status, answer.text()));
            server.advance(seconds(1));
        }
        told.push(answers);
    }
    assert_eq!(told[0], told[1]);
    assert_eq!(told[0][33].0, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn a_known_place_that_fails_a_hundred_times_becomes_a_stranger() {
    let server = spawn_with(|config| config.throttle.address_failures = 1000.try_into().unwrap()).await;
    server
        .sign_up("ada", PASSWORD)
        .await
        .assert_status(StatusCode::CREATED);
    server.sign_in_from(HOME, "ada", PASSWORD).await.token();
    assert_eq!(hammer(&server, HOME, "ada").await, (130, 30));
    server
        .sign_in("ada", PASSWORD)
        .await
        .assert_status(StatusCode::TOO_MANY_REQUESTS);
    server.advance(seconds(30));
    server.sign_in_from(HOME, "ada", PASSWORD).await.token();
}

/// A server with `many` users who have signed in from [`HOME`].
async fn with_many(many: usize) -> Server {
    let server = spawn().await;
    for n in 0..many {
        let body = serde_json::json!({"username": format!("user{n}"), "password": PASSWORD});
        let signed_up = server.post_from(HOME, "/signup", &body).await;
        signed_up.assert_status(StatusCode::CREATED);
    }
    server
}

#[tokio::test]
async fn failures_at_known_accounts_count_against_the_address() {
    let server = with_many(60).await;
    let mut wrong = 0;
    for round in 0..10 {
        for n in 0..60 {
            let answer = server
                .sign_in_from(HOME, &format!("user{n}"), "wrong password")
                .await;
            if answer.status == StatusCode::TOO_MANY_REQUESTS {
                assert_throttled(&answer);
            } else {
                assert_wrong(&answer);
                wrong += 1;
                assert!(round * 60 + n < 101, "{wrong} at once");
            }
        }
    }
    assert_eq!(wrong, 101, "the hundred of the address, and a first turn");
    // Strangers find the address spent as well.
    let stranger = server.sign_in_from(HOME, "nobody", "guess").await;
    assert_eq!(assert_throttled(&stranger), 10);
    // Then all of them get one more every ten seconds.
    let mut later = 0;
    for _ in 0..60 {
        server.advance(seconds(10));
        for n in 0..60 {
            let answer = server
                .sign_in_from(HOME, &format!("user{n}"), "wrong password")
                .await;
            later += usize::from(answer.status == StatusCode::UNAUTHORIZED);
        }
    }
    assert!((60..=121).contains(&later), "{later} in ten minutes");
}

#[tokio::test]
async fn known_accounts_take_turns_at_an_address_that_is_spent() {
    let server = with_many(3).await;
    for n in 0..300 {
        let _ = server
            .sign_in_from(HOME, &format!("user{}", n % 2), "guess")
            .await;
    }
    // The others spend what there is at every moment, and still the third gets its turn.
    let (mut waited, mut told) = (0, 0);
    loop {
        let answer = server.sign_in_from(HOME, "user2", PASSWORD).await;
        if answer.status == StatusCode::OK {
            break;
        }
        let wait = assert_throttled(&answer);
        told = told.max(wait + waited);
        assert_eq!(told, wait + waited, "it keeps its place");
        waited += 1;
        server.advance(seconds(1));
        for n in 0..6 {
            let _ = server
                .sign_in_from(HOME, &format!("user{}", n % 2), "guess")
                .await;
        }
        assert!(waited <= 30, "{waited} s");
    }
}

#[tokio::test]
async fn a_right_password_at_a_spent_address_delays_no_other() {
    let server = with_many(40).await;
    for n in 0..100 {
        let _ = server.sign_in_from(HOME, &format!("stranger{n}"), "guess").await;
    }
    assert_throttled(&server.sign_in_from(HOME, "nobody", "guess").await);
    for n in 0..40 {
        let name = format!("user{n}");
        server.sign_in_from(HOME, &name, PASSWORD).await.token();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_right_password_is_never_one_too_many() {
    let server = Arc::new(spawn_with(|config| config.password.hash_queue = 64).await);
    for n in 0..4 {
        let name = format!("user{n}");
        server
            .sign_up(&name, PASSWORD)
            .await
            .assert_status(StatusCode::CREATED);
    }
    // All are strangers at one address, at once, and far more than may fail.
    let tasks: Vec<_> = (0..4)
        .map(|n| {
            let server = Arc::clone(&server);
            tokio::spawn(async move {
                for _ in 0..60 {
                    let answer = server.sign_in_from(STRANGER, &format!("user{n}"), PASSWORD).await;
                    answer.token();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_refused_by_a_full_queue_is_no_failure() {
    let server = spawn_with(|config| {
        config.password.hash_threads = 1;
        config.password.hash_queue = 1;
        config.password.bcrypt_cost = 6;
    })
    .await;
    server
        .sign_up("ada", PASSWORD)
        .await
        .assert_status(StatusCode::CREATED);
    let server = Arc::new(server);
    let (mut failed, mut busy) = (0, 0);
    while failed < 24 {
        let tasks: Vec<_> = (0..6)
            .map(|_| {
                let server = Arc::clone(&server);
                tokio::spawn(async move { server.sign_in_from(STRANGER, "ada", "wrong password").await })
            })
            .collect();
        for task in tasks {
            let answer = task.await.unwrap();
            if answer.status == StatusCode::SERVICE_UNAVAILABLE {
                busy += 1;
            } else {
                assert_wrong(&answer);
                failed += 1;
            }
        }
    }
    assert!(busy > 24, "{busy} were turned away");
    assert_eq!(hammer(&server, STRANGER, "ada").await, (30 - failed, 30));
}

#[tokio::test]
async fn a_restart_forgets_nothing() {
    let server = with_ada().await;
    hammer(&server, STRANGER, "ada").await;
    for n in 0..70 {
        let _ = server.sign_in_from(STRANGER, &format!("user{n}"), "guess").await;
    }
    let wait = assert_throttled(&server.sign_in_from(STRANGER, "nobody", "guess").await);
    server.auth.keep_attempts().await.unwrap();
    let server = server.restart().await;
    let again = assert_throttled(&server.sign_in_from(STRANGER, "nobody", "guess").await);
    assert_eq!(again, wait, "the address");
    assert_throttled(&server.sign_in_from(ELSEWHERE, "ada", PASSWORD).await);
    server.sign_in_from(HOME, "ada", PASSWORD).await.token();
}

#[tokio::test]
async fn only_the_network_of_a_new_password_stays_known() {
    let server = with_ada().await;
    // The thief has signed in once, as the owner has.
    let thief = server.sign_in_from(ELSEWHERE, "ada", PASSWORD).await.token();
    let token = server.sign_in_from(HOME, "ada", PASSWORD).await.token();
    let new = "another horse battery";
    let body = serde_json::json!({"current_password": PASSWORD, "new_password": new});
    let request = request("POST", "/me/password")
        .header("authorization", format!("Bearer {token}"))
        .extension(ClientAddress::new(HOME.parse().unwrap()));
    server.send(request.json(&body)).await.token();
    server.welcome(&thief).await.assert_dead();

    assert_eq!(hammer(&server, ELSEWHERE, "ada").await, (30, 30), "as a stranger");
    server.auth.keep_attempts().await.unwrap();
    let server = server.restart().await;
    assert_throttled(&server.sign_in_from(ELSEWHERE, "ada", "wrong password").await);
    assert_wrong(&server.sign_in_from(HOME, "ada", PASSWORD).await);
    server.sign_in_from(HOME, "ada", new).await.token();
}

#[tokio::test]
async fn ending_the_other_sessions_makes_other_networks_unknown() {
    for (query, home_is_known) in [("", true), ("?all=true", false)] {
        let server = with_ada().await;
        server.sign_in_from(ELSEWHERE, "ada", PASSWORD).await.token();
        let token = server.sign_in_from(HOME, "ada", PASSWORD).await.token();
        let request = request("DELETE", &format!("/me/sessions{query}"))
            .header("authorization", format!("Bearer {token}"))
            .extension(ClientAddress::new(HOME.parse().unwrap()));
        server.send(request).await.assert_status(StatusCode::NO_CONTENT);
        assert_eq!(hammer(&server, ELSEWHERE, "ada").await, (30, 30));
        let answer = server.sign_in_from(HOME, "ada", PASSWORD).await;
        let expected = if home_is_known {
            StatusCode::OK
        } else {
            StatusCode::TOO_MANY_REQUESTS
        };
        answer.assert_status(expected);
    }
}

#[tokio::test]
async fn an_operators_network_is_not_known_to_the_users_it_adds() {
    let server = spawn().await;
    let client = Client {
        address: Some(ClientAddress::new(HOME.parse().unwrap())),
        device: None,
    };
    let (name, password) = (Username::parse("ada"), Password::parse(PASSWORD.into()));
    let operator = Actor::Operator { uid: None };
    let context = RequestContext::of_client(client);
    let (name, password) = (name.unwrap(), password.unwrap());
    let accounts = server.auth.accounts();
    let added = accounts.add(name, password, Roles::default(), operator, &context);
    added.await.unwrap();
    assert_eq!(hammer(&server, HOME, "ada").await, (30, 30));
}

#[tokio::test]
async fn a_client_that_signed_up_from_a_place_is_no_stranger_there() {
    let server = spawn().await;
    let body = serde_json::json!({"username": "ada", "password": PASSWORD});
    server
        .post_from(HOME, "/signup", &body)
        .await
        .assert_status(StatusCode::CREATED);
    hammer(&server, STRANGER, "ada").await;
    server.sign_in_from(HOME, "ada", PASSWORD).await.token();
    // A quarter of a year later the address may belong to another client.
    server.advance(seconds(91 * 24 * 3600));
    hammer(&server, STRANGER, "ada").await;
    assert_throttled(&server.sign_in_from(HOME, "ada", PASSWORD).await);
}

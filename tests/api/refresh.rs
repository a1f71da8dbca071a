//! `/refresh`: to the second, with a clock that the test moves.

use std::sync::Arc;

use warp::http::StatusCode;

use crate::server::{PASSWORD, Server, claims, request, seconds, spawn, spawn_with};

/// A server whose only user signed in `ago` seconds ago, and their token.
async fn signed_in(ago: u64) -> (Server, String) {
    let server = spawn().await;
    let token = server.user("ada").await;
    server.advance(seconds(ago));
    (server, token)
}

#[tokio::test]
async fn before_the_window_the_same_token_comes_back() {
    let (server, token) = signed_in(0).await;
    for (passed, left) in [(0, 300), (1, 299), (268, 31)] {
        server.advance(seconds(passed));
        let answer = server.refresh(&token).await;
        assert_eq!(answer.token(), token);
        assert_eq!(answer.times(), (left, left - 30, false));
    }
}

#[tokio::test]
async fn in_the_first_second_of_the_window_a_successor_is_minted() {
    let (server, token) = signed_in(269).await;
    assert_eq!(server.refresh(&token).await.token(), token);
    server.advance(seconds(1));

    let answer = server.refresh(&token).await;
    let successor = answer.token();
    assert_ne!(successor, token);
    assert_eq!(answer.times(), (300, 270, true));
    let (old, new) = (claims(&token), claims(&successor));
    for same in ["sid", "sub", "iss", "username", "roles"] {
        assert_eq!(old[same], new[same]);
    }
    assert_ne!(old["jti"], new["jti"]);
    assert_eq!(new["iat"].as_u64(), old["iat"].as_u64().map(|iat| iat + 270));
    server.welcome(&successor).await.assert_welcome("ada", "CLIENT");
}

#[tokio::test]
async fn a_token_is_refreshed_up_to_the_last_second_of_its_life() {
    let (server, token) = signed_in(299).await;
    let successor = server.refresh(&token).await.token();
    server.advance(seconds(1));
    server.welcome(&token).await.assert_dead();
    server.refresh(&token).await.assert_dead();
    server.welcome(&successor).await.assert_welcome("ada", "CLIENT");

    let (server, token) = signed_in(300).await;
    server.refresh(&token).await.assert_dead();
}

#[tokio::test]
async fn within_the_grace_the_old_token_leads_to_the_same_successor() {
    let (server, token) = signed_in(280).await;
    let successor = server.refresh(&token).await.token();
    for passed in [0, 5, 4] {
        server.advance(seconds(passed));
        server.welcome(&token).await.assert_welcome("ada", "CLIENT");
        let again = server.refresh(&token).await;
        let same = again.token();
        for claim in ["jti", "iat", "exp", "sid"] {
            assert_eq!(claims(&same)[claim], claims(&successor)[claim]);
        }
        assert!(!again.times().2, "this answer minted nothing");
    }
    server.advance(seconds(1));
    server.welcome(&token).await.assert_dead();
    server.refresh(&token).await.assert_dead();
    server.welcome(&successor).await.assert_welcome("ada", "CLIENT");
}

#[tokio::test]
async fn the_grace_and_the_successor_outlive_a_restart() {
    let (server, token) = signed_in(280).await;
    let successor = server.refresh(&token).await.token();
    let server = server.restart().await;
    assert_eq!(server.refresh(&token).await.token(), successor);
    server.advance(seconds(10));
    let server = server.restart().await;
    server.refresh(&token).await.assert_dead();
    server.welcome(&successor).await.assert_welcome("ada", "CLIENT");
}

#[tokio::test]
async fn a_session_ends_at_its_longest_life_however_it_is_refreshed() {
    let server = spawn_with(|config| config.session.max_lifetime = seconds(700)).await;
    let mut token = server.user("ada").await;
    for (passed, expires_in) in [(280, 300), (280, 140)] {
        server.advance(seconds(passed));
        let answer = server.refresh(&token).await;
        assert_eq!(answer.times().0, expires_in);
        token = answer.token();
    }
    // It lasts to the end of the session already, so a successor would not last longer.
    server.advance(seconds(139));
    let answer = server.refresh(&token).await;
    assert_eq!(answer.token(), token);
    assert_eq!(answer.times(), (1, 1, false));
    server.welcome(&token).await.assert_welcome("ada", "CLIENT");
    server.advance(seconds(1));
    server.welcome(&token).await.assert_dead();
    server.refresh(&token).await.assert_dead();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_sixteen_refreshes_at_once_all_get_the_same_successor() {
    for _ in 0..5 {
        let (server, token) = signed_in(285).await;
        let (server, token) = (Arc::new(server), Arc::new(token));
        let start = Arc::new(tokio::sync::Barrier::new(16));
        let tasks: Vec<_> = (0..16)
            .map(|_| {
                let (server, token, start) = (Arc::clone(&server), Arc::clone(&token), Arc::clone(&start));
                tokio::spawn(async move {
                    start.wait().await;
                    server.refresh(&token).await
                })
            })
            .collect();
        let mut successors = Vec::new();
        let mut minted = 0;
        for task in tasks {
            let answer = task.await.unwrap();
            successors.push(answer.token());
            minted += u32::from(answer.times().2);
        }
        successors.dedup();
        assert_eq!(successors.len(), 1);
        assert_eq!(minted, 1, "one of the answers made it");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_log_out_amid_refreshes_leaves_nothing_alive() {
    for round in 0..10 {
        let (server, token) = signed_in(285).await;
        let (server, token) = (Arc::new(server), Arc::new(token));
        let refreshes: Vec<_> = (0..8)
            .map(|_| {
                let (server, token) = (Arc::clone(&server), Arc::clone(&token));
                tokio::spawn(async move { server.refresh(&token).await })
            })
            .collect();
        if round % 2 == 0 {
            tokio::task::yield_now().await;
        }
        server.log_out(&token).await.assert_status(StatusCode::NO_CONTENT);
        server.welcome(&token).await.assert_dead();
        for task in refreshes {
            let answer = task.await.unwrap();
            if answer.status == StatusCode::OK {
                server.welcome(&answer.token()).await.assert_dead();
            } else {
                answer.assert_dead();
            }
        }
        assert_eq!(server.auth.count().await.unwrap().sessions, Some(0));
    }
}

#[tokio::test]
async fn an_eager_client_has_a_bounded_number_of_tokens() {
    let server = spawn_with(|config| config.token.policy.refresh_window = config.token.policy.lifetime).await;
    let mut token = server.user("ada").await;
    let mut minted = 0;
    for _ in 0..100 {
        let answer = server.refresh(&token).await;
        minted += u32::from(answer.times().2);
        token = answer.token();
    }
    assert_eq!(minted, 31, "and then the same one back");
    server.advance(seconds(10));
    assert!(
        server.refresh(&token).await.times().2,
        "until the others' grace is over"
    );
}

#[tokio::test]
async fn a_role_change_shows_in_the_next_token() {
    let (server, token) = signed_in(280).await;
    server.set_roles("ada", &["CLIENT", "EDITOR"]).await;
    server
        .welcome(&token)
        .await
        .assert_welcome("ada", "CLIENT EDITOR");
    assert_eq!(claims(&token)["roles"], serde_json::json!(["CLIENT"]));
    let successor = server.refresh(&token).await.token();
    assert_eq!(
        claims(&successor)["roles"],
        serde_json::json!(["CLIENT", "EDITOR"])
    );
}

#[tokio::test]
async fn refresh_answers_get_head_and_post() {
    let (server, token) = signed_in(0).await;
    for method in ["GET", "POST", "HEAD"] {
        let refresh = request(method, "/refresh").header("authorization", format!("Bearer {token}"));
        server.send(refresh).await.assert_status(StatusCode::OK);
    }
    server.sign_in("ada", PASSWORD).await.token();
}

//! The `Authorization` header: what is a credential, what is not, and the answer to each mistake.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jwt_server::domain::UserChange;
use warp::http::StatusCode;

use crate::server::{Answer, PASSWORD, Server, request, spawn};

/// The routes that need a token.
const BEARER_ROUTES: [&str; 4] = ["/welcome", "/me", "/refresh", "/logout"];

async fn with_authorization(server: &Server, path: &str, values: &[&[u8]]) -> Answer {
    let headers: Vec<_> = values.iter().map(|value| ("authorization", *value)).collect();
    server.send_exactly("GET", path, &headers, "").await
}

#[tokio::test]
async fn without_credentials_the_challenge_is_bare() {
    let server = spawn().await;
    server.user("ada").await;
    for path in BEARER_ROUTES {
        for values in [
            &[][..],
            &[&b"Basic YWRhOmFkYQ=="[..]],
            &[b"Digest x"],
            &[b"Token abc"],
            &[b"bearerabc"],
            &[b"Bearer"],
            &[b"bearer"],
            &[b"Bearer "],
            &[b"Bearer  "],
            &[b"Bearer \t "],
            &[b"Basic"],
        ] {
            let answer = with_authorization(&server, path, values).await;
            answer.assert_unauthorized("missing_token", "Bearer realm=\"jwt-server\"");
        }
    }
}

#[tokio::test]
async fn malformed_or_repeated_credentials_are_a_bad_request() {
    let server = spawn().await;
    let token = server.user("ada").await;
    let good = format!("Bearer {token}");
    let long = format!("Bearer {}", "x".repeat(8193));
    for path in BEARER_ROUTES {
        for values in [
            &[good.as_bytes(), good.as_bytes()][..],
            &[good.as_bytes(), b"Basic YWRhOmFkYQ=="],
            &[b""],
            &[b"Bearer", b"Bearer"],
            &[b"Bearer a b"],
            &[b"Bearer a,b"],
            &[b"Bearer \xff\xfe"],
            &[b"Bearer \"quoted\""],
            &[long.as_bytes()],
            &[format!("{good}, {good}").as_bytes()],
        ] {
            let answer = with_authorization(&server, path, values).await;
            answer.assert_problem(StatusCode::BAD_REQUEST, "invalid_request");
            let challenge = "Bearer realm=\"jwt-server\", error=\"invalid_request\"";
            assert_eq!(answer.header("www-authenticate"), challenge);
        }
    }
    server.welcome(&token).await.assert_status(StatusCode::OK);
}

#[tokio::test]
async fn the_scheme_is_read_in_any_case() {
    let server = spawn().await;
    let token = server.user("ada").await;
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR", "Bearer "] {
        let value = format!("{scheme} {token}");
        let answer = with_authorization(&server, "/welcome", &[value.as_bytes()]).await;
        answer.assert_welcome("ada", "CLIENT");
    }
    // A revoked token stays revoked in every spelling.
    server.log_out(&token).await.assert_status(StatusCode::NO_CONTENT);
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let value = format!("{scheme} {token}");
        with_authorization(&server, "/welcome", &[value.as_bytes()])
            .await
            .assert_dead();
    }
}

#[tokio::test]
async fn a_token_that_is_not_good_is_refused_without_saying_why() {
    let server = spawn().await;
    let token = server.user("ada").await;
    let other = spawn().await.user("ada").await;
    let (start, last) = token.split_at(token.len() - 1);
    let changed = format!("{start}{}", if last == "A" { "B" } else { "A" });
    let mut answers = Vec::new();
    for bad in [
        "abc",
        "a.b.c",
        "..",
        &changed,
        &other,
        &token.to_lowercase(),
        &format!("{token}="),
    ] {
        for path in BEARER_ROUTES {
            let answer = server.get(path, bad).await;
            answer.assert_dead();
            answers.push(answer.text());
        }
    }
    answers.dedup();
    assert_eq!(answers.len(), 1);
}

#[tokio::test]
async fn a_token_anywhere_else_is_no_credential() {
    let server = spawn().await;
    let token = server.user("ada").await;
    let form = format!("access_token={token}");
    for request in [
        request("GET", &format!("/welcome?access_token={token}")),
        request("GET", "/welcome").header("cookie", &form),
        request("GET", "/welcome").header("x-access-token", &token),
        request("GET", "/welcome").header("proxy-authorization", format!("Bearer {token}")),
        request("POST", "/refresh")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(&form),
    ] {
        let answer = server.send(request).await;
        answer.assert_unauthorized("missing_token", "Bearer realm=\"jwt-server\"");
    }
}

#[tokio::test]
async fn me_describes_the_user_of_the_token() {
    let server = spawn().await;
    let token = server.user("ada").await;
    let me = server.me(&token).await.json();
    assert_eq!(me["username"], "ada");
    assert_eq!(me["roles"], serde_json::json!(["CLIENT"]));
    assert_eq!(me["display_name"], serde_json::Value::Null);
    assert_eq!(me["created_at"], "2027-01-15T08:00:00Z");
    let claims = crate::server::claims(&token);
    assert_eq!(me["session_id"], claims["sid"]);
    assert_eq!(me["id"], claims["sub"]);
    assert_eq!(me.as_object().unwrap().len(), 6);

    let name = jwt_server::domain::DisplayName::parse("Ada L.").unwrap();
    server.change("ada", UserChange::DisplayName(Some(name))).await;
    assert_eq!(server.me(&token).await.json()["display_name"], "Ada L.");
}

#[tokio::test]
async fn welcome_needs_the_role_client_or_admin_as_of_now() {
    let server = spawn().await;
    let token = server.user("ada").await;
    for (roles, shown) in [
        (&["ADMIN"][..], "ADMIN"),
        (&["X", "CLIENT"], "X CLIENT"),
        (&["CLIENT", "ADMIN"], "CLIENT ADMIN"),
    ] {
        server.set_roles("ada", roles).await;
        server.welcome(&token).await.assert_welcome("ada", shown);
    }
    for roles in [&["EDITOR"][..], &[]] {
        server.set_roles("ada", roles).await;
        let answer = server.welcome(&token).await;
        answer.assert_problem(StatusCode::FORBIDDEN, "insufficient_scope");
        let challenge = "Bearer realm=\"jwt-server\", error=\"insufficient_scope\", scope=\"CLIENT ADMIN\"";
        assert_eq!(answer.header("www-authenticate"), challenge);
        server.me(&token).await.assert_status(StatusCode::OK);
    }
}

#[tokio::test]
async fn no_signature_of_another_key_is_a_credential() {
    let Some(folder) = std::env::var_os("JWT_SERVER_VECTORS") else {
        println!("skipped: JWT_SERVER_VECTORS does not name the folder with the test vectors");
        return;
    };
    let path = std::path::Path::new(&folder).join("wycheproof/json_web_signature_test.json");
    let vectors: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let server = spawn().await;
    let mut asked = 0;
    for group in vectors["testGroups"].as_array().unwrap() {
        for test in group["tests"].as_array().unwrap() {
            let jws = test["jws"]
                .as_str()
                .map_or_else(|| test["jws"].to_string(), str::to_owned);
            let value = format!("Bearer {jws}");
            let answer = with_authorization(&server, "/welcome", &[value.as_bytes()]).await;
            let refused = [StatusCode::BAD_REQUEST, StatusCode::UNAUTHORIZED].contains(&answer.status);
            assert!(refused, "tcId {}: {}", test["tcId"], answer.text());
            asked += 1;
        }
    }
    assert!(asked > 350, "only {asked} were asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_constant_use_is_refused_once_its_end_is_answered() {
    let server = Arc::new(spawn().await);
    server
        .sign_up("ada", PASSWORD)
        .await
        .assert_status(StatusCode::CREATED);
    for how in ["log-out", "disabled", "new password"] {
        for _ in 0..5 {
            server.change("ada", UserChange::Disabled(false)).await;
            let token = server.sign_in("ada", PASSWORD).await.token();
            let ended = Arc::new(AtomicBool::new(false));
            let users: Vec<_> = (0..4)
                .map(|_| {
                    let (server, token, ended) = (Arc::clone(&server), token.clone(), Arc::clone(&ended));
                    tokio::spawn(async move {
                        let mut before = 0;
                        loop {
                            // Read before the request: once it is set, no later request may be granted.
                            let is_over = ended.load(Ordering::SeqCst);
                            let status = server.welcome(&token).await.status;
                            if is_over {
                                assert_eq!(status, StatusCode::UNAUTHORIZED);
                                return before;
                            }
                            before += usize::from(status == StatusCode::OK);
                            // Nothing above waits, so the other tasks would not run.
                            tokio::task::yield_now().await;
                        }
                    })
                })
                .collect();
            tokio::time::sleep(Duration::from_millis(20)).await;
            match how {
                "log-out" => server.log_out(&token).await.assert_status(StatusCode::NO_CONTENT),
                "disabled" => server.change("ada", UserChange::Disabled(true)).await,
                _ => {
                    let hash = server.password_hash("ada").await;
                    server.change("ada", UserChange::Password(hash)).await;
                }
            }
            ended.store(true, Ordering::SeqCst);
            for user in users {
                assert!(user.await.unwrap() > 0, "{how}: no request was granted before");
            }
        }
    }
}

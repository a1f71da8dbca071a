//! Paths and methods.

use warp::http::{Method, StatusCode};

use crate::server::{METHODS, request, spawn};

const ROUTES: [(&str, &str); 17] = [
    ("/signup", "POST"),
    ("/signin", "POST"),
    ("/password-reset", "POST"),
    ("/refresh", "GET, HEAD, POST"),
    ("/logout", "GET, HEAD, POST"),
    ("/welcome", "GET, HEAD"),
    ("/me", "GET, HEAD, PATCH, DELETE"),
    ("/me/password", "POST"),
    ("/me/confirm", "POST"),
    ("/me/sessions", "GET, HEAD, DELETE"),
    ("/me/sessions/x", "DELETE"),
    ("/me/tokens", "POST"),
    ("/introspect", "POST"),
    ("/revoke", "POST"),
    ("/.well-known/jwks.json", "GET, HEAD"),
    ("/.well-known/oauth-authorization-server", "GET, HEAD"),
    ("/whoami", "GET, HEAD"),
];

#[tokio::test]
async fn a_path_that_is_not_there_is_404_for_every_method() {
    let server = spawn().await;
    for path in [
        "/",
        "/nope",
        "/signup/x",
        "/Welcome",
        "/me/",
        "//me",
        "/me/x",
        "/%6de",
        "/signup%00",
        "/.well-known/x",
        "/.well-known",
        "/jwks.json",
    ] {
        for method in METHODS {
            let answer = server.send(request(method.as_str(), path)).await;
            if path == "/me/" {
                // warp reads a trailing slash as the end of the path.
                continue;
            }
            answer.assert_problem(StatusCode::NOT_FOUND, "not_found");
        }
    }
}

#[tokio::test]
async fn another_method_is_405_with_the_methods_that_the_path_answers() {
    let server = spawn().await;
    for (path, allow) in ROUTES {
        for method in METHODS {
            let answer = server.send(request(method.as_str(), path)).await;
            if allow.split(", ").any(|allowed| allowed == method.as_str()) {
                assert_ne!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
            } else {
                answer.assert_problem(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed");
                assert_eq!(answer.allows(), allow, "{method} {path}");
            }
        }
        let made_up = server.send(request("BREW", path)).await;
        made_up.assert_problem(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed");
    }
}

#[tokio::test]
async fn head_answers_as_get_does() {
    let server = spawn().await;
    let token = server.user("ada").await;
    for path in [
        "/welcome",
        "/me",
        "/refresh",
        "/.well-known/jwks.json",
        "/.well-known/oauth-authorization-server",
    ] {
        for authorization in [format!("Bearer {token}"), "Bearer x".into()] {
            let ask = |method: Method| request(method.as_str(), path).header("authorization", &authorization);
            let get = server.send(ask(Method::GET)).await;
            let head = server.send(ask(Method::HEAD)).await;
            assert_eq!(head.status, get.status);
            assert_eq!(head.headers, get.headers);
        }
    }
}

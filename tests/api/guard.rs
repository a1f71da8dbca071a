//! The library: the guard in front of a user's own routes.

use jwt_server::{Guard, Principal, Role, recover};
use warp::{Filter, Reply, http::StatusCode, reply::Response};

use crate::server::{Answer, Server, request, spawn};

/// Routes as a library user writes them, and their answer to `request`.
async fn ask(server: &Server, request: warp::test::RequestBuilder) -> Answer {
    let hello = |who: Principal| format!("hello {}", who.username());
    let client = warp::path!("client")
        .and(warp::get())
        .and(server.auth.guard())
        .map(hello);
    let admin = warp::path!("admin" / u32)
        .and(warp::post())
        .and(
            server
                .auth
                .guard()
                .any_role([Role::ADMIN, Role::parse("EDITOR").unwrap()]),
        )
        .map(|number, who: Principal| format!("{number} {}", who.username()));
    let open = warp::path!("open")
        .and(warp::query::<Vec<(String, u8)>>())
        .map(|_| "open");
    let routes = server
        .api
        .routes()
        .or(client)
        .or(admin)
        .or(open)
        .recover(recover)
        .map(|reply| Reply::into_response(reply) as Response);
    let response = request.reply(&routes).await;
    let (parts, body) = response.into_parts();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body,
    }
}

#[tokio::test]
async fn a_good_token_passes_with_its_principal() {
    let server = spawn().await;
    let token = server.user("ada").await;
    let bearer = format!("Bearer {token}");
    let answer = ask(
        &server,
        request("GET", "/client").header("authorization", &bearer),
    )
    .await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (StatusCode::OK, "hello ada")
    );
    let own = ask(
        &server,
        request("GET", "/welcome").header("authorization", &bearer),
    )
    .await;
    own.assert_welcome("ada", "CLIENT");
}

#[tokio::test]
async fn a_refusal_is_the_same_problem_as_the_servers_own() {
    let server = spawn().await;
    let token = server.user("ada").await;
    server.log_out(&token).await.assert_status(StatusCode::NO_CONTENT);
    for authorization in [
        None,
        Some("Bearer x y"),
        Some("Basic eDp5"),
        Some("Bearer abc"),
        Some(token.as_str()),
    ] {
        let ask_for = |path: &str| {
            let request = request("GET", path);
            match authorization {
                Some(value) => request.header("authorization", value),
                None => request,
            }
        };
        let guarded = ask(&server, ask_for("/client")).await;
        let own = server.send(ask_for("/me")).await;
        assert_eq!(guarded.status, own.status);
        assert_eq!(guarded.headers, own.headers);
        assert_eq!(guarded.body, own.body);
    }
}

#[tokio::test]
async fn any_of_the_roles_passes_as_of_now_and_others_are_403() {
    let server = spawn().await;
    let token = server.user("ada").await;
    let post = || request("POST", "/admin/7").header("authorization", format!("Bearer {token}"));
    let refused = ask(&server, post()).await;
    refused.assert_problem(StatusCode::FORBIDDEN, "insufficient_scope");
    let challenge = "Bearer realm=\"jwt-server\", error=\"insufficient_scope\", scope=\"ADMIN EDITOR\"";
    assert_eq!(refused.header("www-authenticate"), challenge);
    for roles in [&["ADMIN"][..], &["EDITOR"], &["CLIENT", "EDITOR"]] {
        server.set_roles("ada", roles).await;
        assert_eq!(ask(&server, post()).await.text(), "7 ada");
    }
    server.set_roles("ada", &["CLIENT"]).await;
    ask(&server, post()).await.assert_status(StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn what_fits_no_route_is_a_problem_as_well() {
    let server = spawn().await;
    ask(&server, request("GET", "/nope"))
        .await
        .assert_problem(StatusCode::NOT_FOUND, "not_found");
    let answer = ask(&server, request("DELETE", "/client")).await;
    answer.assert_problem(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed");
    let answer = ask(&server, request("GET", "/open?a=x")).await;
    answer.assert_problem(StatusCode::BAD_REQUEST, "bad_request");
}

#[tokio::test]
async fn the_guard_asks_anew_at_every_request() {
    let server = spawn().await;
    let token = server.user("ada").await;
    let guard = server.auth.guard();
    let ask = || {
        request("GET", "/")
            .header("authorization", format!("Bearer {token}"))
            .filter(&guard)
    };
    let principal = ask().await.unwrap();
    assert_eq!(principal.username().as_str(), "ada");
    assert!(principal.has_any(&[Role::CLIENT]) && !principal.has_any(&[Role::ADMIN]));
    server.log_out(&token).await.assert_status(StatusCode::NO_CONTENT);
    assert!(ask().await.is_err());
}

#[tokio::test]
async fn an_api_token_passes_with_the_roles_that_it_was_made_for() {
    let server = spawn().await;
    let session = server.user("ada").await;
    server.set_roles("ada", &["CLIENT", "ADMIN"]).await;
    let token = async |roles: &[&str]| {
        let body = serde_json::json!({"name": "deploy", "roles": roles, "expires_in": 60});
        let answer = server.post_with_token("/me/tokens", &session, &body).await;
        answer.json()["token"].as_str().unwrap().to_owned()
    };
    let post = |token: &str| request("POST", "/admin/7").header("authorization", format!("Bearer {token}"));
    let (client, admin) = (token(&["CLIENT"]).await, token(&["ADMIN"]).await);
    let refused = ask(&server, post(&client)).await;
    refused.assert_problem(StatusCode::FORBIDDEN, "insufficient_scope");
    assert_eq!(ask(&server, post(&admin)).await.text(), "7 ada");

    let get = request("GET", "/").header("authorization", format!("Bearer {admin}"));
    let principal = get.filter(&server.auth.guard()).await.unwrap();
    assert_eq!(principal.session_id(), None);
    assert!(principal.api_token_id().is_some());
    assert_eq!(principal.roles().to_string(), "ADMIN");
    assert_eq!(principal.expires_at().since(principal.issued_at()).as_secs(), 60);
}

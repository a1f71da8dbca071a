//! The library: the guard in front of a user's own routes.

use jwt_server::{Guard, Principal, Role, recover};
use warp::{Filter, Reply, filters::BoxedFilter, http::StatusCode, reply::Response};

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

#[tokio::test]
async fn a_bad_body_is_400_where_the_path_has_another_method() {
    let read = warp::path!("items").and(warp::get()).map(|| "read");
    let write = warp::path!("items")
        .and(warp::post())
        .and(warp::body::json())
        .map(|_: u8| "written");
    for routes in [read.or(write).unify().boxed(), write.or(read).unify().boxed()] {
        let ask = async |method: &str, body: &str| {
            let request = request(method, "/items").header("content-type", "application/json");
            let response = request.body(body).reply(&routes.clone().recover(recover)).await;
            response.status().as_u16()
        };
        assert_eq!(ask("POST", "7").await, 200);
        assert_eq!(ask("POST", "x").await, 400);
        assert_eq!(ask("DELETE", "7").await, 405);
    }
}

/// Each row is a filter that rejects the request of the test, and the status of its rejection. Of two, the first in this table
/// has passed the request further, or is behind a guard.
#[tokio::test]
async fn of_two_routes_that_reject_the_better_fit_answers() {
    let server = spawn().await;
    let cors = warp::cors().allow_origin("https://app.example.org");
    let rows: [(&str, u16, BoxedFilter<()>); 9] = [
        (
            "guard",
            401,
            server.auth.guard().map(|_| ()).untuple_one().boxed(),
        ),
        (
            "body",
            400,
            warp::body::json().map(|_: u8| ()).untuple_one().boxed(),
        ),
        ("size", 413, warp::body::content_length_limit(1).boxed()),
        (
            "type",
            415,
            warp::body::form()
                .map(|_: Vec<(String, u8)>| ())
                .untuple_one()
                .boxed(),
        ),
        (
            "query",
            400,
            warp::query().map(|_: Vec<(String, u8)>| ()).untuple_one().boxed(),
        ),
        ("header", 400, warp::header::exact("x-wanted", "1").boxed()),
        (
            "origin",
            403,
            warp::any()
                .map(|| "")
                .with(cors)
                .map(|_| ())
                .untuple_one()
                .boxed(),
        ),
        ("method", 405, warp::get().boxed()),
        ("path", 404, warp::path("other").boxed()),
    ];
    let status = async |one: &BoxedFilter<()>, other: &BoxedFilter<()>, sized: bool| {
        let routes = one.clone().map(|| "").or(other.clone().map(|| ""));
        let mut request = request("POST", "/items?a=x")
            .header("content-type", "application/json")
            .header("origin", "https://evil.example.org");
        if sized {
            request = request.body("x x");
        }
        request.reply(&routes.recover(recover)).await.status().as_u16()
    };
    for (place, (name, expected, one)) in rows.iter().enumerate() {
        for (other_name, _, other) in &rows[place..] {
            for (first, second) in [(one, other), (other, one)] {
                let found = status(first, second, true).await;
                assert_eq!(found, *expected, "{name} and {other_name}");
            }
        }
    }
    // Without a length, the filter for the size asks for one.
    let size = &rows[2].2;
    for (name, _, other) in &rows[3..] {
        for (first, second) in [(size, other), (other, size)] {
            assert_eq!(status(first, second, false).await, 411, "size and {name}");
        }
    }
}

#[tokio::test]
async fn a_type_that_a_route_of_the_user_refuses_is_not_named() {
    let form = warp::post()
        .and(warp::body::form())
        .map(|_: Vec<(String, String)>| "");
    let request = request("POST", "/")
        .header("content-type", "application/json")
        .body("{}");
    let response = request.reply(&form.recover(recover)).await;
    assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let body = String::from_utf8(response.body().to_vec()).unwrap();
    assert!(!body.contains("application/json"), "{body}");
}

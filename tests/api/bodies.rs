//! Request bodies: media types, sizes, and every kind of body that is not the JSON object of the route.

use warp::http::StatusCode;

use crate::server::{Answer, PASSWORD, Server, request, spawn, spawn_with};

async fn post(server: &Server, path: &str, body: impl AsRef<[u8]>) -> Answer {
    server
        .send(
            request("POST", path)
                .header("content-type", "application/json")
                .body(body),
        )
        .await
}

#[tokio::test]
async fn what_is_not_one_json_object_is_malformed() {
    let server = spawn().await;
    let good = format!(r#"{{"username":"ada","password":"{PASSWORD}"}}"#);
    let deep = format!(r#"{{"username":{}"#, "[".repeat(10_000));
    for path in ["/signup", "/signin"] {
        for body in [
            b"" as &[u8],
            b" ",
            b"null",
            b"\"ada\"",
            b"[\"ada\",\"correct horse battery\"]",
            b"{",
            b"{\"username\":\"ada\",}",
            b"{'username':'ada'}",
            b"{\"username\":\"ada\",\"password\":\"\\ud800\"}",
            b"{\"username\":\"ada\",\"password\":\"\xff\"}",
            b"{\"username\":\"ada\",\"password\":\"a\nb\"}",
            b"{\"username\":1e400}",
            b"{\"username\":NaN}",
            b"username=ada&password=x",
            format!("{good}{good}").as_bytes(),
            format!("{good} x").as_bytes(),
            format!("\u{feff}{good}").as_bytes(),
            format!("{good}\0").as_bytes(),
            good.replacen('{', r#"{"username":"eve","#, 1).as_bytes(),
            good.replacen('{', r#"{"\u0075sername":"eve","#, 1).as_bytes(),
            deep.as_bytes(),
        ] {
            let answer = post(&server, path, body).await;
            answer.assert_problem(StatusCode::BAD_REQUEST, "malformed_json");
        }
    }
    let names: Vec<_> = (0..1000).map(|n| format!("\"x{n}\":1")).collect();
    let many = post(&server, "/signin", format!("{{{}}}", names.join(","))).await;
    many.assert_problem(StatusCode::BAD_REQUEST, "malformed_json");
    assert!(many.text().contains("too many fields") && many.text().len() < 500);
    let answer = post(&server, "/signup", b"{\n  \"username\": ada\n}").await;
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("line 2, column 15"), "{detail}");
    post(&server, "/signup", format!(" \r\n{good}\n"))
        .await
        .assert_status(StatusCode::CREATED);
}

#[tokio::test]
async fn a_body_that_does_not_say_it_is_json_is_415() {
    let server = spawn().await;
    let body = format!(r#"{{"username":"ada","password":"{PASSWORD}"}}"#);
    let none = request("POST", "/signup").body(&body);
    server
        .send(none)
        .await
        .assert_problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type");
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonx",
        "text/json",
        "",
        "application/json, text/plain",
    ] {
        let answer = server
            .send(
                request("POST", "/signup")
                    .header("content-type", kind)
                    .body(&body),
            )
            .await;
        answer.assert_problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type");
    }
    let zipped = [
        ("content-type", b"application/json" as &[u8]),
        ("content-encoding", b"gzip"),
    ];
    let zipped = server.send_exactly("POST", "/signup", &zipped, &body).await;
    zipped.assert_problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type");
    let headers = [
        ("content-type", b"application/json" as &[u8]),
        ("content-type", b"text/plain"),
    ];
    let twice = server.send_exactly("POST", "/signup", &headers, &body).await;
    twice.assert_problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type");
    for kind in [
        "application/json; charset=utf-8",
        "Application/JSON",
        "application/json ;q=1",
    ] {
        let answer = server
            .send(
                request("POST", "/signin")
                    .header("content-type", kind)
                    .body(&body),
            )
            .await;
        answer.assert_problem(StatusCode::UNAUTHORIZED, "invalid_credentials");
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_to_the_byte() {
    let server = spawn_with(|config| config.server.max_body = 1024).await;
    let body = |length: usize| {
        let bare = format!(r#"{{"username":"ada","password":"{PASSWORD}"}}"#);
        format!("{bare}{}", " ".repeat(length - bare.len()))
    };
    let over = post(&server, "/signup", body(1025)).await;
    over.assert_problem(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large");
    post(&server, "/signup", body(1024))
        .await
        .assert_status(StatusCode::CREATED);
    let headers = [
        ("content-type", b"application/json" as &[u8]),
        ("content-length", b"10737418240"),
    ];
    let announced = server.send_exactly("POST", "/signup", &headers, "{").await;
    announced.assert_problem(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large");
}

#[tokio::test]
async fn a_replaced_limit_holds_from_the_next_request() {
    let server = spawn_with(|config| config.server.max_body = 1024).await;
    let body = format!(
        r#"{{"username":"ada","password":"{PASSWORD}"}}{}"#,
        " ".repeat(1024)
    );
    let over = post(&server, "/signup", &body).await;
    over.assert_problem(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large");
    // The routes of a server that runs have been built long before.
    let routes = server.api.routes();
    let mut settings = (*server.api.settings()).clone();
    settings.body.size = body.len();
    server.api.clone().replace_settings(settings);
    let request = request("POST", "/signup").header("content-type", "application/json");
    let response = request.body(&body).reply(&routes).await;
    assert_eq!(response.status(), StatusCode::CREATED);
}

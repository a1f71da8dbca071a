//! The administration where clients reach the server: who may use it, route by route.

use jwt_server::event::{Actor, EventKind};
use serde_json::{Value, json};
use warp::http::StatusCode;

use crate::server::{Answer, PASSWORD, Server, claims, request, seconds, spawn, spawn_with};

/// The page that has every route of the administration: another test compares it with the code.
const PAGE: &str = include_str!("../../docs/administration.md");

/// What no token reaches: bodies without a bound, and the hashes of passwords.
const OF_THE_OPERATOR: [(&str, &str); 2] = [("POST", "/admin/import"), ("GET", "/admin/export")];

/// Each method and path of the page, with `x` for its parameters.
fn routes() -> Vec<(String, String)> {
    let section = PAGE.split("\n## Requests\n").nth(1).unwrap();
    let rows = section.lines().filter(|line| line.contains("| `/admin/"));
    let routes = rows.flat_map(|row| {
        let mut cells = row.split('|').skip(1);
        let (methods, path) = (cells.next().unwrap(), cells.next().unwrap());
        let path = path.trim().trim_matches('`').to_owned();
        let path = path
            .split('/')
            .map(|segment| if segment.starts_with('{') { "x" } else { segment });
        let path = path.collect::<Vec<_>>().join("/");
        let method = move |method: &str| (method.trim().trim_matches('`').to_owned(), path.clone());
        methods.split(',').map(method).collect::<Vec<_>>()
    });
    routes.collect()
}

impl Server {
    async fn administer(&self, method: &str, path: &str, token: Option<&str>, body: &Value) -> Answer {
        let mut request = request(method, path).json(body);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        self.send(request).await
    }

    /// Makes an API token with all roles of the session, and this scope.
    async fn api_token_of(&self, session: &str, roles: &[&str], scope: Option<&str>) -> Answer {
        let mut wanted = json!({ "name": "script", "roles": roles, "expires_in": 86_400 });
        if let Some(scope) = scope {
            wanted["scope"] = scope.into();
        }
        self.post_with_token("/me/tokens", session, &wanted).await
    }
}

/// A server with the administration, and a session of ada, who administers.
async fn with_ada() -> (Server, String) {
    let server = spawn_with(|config| config.admin.enabled = true).await;
    let token = server.user("ada").await;
    server.set_roles("ada", &["CLIENT", "ADMIN"]).await;
    (server, token)
}

fn text_of(answer: &Answer, field: &str) -> String {
    answer.json()[field].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn without_the_setting_there_is_no_administration() {
    let server = spawn().await;
    let token = server.user("ada").await;
    server.set_roles("ada", &["ADMIN"]).await;
    for (method, path) in routes() {
        let answer = server.administer(&method, &path, Some(&token), &json!({})).await;
        answer.assert_problem(StatusCode::NOT_FOUND, "not_found");
    }
}

#[tokio::test]
async fn each_route_refuses_all_but_administrators() {
    let (server, admin) = with_ada().await;
    let client = server.user("bob").await;
    let plain = text_of(&server.api_token_of(&admin, &["ADMIN"], None).await, "token");
    let ended = server.sign_in("ada", PASSWORD).await.token();
    server.log_out(&ended).await;
    assert!(routes().len() > 10, "{:?}", routes());
    for (method, path) in OF_THE_OPERATOR {
        let answer = server.administer(method, path, Some(&admin), &json!({})).await;
        answer.assert_problem(StatusCode::NOT_FOUND, "not_found");
    }
    let of_the_operator =
        |(method, path): &(String, String)| OF_THE_OPERATOR.contains(&(method.as_str(), path.as_str()));
    for (method, path) in routes().into_iter().filter(|route| !of_the_operator(route)) {
        let ask = async |token: Option<&str>| server.administer(&method, &path, token, &json!({})).await;
        let nothing = "Bearer realm=\"jwt-server\"";
        ask(None).await.assert_unauthorized("missing_token", nothing);
        ask(Some(&ended)).await.assert_dead();
        for (token, scope) in [(&client, "ADMIN"), (&plain, "admin")] {
            let refused = ask(Some(token)).await;
            refused.assert_problem(StatusCode::FORBIDDEN, "insufficient_scope");
            let challenge =
                format!("Bearer realm=\"jwt-server\", error=\"insufficient_scope\", scope=\"{scope}\"");
            assert_eq!(refused.header("www-authenticate"), challenge, "{method} {path}");
        }
        let asked_more = format!("{path}?surprise=1");
        let refused = server
            .administer(&method, &asked_more, Some(&admin), &json!({}))
            .await;
        refused.assert_fields(&[("surprise", "unknown")]);
        let allowed = ask(Some(&admin)).await;
        assert!(
            ![401, 403].contains(&allowed.status.as_u16()) && !allowed.status.is_server_error(),
            "{method} {path}: {allowed:?}"
        );
    }
    assert_eq!(
        server.me(&client).await.status,
        StatusCode::OK,
        "no refusal did anything"
    );
}

#[tokio::test]
async fn an_administrator_is_the_actor_and_is_one_no_longer_at_the_next_request() {
    let (server, admin) = with_ada().await;
    let made = server.api_token_of(&admin, &["ADMIN"], Some("admin")).await;
    assert_eq!(text_of(&made, "scope"), "admin");
    let script = text_of(&made, "token");
    server.user("bob").await;
    let ada = claims(&admin)["sub"].as_str().unwrap().to_owned();
    for (n, token) in [&admin, &script].into_iter().enumerate() {
        let page = server
            .administer("GET", "/admin/users?prefix=bob", Some(token), &json!({}))
            .await;
        let bob = page.json()["users"][0]["id"].as_str().unwrap().to_owned();
        server.events.take();
        let path = format!("/admin/users/{bob}");
        let body = json!({ "display_name": format!("Bob {n}") });
        let changed = server.administer("PATCH", &path, Some(token), &body).await;
        changed.assert_status(StatusCode::OK);
        let event = server.events.take_one();
        assert_eq!(event.kind, EventKind::DisplayNameChanged);
        let Actor::User {
            id,
            session,
            api_token,
        } = event.actor
        else {
            panic!("{event:?}")
        };
        assert_eq!(
            (id.to_string(), session.is_some(), api_token.is_some()),
            (ada.clone(), n == 0, n == 1)
        );
    }
    server.set_roles("ada", &["CLIENT"]).await;
    for token in [&admin, &script] {
        let refused = server
            .administer("GET", "/admin/users", Some(token), &json!({}))
            .await;
        refused.assert_problem(StatusCode::FORBIDDEN, "insufficient_scope");
    }
}

#[tokio::test]
async fn the_scope_of_an_api_token_is_its_users_to_give_and_is_shown() {
    let (server, admin) = with_ada().await;
    let client = server.user("bob").await;
    let fields = [("scope", "needs_role")];
    server
        .api_token_of(&admin, &["CLIENT"], Some("admin"))
        .await
        .assert_fields(&fields);
    let refused = server.api_token_of(&client, &["CLIENT"], Some("admin")).await;
    refused.assert_fields(&fields);
    for unknown in ["", "Admin", "admin users", "ADMIN"] {
        let refused = server.api_token_of(&admin, &["ADMIN"], Some(unknown)).await;
        refused.assert_fields(&[("scope", "unknown_scope")]);
    }
    server
        .api_token_of(&admin, &["ADMIN"], Some("admin"))
        .await
        .assert_status(StatusCode::CREATED);
    server
        .api_token_of(&admin, &["ADMIN"], None)
        .await
        .assert_status(StatusCode::CREATED);
    let server = server.restart().await;
    let listed = server.get("/me/sessions", &admin).await.json();
    let listed = listed["sessions"].as_array().unwrap().iter();
    let scopes: Vec<_> = listed
        .filter(|one| one["name"] == "script")
        .map(|one| &one["scope"])
        .collect();
    assert_eq!(scopes.len(), 2, "{scopes:?}");
    assert!(
        scopes.contains(&&json!("admin")) && scopes.contains(&&Value::Null),
        "{scopes:?}"
    );
}

#[tokio::test]
async fn what_cannot_be_undone_asks_for_a_recent_password() {
    let server = spawn_with(|config| {
        config.admin.enabled = true;
        config.token.policy.lifetime = seconds(3600);
    })
    .await;
    let admin = server.user("ada").await;
    server.set_roles("ada", &["CLIENT", "ADMIN"]).await;
    let made = server.api_token_of(&admin, &["ADMIN"], Some("admin")).await;
    let script = text_of(&made, "token");
    let mut paths = Vec::new();
    for (method, path) in [("POST", "/password"), ("POST", "/reset"), ("DELETE", "")] {
        let name = format!("user-{}", paths.len());
        server.sign_up(&name, PASSWORD).await;
        let query = format!("/admin/users?prefix={name}");
        let page = server.administer("GET", &query, Some(&script), &json!({})).await;
        let id = page.json()["users"][0]["id"].as_str().unwrap().to_owned();
        paths.push((method, format!("/admin/users/{id}{path}")));
    }
    let body = |path: &str| {
        if path.ends_with("/password") {
            json!({ "password": "another horse battery" })
        } else {
            json!({})
        }
    };
    server.advance(seconds(900));
    server.events.take();
    for (method, path) in &paths {
        let refused = server.administer(method, path, Some(&admin), &body(path)).await;
        refused.assert_problem(StatusCode::FORBIDDEN, "confirmation_required");
    }
    assert_eq!(server.events.take(), [], "nothing was done");
    let listed = server
        .administer("GET", "/admin/users", Some(&admin), &json!({}))
        .await;
    listed.assert_status(StatusCode::OK);
    let confirm = json!({ "password": PASSWORD });
    let confirmed = server.post_with_token("/me/confirm", &admin, &confirm).await;
    confirmed.assert_status(StatusCode::OK);
    for (method, path) in &paths {
        let done = server.administer(method, path, Some(&admin), &body(path)).await;
        assert!(done.status.is_success(), "{method} {path}: {}", done.text());
    }
    server.advance(seconds(900));
    for (method, path) in &paths[..2] {
        let done = server.administer(method, path, Some(&script), &body(path)).await;
        assert!(done.status.is_success(), "{method} {path}: {}", done.text());
    }
}

/// A server with the administration whose access tokens last for hours, a session of ada, who administers, and an API token of hers
/// with the scope `admin`. The sign-in was 15 minutes ago.
async fn with_a_stale_session() -> (Server, String, String) {
    let server = spawn_with(|config| {
        config.admin.enabled = true;
        config.token.policy.lifetime = seconds(4 * 3600);
        config.token.policy.refresh_window = seconds(4 * 3600);
    })
    .await;
    let admin = server.user("ada").await;
    server.set_roles("ada", &["CLIENT", "ADMIN"]).await;
    let made = server.api_token_of(&admin, &["ADMIN"], Some("admin")).await;
    server.advance(seconds(900));
    (server, admin, text_of(&made, "token"))
}

#[tokio::test]
async fn what_gives_power_asks_for_a_recent_password() {
    let (server, admin, script) = with_a_stale_session().await;
    let bob = server.add("bob", &["CLIENT"]).await;
    let former = server.add("former", &["ADMIN"]).await;
    let disabled = json!({ "disabled": true });
    server.operate("PATCH", &former, Some(disabled)).await;
    let roles = format!("{bob}/roles");
    let new = |name: &str, roles: &[&str]| json!({ "username": name, "password": PASSWORD, "roles": roles });
    let of_power = [
        ("POST", "/admin/users", new("eve", &["CLIENT", "ADMIN"])),
        ("PATCH", &bob, json!({ "roles": ["ADMIN"] })),
        ("POST", &roles, json!({ "role": "ADMIN" })),
        ("POST", &roles, json!({ "role": "ADMIN", "until": "2030-01-01" })),
        ("PATCH", &former, json!({ "disabled": false })),
        (
            "POST",
            "/admin/invitations",
            json!({ "roles": ["CLIENT", "ADMIN"] }),
        ),
        (
            "POST",
            "/me/tokens",
            json!({ "name": "script", "roles": ["ADMIN"], "scope": "admin", "expires_in": 60 }),
        ),
    ];
    server.events.take();
    for (method, path, body) in &of_power {
        let refused = server.administer(method, path, Some(&admin), body).await;
        refused.assert_problem(StatusCode::FORBIDDEN, "confirmation_required");
    }
    assert_eq!(server.events.take(), [], "nothing was done");
    // The daily work needs none.
    let editor = format!("{roles}/EDITOR");
    for (method, path, body) in [
        ("POST", "/admin/users", new("carol", &["CLIENT", "EDITOR"])),
        ("PATCH", &bob, json!({ "roles": ["CLIENT"] })),
        ("POST", &roles, json!({ "role": "EDITOR" })),
        ("DELETE", &editor, json!({})),
        ("PATCH", &bob, json!({ "disabled": true })),
        ("PATCH", &bob, json!({ "disabled": false })),
        ("PATCH", &bob, json!({ "display_name": "Bob" })),
        ("POST", "/admin/invitations", json!({ "roles": ["EDITOR"] })),
        (
            "POST",
            "/me/tokens",
            json!({ "name": "plain", "roles": ["ADMIN"], "expires_in": 60 }),
        ),
    ] {
        let done = server.administer(method, path, Some(&admin), &body).await;
        assert!(done.status.is_success(), "{method} {path}: {}", done.text());
    }
    let confirm = json!({ "password": PASSWORD });
    let confirmed = server.post_with_token("/me/confirm", &admin, &confirm).await;
    confirmed.assert_status(StatusCode::OK);
    for (method, path, body) in &of_power {
        let done = server.administer(method, path, Some(&admin), body).await;
        assert!(done.status.is_success(), "{method} {path}: {}", done.text());
    }
    // The scope of an API token decides what it may.
    server.advance(seconds(900));
    for (method, path, body) in &of_power[1..of_power.len() - 1] {
        let done = server.administer(method, path, Some(&script), body).await;
        assert!(done.status.is_success(), "{method} {path}: {}", done.text());
    }
}

#[tokio::test]
async fn what_is_wrong_comes_before_the_question_for_a_password() {
    let (server, admin, _) = with_a_stale_session().await;
    let bob = server.add("bob", &["CLIENT"]).await;
    for (path, body, field) in [
        (
            "/admin/users",
            json!({ "username": "", "password": PASSWORD, "roles": ["ADMIN"] }),
            ("username", "too_short"),
        ),
        (
            "/admin/invitations",
            json!({ "roles": ["ADMIN"], "x": 1 }),
            ("x", "unknown"),
        ),
        (
            &format!("{bob}/roles"),
            json!({ "role": "ADMIN", "until": "2020-01-01" }),
            ("until", "out_of_range"),
        ),
    ] {
        let refused = server.administer("POST", path, Some(&admin), &body).await;
        refused.assert_fields(&[field]);
    }
}

#[tokio::test]
async fn no_code_of_a_copied_session_outlives_a_new_password() {
    let (server, _) = with_ada().await;
    let bob = server.add("bob", &["CLIENT"]).await;
    let reset = format!("{bob}/reset");
    let codes = async |token: &str| {
        let body = json!({ "roles": ["EDITOR"] });
        let invitation = server
            .administer("POST", "/admin/invitations", Some(token), &body)
            .await;
        let code = server.administer("POST", &reset, Some(token), &json!({})).await;
        (text_of(&invitation, "invitation"), text_of(&code, "token"))
    };
    let uses = async |name: &str, (invitation, code): &(String, String)| {
        let body = json!({ "username": name, "password": PASSWORD, "invitation": invitation });
        let signed_up = server.post("/signup", &body).await;
        let body = json!({ "token": code, "password": "another horse battery" });
        [signed_up, server.post("/password-reset", &body).await]
    };
    let session = server.sign_in("ada", PASSWORD).await.token();
    let made = codes(&session).await;
    let change = json!({ "current_password": PASSWORD, "new_password": "another horse battery" });
    let changed = server.post_with_token("/me/password", &session, &change).await;
    let [signed_up, reset_by] = uses("eve", &made).await;
    signed_up.assert_problem(StatusCode::FORBIDDEN, "invalid_invitation");
    reset_by.assert_problem(StatusCode::FORBIDDEN, "invalid_reset_token");
    let made = codes(&changed.token()).await;
    for used in uses("carol", &made).await {
        assert!(used.status.is_success(), "{}", used.text());
    }
}

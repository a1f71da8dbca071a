//! The administration: what its routes answer to the operator, and that they answer nobody else.

use jwt_server::{
    event::{Actor, EventKind},
    http::{Administration, Operator},
};
use serde_json::{Value, json};
use warp::http::{Request, StatusCode};

use crate::server::{Answer, PASSWORD, Server, claims, request, spawn};

/// The user of the operating system for whom the tests' administration is.
pub(crate) const OWNER: u32 = 1234;

pub(crate) fn administration(server: &Server) -> Administration {
    Administration::new(server.auth.accounts().clone(), &server.config, OWNER)
}

impl Server {
    /// Sends a request as the operator.
    pub(crate) async fn operate(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let mut request = request(method, path).extension(Operator { uid: OWNER });
        if let Some(body) = body {
            request = request.json(&body);
        }
        let (parts, body) = request.reply(&administration(self).app()).await.into_parts();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    pub(crate) async fn show(&self, path: &str) -> Value {
        let answer = self.operate("GET", path, None).await;
        answer.assert_status(StatusCode::OK);
        answer.json()
    }

    /// Adds a user, and returns the path of their route.
    pub(crate) async fn add(&self, name: &str, roles: &[&str]) -> String {
        let new = json!({ "username": name, "password": PASSWORD, "roles": roles });
        let added = self.operate("POST", "/admin/users", Some(new)).await;
        added.assert_status(StatusCode::CREATED);
        format!("/admin/users/{}", added.json()["id"].as_str().unwrap())
    }

    pub(crate) async fn api_token(&self, token: &str) -> String {
        let wanted = json!({ "name": "script", "roles": ["CLIENT"], "expires_in": 86_400 });
        let made = self.post_with_token("/me/tokens", token, &wanted).await;
        made.assert_status(StatusCode::CREATED);
        made.json()["token"].as_str().unwrap().to_owned()
    }
}

/// The usernames of a page, and where the next one begins.
fn names(page: &Value) -> (Vec<&str>, Option<&str>) {
    let users = page["users"].as_array().unwrap().iter();
    let names = users.map(|user| user["username"].as_str().unwrap()).collect();
    (names, page["next"].as_str())
}

#[tokio::test]
async fn users_are_listed_in_pages_and_by_what_they_are() {
    let server = spawn().await;
    for (name, roles) in [
        ("bob", &["CLIENT"][..]),
        ("ada", &["CLIENT", "ADMIN"]),
        ("adam", &["CLIENT"]),
        ("eve", &[]),
    ] {
        server.add(name, roles).await;
    }
    let eve = server.show("/admin/users?prefix=eve").await["users"][0]["id"].clone();
    let eve = format!("/admin/users/{}", eve.as_str().unwrap());
    let disabled = server
        .operate("PATCH", &eve, Some(json!({ "disabled": true })))
        .await;
    disabled.assert_status(StatusCode::OK);
    for (query, expected) in [
        ("", &["ada", "adam", "bob", "eve"][..]),
        ("?prefix=AD", &["ada", "adam"]),
        ("?role=ADMIN", &["ada"]),
        ("?disabled=true", &["eve"]),
        ("?disabled=false&role=CLIENT&prefix=b", &["bob"]),
        ("?prefix=zed", &[]),
        ("?prefix=", &["ada", "adam", "bob", "eve"]),
    ] {
        let page = server.show(&format!("/admin/users{query}")).await;
        assert_eq!(names(&page), (expected.to_vec(), None), "{query}");
    }
    let first = server.show("/admin/users?limit=3").await;
    let (users, next) = names(&first);
    assert_eq!(users, ["ada", "adam", "bob"]);
    let last = server
        .show(&format!("/admin/users?limit=3&after={}", next.unwrap()))
        .await;
    assert_eq!(names(&last), (vec!["eve"], None));
    let ada = &first["users"][0];
    assert_eq!(ada["roles"], json!(["CLIENT", "ADMIN"]));
    assert_eq!(
        (&ada["disabled"], &ada["display_name"]),
        (&json!(false), &Value::Null)
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said_field_by_field() {
    let server = spawn().await;
    let ada = server.add("ada", &["CLIENT"]).await;
    for (query, fields) in [
        ("limit=0", &[("limit", "out_of_range")][..]),
        ("limit=501", &[("limit", "out_of_range")]),
        ("limit=many", &[("limit", "out_of_range")]),
        ("after=nowhere!", &[("after", "bad_cursor")]),
        ("disabled=maybe", &[("disabled", "wrong_type")]),
        (
            "role=admin&prefix=%C3%A4",
            &[("prefix", "bad_character"), ("role", "bad_role")],
        ),
        ("name=ada", &[("name", "unknown")]),
        (
            "prefix=&role=&disabled=",
            &[("role", "bad_role"), ("disabled", "wrong_type")],
        ),
    ] {
        let answer = server
            .operate("GET", &format!("/admin/users?{query}"), None)
            .await;
        answer.assert_fields(fields);
    }
    let twice = server.operate("GET", "/admin/users?limit=1&limit=2", None).await;
    twice.assert_status(StatusCode::BAD_REQUEST);
    let bad = json!({ "username": "a", "password": PASSWORD, "roles": ["admin"] });
    let added = server.operate("POST", "/admin/users", Some(bad)).await;
    added.assert_fields(&[("username", "too_short"), ("roles", "bad_role")]);
    for (change, fields) in [
        (json!({}), &[("display_name", "required")][..]),
        (json!({ "roles": "ADMIN" }), &[("roles", "wrong_type")]),
        (json!({ "disabled": 1 }), &[("disabled", "wrong_type")]),
        (
            json!({ "disabled": true, "password": "x" }),
            &[("password", "unknown")],
        ),
    ] {
        let changed = server.operate("PATCH", &ada, Some(change)).await;
        changed.assert_fields(fields);
    }
    let several = json!({ "roles": ["ADMIN"], "disabled": true });
    let changed = server.operate("PATCH", &ada, Some(several)).await;
    changed.assert_fields(&[("disabled", "one_at_a_time")]);
    let user = server.show(&ada).await;
    assert_eq!(
        (&user["roles"], &user["disabled"]),
        (&json!(["CLIENT"]), &json!(false))
    );
    let weak = json!({ "password": "password" });
    let set = server
        .operate("POST", &format!("{ada}/password"), Some(weak))
        .await;
    set.assert_fields(&[("password", "too_weak")]);
}

#[tokio::test]
async fn each_change_is_one_event_of_the_operator() {
    let server = spawn().await;
    let path = server.add("ada", &["CLIENT"]).await;
    let token = server.sign_in("ada", PASSWORD).await.token();
    server.events.take();
    let changes = [
        (
            "PATCH",
            "",
            Some(json!({ "roles": ["CLIENT", "EDITOR"] })),
            "roles_changed",
        ),
        (
            "PATCH",
            "",
            Some(json!({ "display_name": "Ada" })),
            "display_name_changed",
        ),
        (
            "PATCH",
            "",
            Some(json!({ "display_name": null })),
            "display_name_changed",
        ),
        ("PATCH", "", Some(json!({ "disabled": true })), "user_disabled"),
        ("PATCH", "", Some(json!({ "disabled": false })), "user_enabled"),
        (
            "POST",
            "/password",
            Some(json!({ "password": "another horse battery" })),
            "password_set",
        ),
        ("DELETE", "", None, "user_deleted"),
    ];
    for (method, below, body, kind) in changes {
        let answer = server.operate(method, &format!("{path}{below}"), body).await;
        assert!(answer.status.is_success(), "{kind}: {}", answer.text());
        let event = server.events.take_one();
        assert_eq!(event.kind.name(), kind);
        assert_eq!(event.actor, Actor::Operator { uid: Some(OWNER) });
        assert!(event.subject.is_some());
    }
    server.welcome(&token).await.assert_dead();
    server
        .operate("GET", &path, None)
        .await
        .assert_problem(StatusCode::NOT_FOUND, "not_found");
}

#[tokio::test]
async fn no_token_of_a_disabled_user_is_accepted() {
    let server = spawn().await;
    let path = server.add("ada", &["CLIENT"]).await;
    let token = server.sign_in("ada", PASSWORD).await.token();
    let api_token = server.api_token(&token).await;
    for token in [&token, &api_token] {
        // So that it is known, and in the cache.
        server.welcome(token).await.assert_welcome("ada", "CLIENT");
    }
    server
        .operate("PATCH", &path, Some(json!({ "disabled": true })))
        .await;
    for token in [&token, &api_token] {
        server.welcome(token).await.assert_dead();
    }
    let refused = server.sign_in("ada", PASSWORD).await;
    refused.assert_problem(StatusCode::FORBIDDEN, "account_disabled");
    server
        .operate("PATCH", &path, Some(json!({ "disabled": false })))
        .await;
    server.welcome(&api_token).await.assert_welcome("ada", "CLIENT");
}

#[tokio::test]
async fn a_set_password_ends_what_the_old_one_began() {
    for keeps in [false, true] {
        let server = spawn().await;
        let path = server.add("ada", &["CLIENT"]).await;
        let token = server.sign_in("ada", PASSWORD).await.token();
        let api_token = server.api_token(&token).await;
        let set = json!({ "password": "another horse battery", "keep_api_tokens": keeps });
        let answer = server
            .operate("POST", &format!("{path}/password"), Some(set))
            .await;
        answer.assert_status(StatusCode::OK);
        server.welcome(&token).await.assert_dead();
        let kept = server.welcome(&api_token).await.status == StatusCode::OK;
        assert_eq!(kept, keeps);
        let old = server.sign_in("ada", PASSWORD).await;
        old.assert_problem(StatusCode::UNAUTHORIZED, "invalid_credentials");
        server.sign_in("ada", "another horse battery").await.token();
    }
}

#[tokio::test]
async fn sessions_and_api_tokens_are_listed_and_ended_one_by_one_and_at_once() {
    let server = spawn().await;
    let path = server.add("ada", &["CLIENT"]).await;
    server.add("bob", &["CLIENT"]).await;
    let bob = server.sign_in("bob", PASSWORD).await.token();
    let first = server.sign_in("ada", PASSWORD).await.token();
    let second = server.sign_in("ada", PASSWORD).await.token();
    let script = server.api_token(&first).await;
    let (sessions, tokens) = (format!("{path}/sessions"), format!("{path}/tokens"));
    let listed = server.show(&sessions).await;
    assert_eq!(listed["sessions"].as_array().unwrap().len(), 2);
    let id = |list: &Value| list[0]["id"].as_str().unwrap().to_owned();
    let oldest = claims(&first)["sid"].as_str().unwrap().to_owned();
    let of_bob = server.show("/admin/users?prefix=bob").await["users"][0]["id"].clone();
    let of_bob = format!("/admin/users/{}/sessions", of_bob.as_str().unwrap());
    // Another user's session is none of this one's.
    for (path, id) in [(&of_bob, oldest.as_str()), (&sessions, "x"), (&tokens, &oldest)] {
        let answer = server.operate("DELETE", &format!("{path}/{id}"), None).await;
        answer.assert_problem(StatusCode::NOT_FOUND, "not_found");
    }
    server.events.take();
    let ended = server
        .operate("DELETE", &format!("{sessions}/{oldest}"), None)
        .await;
    ended.assert_status(StatusCode::NO_CONTENT);
    assert!(matches!(
        server.events.take_kinds()[..],
        [EventKind::SessionEnded { .. }]
    ));
    server.welcome(&first).await.assert_dead();
    server.welcome(&second).await.assert_welcome("ada", "CLIENT");

    // A variable that is not set must not end more than was meant.
    let unset = format!("{sessions}?keep_api_tokens=");
    let refused = server.operate("DELETE", &unset, None).await;
    refused.assert_fields(&[("keep_api_tokens", "wrong_type")]);
    server.welcome(&second).await.assert_welcome("ada", "CLIENT");
    let kept = server
        .operate("DELETE", &format!("{sessions}?keep_api_tokens=true"), None)
        .await;
    assert_eq!(kept.json(), json!({ "ended": 1 }));
    server.welcome(&second).await.assert_dead();
    server.welcome(&script).await.assert_welcome("ada", "CLIENT");
    let listed = server.show(&tokens).await;
    assert_eq!(listed["tokens"][0]["name"], "script");
    let token = format!("{tokens}/{}", id(&listed["tokens"]));
    let revoked = server.operate("DELETE", &token, None).await;
    revoked.assert_status(StatusCode::NO_CONTENT);
    server.welcome(&script).await.assert_dead();
    let again = server.operate("DELETE", &token, None).await;
    again.assert_problem(StatusCode::NOT_FOUND, "not_found");

    let third = server.sign_in("ada", PASSWORD).await.token();
    let scripts = [server.api_token(&third).await, server.api_token(&third).await];
    let revoked = server.operate("DELETE", &tokens, None).await;
    assert_eq!(revoked.json(), json!({ "ended": 2 }));
    for script in scripts {
        server.welcome(&script).await.assert_dead();
    }
    server.api_token(&third).await;
    let ended = server.operate("DELETE", &sessions, None).await;
    assert_eq!(ended.json(), json!({ "ended": 2 }), "the API token too");
    server.welcome(&bob).await.assert_welcome("bob", "CLIENT");
}

#[tokio::test]
async fn the_last_administrator_stays() {
    let server = spawn().await;
    let path = server.add("ada", &["ADMIN"]).await;
    for (method, body) in [
        ("PATCH", Some(json!({ "roles": ["CLIENT"] }))),
        ("PATCH", Some(json!({ "disabled": true }))),
        ("DELETE", None),
    ] {
        let answer = server.operate(method, &path, body).await;
        answer.assert_problem(StatusCode::CONFLICT, "last_administrator");
    }
    server.add("bob", &["ADMIN"]).await;
    let answer = server.operate("DELETE", &path, None).await;
    answer.assert_status(StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn only_root_and_the_owner_are_answered() {
    let server = spawn().await;
    let app = administration(&server).app();
    let status = |operator: Option<u32>| {
        let mut request = request("GET", "/admin/status");
        if let Some(uid) = operator {
            request = request.extension(Operator { uid });
        }
        let app = app.clone();
        async move { request.reply(&app).await.status() }
    };
    assert_eq!(status(Some(0)).await, StatusCode::OK);
    assert_eq!(status(Some(OWNER)).await, StatusCode::OK);
    assert_eq!(status(Some(OWNER + 1)).await, StatusCode::NOT_FOUND);
    assert_eq!(status(None).await, StatusCode::NOT_FOUND);
    // Not even with a token of an administrator, because these routes read none.
    server.add("ada", &["ADMIN", "CLIENT"]).await;
    let token = server.sign_in("ada", PASSWORD).await.token();
    let bearer = request("GET", "/admin/status").header("authorization", format!("Bearer {token}"));
    assert_eq!(bearer.reply(&app).await.status(), StatusCode::NOT_FOUND);
    // And the public routes have no administration, whoever asks.
    for path in ["/admin/users", "/admin/status"] {
        let public = request("GET", path).extension(Operator { uid: 0 });
        server
            .send(public)
            .await
            .assert_problem(StatusCode::NOT_FOUND, "not_found");
    }
}

#[tokio::test]
async fn a_command_is_answered_in_its_own_process_as_over_the_socket() {
    let server = spawn().await;
    server.add("ada", &["CLIENT"]).await;
    let request = Request::builder()
        .uri("/admin/status")
        .body(String::new())
        .unwrap();
    let answer = administration(&server).answer(request).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let status = server.show("/admin/status").await;
    assert_eq!((&status["users"], &status["sessions"]), (&json!(1), &json!(0)));
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn an_invitation_is_made_listed_and_revoked() {
    let server = spawn().await;
    let invite = async |body: Value| server.operate("POST", "/admin/invitations", Some(body)).await;
    let mut made = Vec::new();
    for n in 0..3 {
        let answer = invite(json!({ "roles": ["CLIENT", "EDITOR"], "expires_in": 60 + n })).await;
        answer.assert_status(StatusCode::CREATED);
        assert_eq!(answer.header("cache-control"), "no-store", "it has a secret");
        made.push(answer.json());
        server.advance(std::time::Duration::from_secs(1));
    }
    assert_eq!(made[0]["expires_at"], "2027-01-15T08:01:00Z");
    assert!(made[0]["invitation"].as_str().unwrap().starts_with("jwi_"));
    let by_default = invite(json!({ "roles": [], "username": " Ada " })).await.json();
    assert_eq!(by_default["expires_at"], "2027-01-22T08:00:03Z");
    assert_eq!(
        (&by_default["username"], &by_default["made_by"]),
        (&json!("ada"), &Value::Null)
    );
    let page = server.show("/admin/invitations?limit=3").await;
    let listed = page["invitations"].as_array().unwrap();
    for (one, made) in listed.iter().zip(&made) {
        let mut expected = made.clone();
        expected.as_object_mut().unwrap().remove("invitation");
        assert_eq!(*one, expected, "its text is shown once");
    }
    let next = page["next"].as_str().unwrap();
    let page = server
        .show(&format!("/admin/invitations?limit=3&after={next}"))
        .await;
    assert_eq!(page["invitations"][0]["id"], by_default["id"]);
    assert_eq!(page.get("next"), None);
    let path = format!("/admin/invitations/{}", made[1]["id"].as_str().unwrap());
    let revoked = server.operate("DELETE", &path, None).await;
    revoked.assert_status(StatusCode::NO_CONTENT);
    for gone in [&path, "/admin/invitations/x"] {
        let answer = server.operate("DELETE", gone, None).await;
        answer.assert_problem(StatusCode::NOT_FOUND, "not_found");
    }
    let body = json!({"username": "eve", "password": PASSWORD, "invitation": made[1]["invitation"]});
    let refused = server.post("/signup", &body).await;
    refused.assert_problem(StatusCode::FORBIDDEN, "invalid_invitation");
    let body = json!({"username": "eve", "password": PASSWORD, "invitation": made[0]["invitation"]});
    let signed_up = server.post("/signup", &body).await;
    assert_eq!(signed_up.json()["roles"], json!(["CLIENT", "EDITOR"]));
    let page = server.show("/admin/invitations").await;
    let left = page["invitations"].as_array().unwrap().iter();
    assert!(left.map(|one| &one["id"]).eq([&made[2]["id"], &by_default["id"]]));
    for (body, fields) in [
        (json!({}), &[("roles", "required")][..]),
        (json!({ "roles": ["admin"] }), &[("roles", "bad_role")]),
        (
            json!({ "expires_in": 0, "x": 1 }),
            &[
                ("roles", "required"),
                ("expires_in", "out_of_range"),
                ("x", "unknown"),
            ],
        ),
        (
            json!({ "roles": [], "expires_in": 0 }),
            &[("expires_in", "out_of_range")],
        ),
        (
            json!({ "roles": [], "expires_in": 31_536_001 }),
            &[("expires_in", "out_of_range")],
        ),
        (
            json!({ "roles": [], "expires_in": "1d", "username": "a", "made_by": "x" }),
            &[
                ("username", "too_short"),
                ("expires_in", "wrong_type"),
                ("made_by", "unknown"),
            ],
        ),
    ] {
        invite(body).await.assert_fields(fields);
    }
    let bad = server
        .operate("GET", "/admin/invitations?after=x&limit=0", None)
        .await;
    bad.assert_fields(&[("after", "bad_cursor"), ("limit", "out_of_range")]);
}

#[tokio::test]
async fn a_reset_token_is_made_for_a_user_who_can_use_it() {
    let server = spawn().await;
    let ada = server.add("ada", &["CLIENT"]).await;
    let reset = format!("{ada}/reset");
    let answer = server.operate("POST", &reset, Some(json!({}))).await;
    answer.assert_status(StatusCode::CREATED);
    assert_eq!(answer.header("cache-control"), "no-store", "it has a secret");
    assert_eq!(answer.json()["expires_at"], "2027-01-16T08:00:00Z");
    let shorter = server
        .operate("POST", &reset, Some(json!({ "expires_in": 60 })))
        .await;
    assert_eq!(shorter.json()["expires_at"], "2027-01-15T08:01:00Z");
    let body = json!({ "token": shorter.json()["token"], "password": "another horse battery" });
    server.post("/password-reset", &body).await.token();
    for (body, code) in [
        (json!({ "expires_in": 86_401 }), "out_of_range"),
        (json!({ "expires_in": 0 }), "out_of_range"),
        (json!({ "expires_in": "1h" }), "wrong_type"),
    ] {
        let refused = server.operate("POST", &reset, Some(body)).await;
        refused.assert_fields(&[("expires_in", code)]);
    }
    let nobody = "/admin/users/019a2b3c-0000-7000-8000-000000000001/reset";
    let refused = server.operate("POST", nobody, Some(json!({}))).await;
    refused.assert_problem(StatusCode::NOT_FOUND, "not_found");
    let disabled = server
        .operate("PATCH", &ada, Some(json!({ "disabled": true })))
        .await;
    disabled.assert_status(StatusCode::OK);
    let refused = server.operate("POST", &reset, Some(json!({}))).await;
    refused.assert_problem(StatusCode::CONFLICT, "user_disabled");
}

#[tokio::test]
async fn a_set_password_can_be_a_temporary_one() {
    let server = spawn().await;
    let ada = server.add("ada", &["CLIENT"]).await;
    let path = format!("{ada}/password");
    let body = json!({ "password": "another horse battery", "must_change": true });
    let set = server.operate("POST", &path, Some(body)).await;
    assert_eq!(set.json()["must_change_password"], true);
    let answer = server.sign_in("ada", "another horse battery").await;
    answer.assert_problem(StatusCode::FORBIDDEN, "password_change_required");
    let body = json!({ "password": "another horse battery" });
    let set = server.operate("POST", &path, Some(body)).await;
    assert_eq!(set.json().get("must_change_password"), None);
    server.sign_in("ada", "another horse battery").await.token();
}

//! A client that hangs up: its request is dropped wherever it waits. What it has changed by then is told all the same.

use std::{future::poll_fn, pin::pin, task::Poll};

use jwt_server::{event::EventKind, http::Operator};
use serde_json::{Value, json};
use warp::test::RequestBuilder;

use crate::{
    administration::administration,
    server::{PASSWORD, Server, claims, request, seconds, spawn_with},
};

const NEW: &str = "another horse battery";

/// A server with the user ada, who is signed in, and what stands for it in paths and bodies.
struct Scene {
    server: Server,
    names: Vec<(&'static str, String)>,
}

impl Scene {
    async fn new() -> Self {
        let server = spawn_with(|config| config.session.refresh_tokens = Some(seconds(24 * 3600))).await;
        server.add("root", &["ADMIN"]).await;
        server.sign_up("ada", PASSWORD).await;
        let spent = server.sign_in("ada", PASSWORD).await.json()["refresh_token"].clone();
        let signed_in = server.sign_in("ada", PASSWORD).await;
        let token = signed_in.token();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let wanted = json!({"name": "script", "roles": ["CLIENT"], "expires_in": 86_400});
        let made = server.post_with_token("/me/tokens", &token, &wanted).await.json();
        let ada = text(&claims(&token)["sub"]);
        let invitation = json!({"roles": ["CLIENT"], "expires_in": 3600});
        let invited = server
            .operate("POST", "/admin/invitations", Some(invitation))
            .await
            .json();
        let reset = format!("/admin/users/{ada}/reset");
        let reset = server.operate("POST", &reset, Some(json!({}))).await.json();
        server
            .post("/refresh", &json!({ "refresh_token": spent }))
            .await
            .token();
        server.advance(seconds(60));
        server.me(&token).await;
        server.events.take();
        let names = vec![
            ("{ada}", ada),
            ("{sid}", text(&claims(&token)["sid"])),
            ("{tid}", text(&made["id"])),
            ("{api_token}", text(&made["token"])),
            ("{invitation}", text(&invited["id"])),
            ("{code}", text(&invited["invitation"])),
            ("{reset}", text(&reset["token"])),
            ("{spent}", text(&spent)),
            ("{token}", token),
            ("{old}", PASSWORD.to_owned()),
            ("{new}", NEW.to_owned()),
        ];
        Self { server, names }
    }

    fn named(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, value) in &self.names {
            text = text.replace(name, value);
        }
        text
    }

    fn request(&self, method: &str, path: &str, body: &str) -> RequestBuilder {
        let request = request(method, &self.named(path));
        let request = if path.starts_with("/admin") {
            request.extension(Operator { uid: 1234 })
        } else if body.starts_with("token=") {
            request.header("content-type", "application/x-www-form-urlencoded")
        } else if path.contains("/me") || path == "/logout" {
            request.header("authorization", self.named("Bearer {token}"))
        } else {
            request
        };
        match body {
            "" => request,
            form if form.starts_with("token=") => request.body(self.named(form)),
            json => request
                .header("content-type", "application/json")
                .body(self.named(json)),
        }
    }

    /// Drops the request when it waits for the time after `waits` times. Returns the status of an answer that came before.
    async fn hang_up(&self, request: RequestBuilder, by_operator: bool, waits: usize) -> Option<u16> {
        let answering = async {
            let answer = if by_operator {
                request.reply(&administration(&self.server).app()).await
            } else {
                request.reply(&self.server.api.app()).await
            };
            answer.status().as_u16()
        };
        let (mut answering, mut left) = (pin!(answering), waits);
        poll_fn(|context| match answering.as_mut().poll(context) {
            Poll::Ready(status) => Poll::Ready(Some(status)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => {
                left -= 1;
                Poll::Pending
            }
        })
        .await
    }

    /// What there is of users, sessions, API tokens and invitations, once each write that was asked for is done.
    async fn state(&self) -> String {
        self.server.auth.prune().await.unwrap();
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        let mut state = String::new();
        for path in [
            "/admin/users?limit=500",
            "/admin/users/{ada}/sessions",
            "/admin/users/{ada}/tokens",
            "/admin/invitations",
        ] {
            let answer = self.server.operate("GET", &self.named(path), None).await;
            state += &answer.text();
        }
        state
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_changes_nothing_without_an_event() {
    let mut changed_unanswered = 0;
    for (method, path, body) in [
        ("POST", "/signup", r#"{"username":"eve","password":"{old}"}"#),
        (
            "POST",
            "/signup",
            r#"{"username":"eve","password":"{old}","invitation":"{code}"}"#,
        ),
        ("POST", "/signin", r#"{"username":"ada","password":"{old}"}"#),
        (
            "POST",
            "/password-reset",
            r#"{"token":"{reset}","password":"{new}"}"#,
        ),
        ("POST", "/refresh", r#"{"refresh_token":"{spent}"}"#),
        ("POST", "/revoke", "token={token}"),
        ("POST", "/revoke", "token={api_token}"),
        ("POST", "/logout", ""),
        ("PATCH", "/me", r#"{"display_name":"Ada"}"#),
        (
            "POST",
            "/me/password",
            r#"{"current_password":"{old}","new_password":"{new}"}"#,
        ),
        (
            "POST",
            "/me/tokens",
            r#"{"name":"other","roles":["CLIENT"],"expires_in":86400}"#,
        ),
        ("DELETE", "/me/sessions", ""),
        ("DELETE", "/me/sessions/{sid}", ""),
        ("DELETE", "/me", r#"{"current_password":"{old}"}"#),
        (
            "POST",
            "/admin/users",
            r#"{"username":"eve","password":"{old}","roles":["CLIENT"]}"#,
        ),
        ("PATCH", "/admin/users/{ada}", r#"{"disabled":true}"#),
        (
            "PATCH",
            "/admin/users/{ada}",
            r#"{"attributes":{"tenant":"north"}}"#,
        ),
        ("POST", "/admin/users/{ada}/roles", r#"{"role":"EDITOR"}"#),
        ("DELETE", "/admin/users/{ada}/roles/CLIENT", ""),
        ("POST", "/admin/users/{ada}/password", r#"{"password":"{new}"}"#),
        ("DELETE", "/admin/users/{ada}", ""),
        ("DELETE", "/admin/users/{ada}/sessions", ""),
        ("DELETE", "/admin/users/{ada}/sessions/{sid}", ""),
        ("DELETE", "/admin/users/{ada}/tokens", ""),
        ("DELETE", "/admin/users/{ada}/tokens/{tid}", ""),
        (
            "POST",
            "/admin/invitations",
            r#"{"roles":["CLIENT"],"expires_in":3600}"#,
        ),
        ("DELETE", "/admin/invitations/{invitation}", ""),
    ] {
        for waits in 0.. {
            let scene = Scene::new().await;
            let before = scene.state().await;
            let request = scene.request(method, path, body);
            let status = scene.hang_up(request, path.starts_with("/admin"), waits).await;
            let changed = scene.state().await != before;
            let told: Vec<_> = scene.server.events.take_kinds();
            let told = told.iter().filter(|kind| !kind.is_refusal());
            let told: Vec<_> = told.map(EventKind::name).collect();
            let what = format!("{method} {path} {body} after {waits} waits: {status:?}");
            assert_eq!(changed, !told.is_empty(), "{what}: {told:?}");
            changed_unanswered += usize::from(changed && status.is_none());
            if let Some(status) = status {
                let reused = path == "/refresh";
                assert!(changed && (reused || (200..300).contains(&status)), "{what}");
                break;
            }
        }
    }
    // Not each time for each of them: how often a request waits for a password depends on the threads.
    assert!(changed_unanswered >= 10, "{changed_unanswered}");
}

//! `POST /signup` with an invitation.

use std::time::Duration;

use jwt_server::{
    auth::{IssuedInvitation, NewInvitation},
    domain::{CodeLifetime, RequestContext, Role, Roles, UserChange, UserId, Username},
    event::{Actor, EventKind, SignUpRefusal},
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use warp::http::StatusCode;

use crate::server::{Answer, PASSWORD, Server, seconds, spawn, spawn_with};

const OPERATOR: Actor = Actor::Operator { uid: None };
const HOME: &str = "192.0.2.1";
const ELSEWHERE: &str = "198.51.100.7";

impl Server {
    /// Makes an invitation for a user with the role EDITOR, for an hour.
    pub(crate) async fn invite(&self, username: Option<&str>, actor: Actor) -> IssuedInvitation {
        let lifetime = CodeLifetime::within(Duration::from_hours(1), CodeLifetime::LONGEST_INVITATION);
        let wanted = NewInvitation {
            roles: [Role::parse("EDITOR").unwrap()].into_iter().collect(),
            username: username.map(|name| Username::parse(name).unwrap()),
            lifetime: lifetime.unwrap(),
        };
        let context = RequestContext::default();
        let invited = self.auth.accounts().invite(wanted, actor, &context).await;
        invited.unwrap()
    }

    async fn sign_up_with(&self, invitation: &str, username: &str) -> Answer {
        self.sign_up_from(HOME, invitation, username).await
    }

    async fn sign_up_from(&self, address: &str, invitation: &str, username: &str) -> Answer {
        let body = json!({"username": username, "password": PASSWORD, "invitation": invitation});
        self.post_from(address, "/signup", &body).await
    }
}

async fn closed() -> Server {
    spawn_with(|config| config.signup.enabled = false).await
}

fn text(invitation: &IssuedInvitation) -> &str {
    invitation.text.expose_secret()
}

#[tokio::test]
async fn an_invited_person_signs_up_while_sign_up_is_closed() {
    let server = closed().await;
    server.events.take();
    let invitation = server.invite(None, OPERATOR).await;
    assert!(text(&invitation).starts_with("jwi_"));
    let made = server.events.take_one();
    let roles: Roles = [Role::parse("EDITOR").unwrap()].into_iter().collect();
    let kind = EventKind::InvitationMade {
        invitation: invitation.record.id,
        roles: roles.clone(),
    };
    assert_eq!((made.kind, made.subject, made.actor), (kind, None, OPERATOR));

    let answer = server.sign_up_with(text(&invitation), "ada").await;
    answer.assert_status(StatusCode::CREATED);
    let user = answer.json();
    assert_eq!(user["roles"], json!(["EDITOR"]), "and not those of signup.roles");
    let events = server.events.take();
    let kinds: Vec<_> = events.iter().map(|event| event.kind.clone()).collect();
    let spent = EventKind::InvitationUsed {
        invitation: invitation.record.id,
    };
    assert_eq!(kinds, [EventKind::UserCreated { roles }, spent]);
    let id = UserId::parse(user["id"].as_str().unwrap()).unwrap();
    assert!(events.iter().all(|event| event.subject == Some(id)));
    server.sign_in("ada", PASSWORD).await.token();

    let server = server.restart().await;
    let again = server.sign_up_with(text(&invitation), "barbara").await;
    again.assert_problem(StatusCode::FORBIDDEN, "invalid_invitation");
    for body in [
        json!({"username": "barbara", "password": PASSWORD}),
        json!({"username": "barbara", "password": PASSWORD, "invitation": null}),
        json!({"username": "barbara", "password": PASSWORD, "invitation": 7}),
    ] {
        let answer = server.post("/signup", &body).await;
        answer.assert_problem(StatusCode::FORBIDDEN, "signup_closed");
    }
    server.assert_has_no_file_with(text(&invitation).as_bytes());
}

#[tokio::test]
async fn an_invitation_gives_its_roles_where_sign_up_is_open() {
    let server = spawn().await;
    let invitation = server.invite(None, OPERATOR).await;
    let answer = server.sign_up_with(text(&invitation), "ada").await;
    assert_eq!(answer.json()["roles"], json!(["EDITOR"]));
    let none = json!({"username": "barbara", "password": PASSWORD, "invitation": null});
    assert_eq!(
        server.post("/signup", &none).await.json()["roles"],
        json!(["CLIENT"])
    );
    let wrong = json!({"username": "eve", "password": PASSWORD, "invitation": 7});
    let answer = server.post("/signup", &wrong).await;
    answer.assert_fields(&[("invitation", "wrong_type")]);
}

#[tokio::test]
async fn a_bad_invitation_is_one_answer_whatever_is_wrong() {
    let server = closed().await;
    let (used, revoked, expired) = (
        server.invite(None, OPERATOR).await,
        server.invite(None, OPERATOR).await,
        server.invite(None, OPERATOR).await,
    );
    let answer = server.sign_up_with(text(&used), "ada").await;
    answer.assert_status(StatusCode::CREATED);
    let (id, context) = (revoked.record.id, RequestContext::default());
    let accounts = server.auth.accounts();
    server.events.take();
    assert!(accounts.revoke_invitation(id, OPERATOR, &context).await.unwrap());
    let kind = EventKind::InvitationRevoked { invitation: id };
    assert_eq!(server.events.take_one().kind, kind);
    assert!(!accounts.revoke_invitation(id, OPERATOR, &context).await.unwrap());
    server.advance(seconds(3599));
    let kept = server.invite(None, OPERATOR).await;
    server.advance(seconds(1));
    server.events.take();
    let mut answers = Vec::new();
    for bad in [
        text(&used),
        text(&revoked),
        text(&expired),
        "",
        "jwi_x",
        &text(&kept)[..52],
        &text(&kept).replacen("jwi_", "jwp_", 1),
        &format!(" {}", text(&kept)),
    ] {
        let answer = server.sign_up_with(bad, "barbara").await;
        let problem = answer.assert_problem(StatusCode::FORBIDDEN, "invalid_invitation");
        let refused = EventKind::SignUpRefused {
            reason: SignUpRefusal::InvitationRefused,
        };
        assert_eq!(server.events.take_one().kind, refused);
        answers.push(problem);
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    let answer = server.sign_up_with(text(&kept), "barbara").await;
    answer.assert_status(StatusCode::CREATED);
}

#[tokio::test]
async fn a_refused_sign_up_leaves_the_invitation() {
    let server = closed().await;
    let invitation = server.invite(None, OPERATOR).await;
    let bound = server.invite(Some("Ada"), OPERATOR).await;
    let first = server.invite(None, OPERATOR).await;
    let answer = server.sign_up_with(text(&first), "eve").await;
    answer.assert_status(StatusCode::CREATED);
    let sign_up = async |invitation: &IssuedInvitation, username: &str, password: &str| {
        let body = json!({"username": username, "password": password, "invitation": text(invitation)});
        server.post_from(HOME, "/signup", &body).await
    };
    server.events.take();
    let refused = sign_up(&invitation, "eve", PASSWORD).await;
    refused.assert_problem(StatusCode::CONFLICT, "username_taken");
    let refused = sign_up(&bound, "eve", PASSWORD).await;
    refused.assert_fields(&[("username", "not_invited")]);
    let refused = sign_up(&bound, "barbara", PASSWORD).await;
    refused.assert_fields(&[("username", "not_invited")]);
    let refused = sign_up(&invitation, "barbara", "short").await;
    refused.assert_fields(&[("password", "too_short")]);
    let refused = sign_up(&invitation, "barbara", "password").await;
    refused.assert_fields(&[("password", "too_weak")]);
    let reasons: Vec<_> = server.events.take().into_iter().map(|event| event.kind).collect();
    let expected = [
        SignUpRefusal::UsernameTaken,
        SignUpRefusal::AnotherUsername,
        SignUpRefusal::AnotherUsername,
        SignUpRefusal::PasswordRejected,
        SignUpRefusal::PasswordRejected,
    ];
    assert_eq!(
        reasons,
        expected.map(|reason| EventKind::SignUpRefused { reason })
    );
    for (invitation, username) in [(&invitation, "barbara"), (&bound, " ADA ")] {
        let answer = sign_up(invitation, username, PASSWORD).await;
        answer.assert_status(StatusCode::CREATED);
    }
}

#[tokio::test]
async fn of_sign_ups_at_once_by_one_invitation_one_succeeds() {
    let server = closed().await;
    let invitation = server.invite(None, OPERATOR).await;
    let names: Vec<_> = (0..8).map(|n| format!("user-{n}")).collect();
    let uses = names
        .iter()
        .map(|name| server.sign_up_with(text(&invitation), name));
    let answers = futures_util::future::join_all(uses).await;
    let created = answers
        .iter()
        .filter(|answer| answer.status == StatusCode::CREATED);
    assert_eq!(created.count(), 1);
    for answer in answers
        .iter()
        .filter(|answer| answer.status != StatusCode::CREATED)
    {
        answer.assert_problem(StatusCode::FORBIDDEN, "invalid_invitation");
    }
}

#[tokio::test]
async fn an_invitation_ends_with_the_role_of_its_maker() {
    let server = closed().await;
    let first = server.invite(None, OPERATOR).await;
    let answer = server.sign_up_with(text(&first), "leaver").await;
    let id = UserId::parse(answer.json()["id"].as_str().unwrap()).unwrap();
    server.set_roles("leaver", &["ADMIN"]).await;
    let leaver = Actor::User {
        id,
        session: None,
        api_token: None,
    };
    let (before, after) = (
        server.invite(None, leaver).await,
        server.invite(None, leaver).await,
    );
    let answer = server.sign_up_with(text(&before), "ada").await;
    answer.assert_status(StatusCode::CREATED);
    server.change("leaver", UserChange::TakeRole(Role::ADMIN)).await;
    let answer = server.sign_up_with(text(&after), "accomplice").await;
    answer.assert_problem(StatusCode::FORBIDDEN, "invalid_invitation");
}

#[tokio::test]
async fn guesses_of_codes_count_against_the_network() {
    let server = spawn_with(|config| {
        config.signup.enabled = false;
        config.throttle.address_failures = 3.try_into().unwrap();
    })
    .await;
    let invitations: Vec<_> = [
        server.invite(None, OPERATOR).await,
        server.invite(None, OPERATOR).await,
    ]
    .into();
    let reset = json!({"token": "jwp_x", "password": PASSWORD});
    for _ in 0..2 {
        let refused = server.sign_up_with("jwi_x", "eve").await;
        refused.assert_problem(StatusCode::FORBIDDEN, "invalid_invitation");
    }
    // A right one does not count, whatever came before.
    let answer = server.sign_up_with(text(&invitations[0]), "ada").await;
    answer.assert_status(StatusCode::CREATED);
    let refused = server.post_from(HOME, "/password-reset", &reset).await;
    refused.assert_problem(StatusCode::FORBIDDEN, "invalid_reset_token");
    let throttled: [Answer; 2] = [
        server.sign_up_with(text(&invitations[1]), "barbara").await,
        server.post_from(HOME, "/password-reset", &reset).await,
    ];
    for answer in throttled {
        let problem: Value = answer.assert_problem(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts");
        assert!(problem["detail"].as_str().unwrap().contains("Too many sign-ins"));
        assert_eq!(answer.header("retry-after"), "10");
    }
    let answer = server.sign_in_from(HOME, "eve", PASSWORD).await;
    answer.assert_problem(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts");
    let answer = server
        .sign_up_from(ELSEWHERE, text(&invitations[1]), "barbara")
        .await;
    answer.assert_status(StatusCode::CREATED);
    server.advance(seconds(10));
    let refused = server.sign_up_with("jwi_x", "eve").await;
    refused.assert_problem(StatusCode::FORBIDDEN, "invalid_invitation");
}

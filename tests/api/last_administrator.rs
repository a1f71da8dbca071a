//! One administrator stays: what the last one is told who leaves, and administrators who remove each other.

use jwt_server::{
    AuthError, Role,
    auth::Accounts,
    domain::{RequestContext, Roles, UserChange, UserId, Username},
    event::Actor,
};
use serde_json::json;
use warp::http::StatusCode;

use crate::server::{Answer, PASSWORD, Server, request, spawn};

/// Signs up an administrator, and signs them in.
async fn administrator(server: &Server, name: &str) -> (UserId, String) {
    let token = server.user(name).await;
    let name = Username::parse(name).unwrap();
    let user = server.store.user_by_name(&name).await.unwrap().unwrap();
    let roles = [Role::CLIENT, Role::ADMIN].into_iter().collect();
    let promotion = server.store.change_user(user.id, UserChange::Roles(roles));
    assert!(promotion.await.unwrap().changed().is_some());
    (user.id, token)
}

async fn leave(server: &Server, token: &str, password: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    let body = json!({ "current_password": password });
    let request = request("DELETE", "/me").header("authorization", bearer);
    server.send(request.json(&body)).await
}

fn clients() -> Roles {
    [Role::CLIENT].into_iter().collect()
}

#[tokio::test]
async fn the_last_administrator_can_not_delete_the_account() {
    let server = spawn().await;
    let (_, ada) = administrator(&server, "ada").await;
    let bob = server.user("bob").await;
    server.events.take();
    leave(&server, &ada, "wrong password")
        .await
        .assert_problem(StatusCode::FORBIDDEN, "wrong_password");
    server.events.take();
    leave(&server, &ada, PASSWORD)
        .await
        .assert_problem(StatusCode::CONFLICT, "last_administrator");
    assert_eq!(server.events.take(), []);
    server.welcome(&ada).await.assert_welcome("ada", "CLIENT ADMIN");
    // Others may leave, and so may she once there is another one.
    leave(&server, &bob, PASSWORD)
        .await
        .assert_status(StatusCode::NO_CONTENT);
    administrator(&server, "eve").await;
    leave(&server, &ada, PASSWORD)
        .await
        .assert_status(StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn the_last_administrator_keeps_the_role_and_is_not_disabled() {
    let server = spawn().await;
    let (ada, token) = administrator(&server, "ada").await;
    let (accounts, context) = (server.auth.accounts(), RequestContext::default());
    server.events.take();
    let demoted = accounts.set_roles(ada, clients(), Actor::Server, &context);
    assert!(matches!(demoted.await, Err(AuthError::LastAdministrator)));
    let disabled = accounts.set_disabled(ada, true, Actor::Server, &context);
    assert!(matches!(disabled.await, Err(AuthError::LastAdministrator)));
    assert_eq!(server.events.take(), []);
    let server = server.restart().await;
    server.welcome(&token).await.assert_welcome("ada", "CLIENT ADMIN");
}

#[tokio::test]
async fn administrators_who_remove_each_other_leave_one() {
    const ROUNDS: u32 = 20;
    let server = spawn().await;
    let (ada, _) = administrator(&server, "ada").await;
    let (eve, _) = administrator(&server, "eve").await;
    let admins: Roles = [Role::ADMIN].into_iter().collect();
    let (accounts, context) = (server.auth.accounts(), RequestContext::default());
    for round in 0..ROUNDS {
        for user in [ada, eve] {
            let changed = accounts.set_roles(user, admins.clone(), Actor::Server, &context);
            changed.await.unwrap();
            let changed = accounts.set_disabled(user, false, Actor::Server, &context);
            changed.await.unwrap();
        }
        let (one, other) = tokio::join!(
            remove(accounts, ada, round % 2 == 0, round % 5),
            remove(accounts, eve, round % 3 == 0, round % 7),
        );
        let refused = [one, other].iter().filter(|is_removed| !**is_removed).count();
        assert_eq!(refused, 1, "{round}");
    }
}

/// Demotes or disables a user after a while. Returns `false` if no administrator would be left.
async fn remove(accounts: &Accounts, user: UserId, demotes: bool, pause: u32) -> bool {
    for _ in 0..pause {
        tokio::task::yield_now().await;
    }
    let context = RequestContext::default();
    let changed = if demotes {
        accounts.set_roles(user, clients(), Actor::Server, &context).await
    } else {
        accounts.set_disabled(user, true, Actor::Server, &context).await
    };
    match changed {
        Ok(changed) => changed.is_some(),
        Err(AuthError::LastAdministrator) => false,
        Err(error) => panic!("{error}"),
    }
}

//! Keys and limits that are replaced while the server runs.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use jwt_server::{
    Auth, AuthError, Config, Role,
    auth::{Credentials, IssuedToken, KeyRotation, Parts, RotationError, StartError},
    clock::ManualClock,
    config::{Origin, Secret},
    domain::{Algorithm, BearerToken, RequestContext},
    event::{Actor, EventKind, Listeners},
    store,
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use warp::http::StatusCode;

use crate::{
    broken_store::BrokenStore,
    server::{Answer, PASSWORD, START, Server, request, seconds, spawn, spawn_with},
};

const REVOKE: KeyRotation = KeyRotation::Revoke { api_tokens: false };
const OPERATOR: Actor = Actor::Operator { uid: None };

async fn rotate(server: &Server, rotation: KeyRotation) {
    let context = RequestContext::default();
    let rotated = server.auth.rotate_keys(rotation, OPERATOR, &context);
    rotated.await.unwrap();
}

fn kid(token: &str) -> String {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}

async fn published(server: &Server) -> BTreeSet<String> {
    let answer = server.send(request("GET", "/.well-known/jwks.json")).await;
    let keys = answer.json()["keys"].as_array().unwrap().clone();
    keys.iter()
        .map(|key| key["kid"].as_str().unwrap().to_owned())
        .collect()
}

/// Every algorithm whose key this server makes itself fast.
async fn each_server() -> Vec<Server> {
    let mut servers = Vec::new();
    for algorithm in [Algorithm::Hs256, Algorithm::EdDsa] {
        servers.push(
            spawn_with(|config| {
                config.token.algorithm = algorithm;
                config.session.refresh_tokens = Some(Duration::from_hours(24));
            })
            .await,
        );
    }
    servers
}

/// The access token and the refresh token of an answer.
#[track_caller]
fn pair(answer: &Answer) -> (String, String) {
    let refresh_token = answer.json()["refresh_token"].as_str().map(str::to_owned);
    (answer.token(), refresh_token.unwrap())
}

async fn use_token(server: &Server, refresh_token: &str) -> Answer {
    server
        .post("/refresh", &json!({"refresh_token": refresh_token}))
        .await
}

#[tokio::test]
async fn an_online_rotation_signs_at_once_and_ends_no_session() {
    for server in each_server().await {
        let old = server.user("ada").await;
        server.events.take();
        rotate(&server, KeyRotation::Now).await;
        let new = server.sign_in("ada", PASSWORD).await.token();
        assert_ne!(kid(&new), kid(&old));
        for token in [&old, &new] {
            server.welcome(token).await.assert_welcome("ada", "CLIENT");
        }
        let kinds = server.events.take_kinds();
        let rotated = EventKind::SigningKeyRotated { kid: kid(&new) };
        assert_eq!(kinds[0], rotated, "{kinds:?}");
        assert_eq!(kinds.len(), 2, "and the sign-in");
        server.advance(seconds(290));
        let (successor, minted) = {
            let answer = server.refresh(&old).await;
            (answer.token(), answer.times().2)
        };
        assert!(minted && kid(&successor) == kid(&new));
        let server = server.restart().await;
        for token in [&old, &new, &successor] {
            server.welcome(token).await.assert_welcome("ada", "CLIENT");
        }
    }
}

#[tokio::test]
async fn a_key_rotated_ahead_is_published_before_it_signs() {
    let server = spawn_with(|config| config.token.algorithm = Algorithm::EdDsa).await;
    let old = kid(&server.user("ada").await);
    rotate(&server, KeyRotation::Ahead).await;
    let both = published(&server).await;
    assert_eq!(both.len(), 2);
    assert_eq!(kid(&server.sign_in("ada", PASSWORD).await.token()), old);
    server.advance(server.config.token.publish_ahead);
    let new = kid(&server.sign_in("ada", PASSWORD).await.token());
    assert!(new != old && both.contains(&new));
}

#[tokio::test]
async fn an_online_revocation_ends_every_token_at_once() {
    for server in each_server().await {
        server.user("ada").await;
        let (access, refresh) = pair(&server.sign_in("ada", PASSWORD).await);
        // Verified before, so the cache has it with its session.
        for _ in 0..2 {
            server.welcome(&access).await.assert_welcome("ada", "CLIENT");
        }
        rotate(&server, REVOKE).await;
        server.welcome(&access).await.assert_dead();
        server.refresh(&access).await.assert_dead();
        use_token(&server, &refresh).await.assert_dead();
        assert_eq!(server.auth.count().await.unwrap().sessions, Some(0));

        let (new, new_refresh) = pair(&server.sign_in("ada", PASSWORD).await);
        assert_ne!(kid(&new), kid(&access));
        if server.config.token.algorithm.has_public_keys() {
            assert_eq!(published(&server).await, BTreeSet::from([kid(&new)]));
        }
        // Both keys are those that a restart finds.
        let server = server.restart().await;
        server.welcome(&new).await.assert_welcome("ada", "CLIENT");
        server.welcome(&access).await.assert_dead();
        use_token(&server, &refresh).await.assert_dead();
        use_token(&server, &new_refresh).await.token();
    }
}

#[tokio::test]
async fn a_key_of_the_settings_is_not_rotated_online() {
    let server = spawn_with(|config| {
        config.token.secret = Some(Secret {
            bytes: vec![7; 32].into(),
            origin: Origin::Default,
        });
    })
    .await;
    let context = RequestContext::default();
    for rotation in [KeyRotation::Ahead, KeyRotation::Now, REVOKE] {
        let refused = server.auth.rotate_keys(rotation, OPERATOR, &context).await;
        assert!(matches!(refused, Err(RotationError::Given(_))), "{rotation:?}");
    }
}

/// A client that refreshes in both ways until it is refused. Returns every token that it got.
async fn refresh_until_refused(auth: Auth, first: IssuedToken) -> Vec<(String, String)> {
    let texts = |issued: &IssuedToken| {
        let refresh = issued.refresh.as_ref().unwrap();
        (
            issued.token.expose_secret().to_owned(),
            refresh.token.expose_secret().to_owned(),
        )
    };
    let mut pairs = vec![texts(&first)];
    loop {
        let (access, refresh) = pairs.last().unwrap().clone();
        let given = auth
            .refresh_with(&refresh.into(), &RequestContext::default())
            .await;
        let stands = auth.refresh(&BearerToken::parse(&access).unwrap()).await;
        match given {
            Ok(issued) => pairs.push(texts(&issued)),
            Err(AuthError::TokenRefused(_)) => {
                assert!(stands.is_err(), "its session is over");
                return pairs;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_online_revocation_amid_refreshes_leaves_nothing_alive() {
    for server in each_server().await {
        server.user("ada").await;
        let (auth, context) = (server.auth.clone(), RequestContext::default());
        let claimed = || Credentials::new("ada", PASSWORD.into());
        for _ in 0..3 {
            let mut clients = Vec::new();
            for _ in 0..4 {
                let first = auth.sign_in(claimed(), &context).await.unwrap();
                clients.push(tokio::spawn(refresh_until_refused(auth.clone(), first)));
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
            let (signing_in, claimed) = (auth.clone(), claimed());
            let signs_in = tokio::spawn(async move {
                let issued = signing_in.sign_in(claimed, &RequestContext::default()).await;
                issued.unwrap().token.expose_secret().to_owned()
            });
            rotate(&server, REVOKE).await;
            let ring = server.auth.accounts().keys().await.unwrap().0;
            let new = ring.newest().unwrap().id.clone();
            assert_eq!(ring.keys().len(), 1);
            for client in clients {
                let given = tokio::time::timeout(Duration::from_secs(20), client).await;
                for (access, refresh) in given.expect("it is refused").unwrap() {
                    let token = BearerToken::parse(&access).unwrap();
                    assert!(auth.authenticate(&token).await.is_err());
                    assert!(auth.refresh_with(&refresh.into(), &context).await.is_err());
                }
            }
            // A sign-in comes before the revocation, and is over, or after it.
            let token = signs_in.await.unwrap();
            let alive = auth.authenticate(&BearerToken::parse(&token).unwrap()).await;
            assert_eq!(alive.is_ok(), kid(&token) == new);
            rotate(&server, REVOKE).await;
        }
    }
}

#[tokio::test]
async fn other_limits_hold_for_the_next_request() {
    let server = spawn().await;
    let token = server.user("ada").await;
    let mut config = server.config.clone();

    config.signup.enabled = false;
    server.auth.apply_limits(&config).unwrap();
    let refused = server.sign_up("barbara", PASSWORD).await;
    refused.assert_problem(StatusCode::FORBIDDEN, "signup_closed");

    config.signup.enabled = true;
    config.signup.roles = [Role::ADMIN].into_iter().collect();
    config.password.min_length = 30;
    server.auth.apply_limits(&config).unwrap();
    let refused = server.sign_up("barbara", PASSWORD).await;
    refused.assert_fields(&[("password", "too_short")]);
    let barbara = server.sign_up("barbara", &PASSWORD.repeat(2)).await;
    assert_eq!(barbara.json()["roles"], json!(["ADMIN"]));

    let wanted = json!({"name": "backup", "roles": ["CLIENT"], "expires_in": 3600});
    let made = server.post_with_token("/me/tokens", &token, &wanted).await;
    made.assert_status(StatusCode::CREATED);
    config.api_tokens.max_per_user = 1;
    server.auth.apply_limits(&config).unwrap();
    let refused = server.post_with_token("/me/tokens", &token, &wanted).await;
    refused.assert_problem(StatusCode::CONFLICT, "too_many_api_tokens");

    config.session.max_per_user = 1;
    server.auth.apply_limits(&config).unwrap();
    let newest = server.sign_in("ada", PASSWORD).await.token();
    server.welcome(&token).await.assert_dead();
    server.welcome(&newest).await.assert_welcome("ada", "CLIENT");

    config.throttle.address_failures = 1.try_into().unwrap();
    server.auth.apply_limits(&config).unwrap();
    let address = "203.0.113.9";
    server.sign_in_from(address, "nobody", "guess").await;
    let refused = server.sign_in_from(address, "nobody", "guess").await;
    refused.assert_problem(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts");
}

#[tokio::test]
async fn refresh_tokens_can_be_turned_on_and_off_in_a_running_server() {
    let server = spawn().await;
    server.user("ada").await;
    let mut config = server.config.clone();
    config.session.refresh_tokens = Some(Duration::from_hours(24));
    server.auth.apply_limits(&config).unwrap();
    let (_, refresh) = pair(&server.sign_in("ada", PASSWORD).await);
    let (_, refresh) = pair(&use_token(&server, &refresh).await);
    config.session.refresh_tokens = None;
    server.auth.apply_limits(&config).unwrap();
    use_token(&server, &refresh)
        .await
        .assert_status(StatusCode::UNAUTHORIZED);
}

/// A server over a store whose writes of keys a test can hold up or refuse.
pub(crate) async fn over_broken_store() -> (Server, Arc<BrokenStore>) {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(START));
    let mut config = Config::default();
    config.store.path = directory.path().join("data");
    config.password.bcrypt_cost = 4;
    config.session.refresh_tokens = Some(Duration::from_hours(24));
    let inner = store::open(&config.store, START, Listeners::default()).await;
    let store = Arc::new(BrokenStore::around(inner.unwrap()));
    let parts = Parts::new(Arc::clone(&store) as _, Arc::clone(&clock) as _);
    let auth = Auth::new(&config, parts).await.unwrap();
    let server = Server::over(auth, Arc::clone(&store) as _, config, clock, directory);
    (server, store)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_amid_a_revocation_waits_for_the_new_key() {
    let (server, store) = over_broken_store().await;
    let before = server.user("ada").await;
    let (writes, held) = (
        store.key_writes.load(Ordering::SeqCst),
        store.keeps_keys.lock().await,
    );
    let auth = server.auth.clone();
    let revocation = tokio::spawn(async move {
        let context = RequestContext::default();
        auth.rotate_keys(REVOKE, OPERATOR, &context).await
    });
    while store.key_writes.load(Ordering::SeqCst) == writes {
        tokio::task::yield_now().await;
    }
    // Every session has ended, and the old key still signs.
    let auth = server.auth.clone();
    let signing_in = tokio::spawn(async move {
        let claimed = Credentials::new("ada", PASSWORD.into());
        auth.sign_in(claimed, &RequestContext::default()).await
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!signing_in.is_finished());
    drop(held);
    revocation.await.unwrap().unwrap();
    let issued = signing_in.await.unwrap().unwrap();
    let token = issued.token.expose_secret();
    assert_ne!(kid(token), kid(&before));
    server.welcome(token).await.assert_welcome("ada", "CLIENT");
}

#[tokio::test]
async fn a_revocation_that_fails_leaves_no_older_token_alive() {
    let (server, store) = over_broken_store().await;
    server.user("ada").await;
    let (access, refresh) = pair(&server.sign_in("ada", PASSWORD).await);
    store.refuses_keys.store(true, Ordering::SeqCst);
    let context = RequestContext::default();
    let failed = server.auth.rotate_keys(REVOKE, OPERATOR, &context).await;
    assert!(matches!(failed, Err(RotationError::Open(StartError::Store(_)))));
    server.welcome(&access).await.assert_dead();
    use_token(&server, &refresh).await.assert_dead();
    let (again, again_refresh) = pair(&server.sign_in("ada", PASSWORD).await);
    assert_eq!(kid(&again), kid(&access));
    use_token(&server, &again_refresh).await.token();

    store.refuses_keys.store(false, Ordering::SeqCst);
    rotate(&server, REVOKE).await;
    server.welcome(&again).await.assert_dead();
    use_token(&server, &again_refresh).await.assert_dead();
}

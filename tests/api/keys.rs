//! Signing keys: each algorithm, how one key takes over from another, and what other services are told of them.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jwt_server::{
    Auth, Config,
    auth::{Accounts, KeyRotation, Parts, Rotated, RotationError},
    clock::ManualClock,
    config::{KeyFile, Origin, Secret},
    domain::{Algorithm, RequestContext},
    event::{Actor, Listeners},
    keys::KeyPair,
    store,
};
use serde_json::{Value, json};
use warp::http::StatusCode;

use crate::{
    broken_store::BrokenStore,
    server::{Answer, PASSWORD, START, Server, request, seconds, spawn, spawn_with},
};

const PUBLISH_AHEAD: Duration = Duration::from_mins(15);
const REVOKE: KeyRotation = KeyRotation::Revoke { api_tokens: false };
const DAY: Duration = Duration::from_hours(24);

fn header(token: &str) -> Value {
    let header = token.split('.').next().unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap()
}

pub(crate) fn kid(token: &str) -> String {
    header(token)["kid"].as_str().unwrap().to_owned()
}

fn secret(byte: u8) -> Secret {
    Secret {
        bytes: vec![byte; 32].into(),
        origin: Origin::Default,
    }
}

fn key_file(pair: &KeyPair) -> KeyFile {
    KeyFile {
        pair: pair.clone(),
        origin: Origin::KeyFile("key.pem".into()),
    }
}

/// Rotates as a command does while no server runs.
async fn rotate(accounts: &Accounts, rotation: KeyRotation) -> Result<Rotated, RotationError> {
    let operator = Actor::Operator { uid: None };
    let context = RequestContext::default();
    accounts.rotate_keys(rotation, operator, &context).await
}

impl Server {
    async fn jwks(&self) -> Answer {
        self.send(request("GET", "/.well-known/jwks.json")).await
    }

    /// The `kid`s of the published keys.
    async fn published(&self) -> Vec<String> {
        let keys = self.jwks().await.json();
        let keys = keys["keys"].as_array().unwrap().iter();
        keys.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    }

    async fn sign_in_again(&self) -> String {
        self.sign_in("ada", PASSWORD).await.token()
    }

    /// Rotates as the command does, while the server is stopped.
    async fn rotate(self, rotation: KeyRotation) -> Self {
        rotate(&self.without_a_server(), rotation).await.unwrap();
        self.restart().await
    }

    /// Lets time pass as it does for a running server, which looks after its keys every minute.
    async fn live(&self, span: Duration) {
        for _ in 0..span.as_secs() / 60 {
            self.advance(seconds(60));
            self.auth.tend_keys().await.unwrap();
        }
    }
}

async fn with_algorithm(algorithm: Algorithm) -> Server {
    spawn_with(|config| config.token.algorithm = algorithm).await
}

#[tokio::test]
async fn every_algorithm_signs_and_publishes_nothing_private() {
    for algorithm in Algorithm::ALL {
        let server = with_algorithm(algorithm).await;
        let token = server.user("ada").await;
        assert_eq!(header(&token)["alg"], algorithm.as_str());
        server.welcome(&token).await.assert_welcome("ada", "CLIENT");

        let set = server.jwks().await.json();
        let keys = set["keys"].as_array().unwrap();
        let members = match algorithm {
            Algorithm::Hs256 => {
                assert_eq!(set, json!({"keys": []}));
                continue;
            }
            Algorithm::EdDsa => &["alg", "crv", "kid", "kty", "use", "x"][..],
            Algorithm::Es256 => &["alg", "crv", "kid", "kty", "use", "x", "y"],
            Algorithm::Rs256 => &["alg", "e", "kid", "kty", "n", "use"],
            other => panic!("the members of a key for {other} are not known"),
        };
        let [key] = keys.as_slice() else { panic!("{set}") };
        let names: Vec<_> = key.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, members);
        assert_eq!(
            (&key["kid"], &key["alg"], &key["use"]),
            (&json!(kid(&token)), &json!(algorithm.as_str()), &json!("sig"))
        );

        let server = server.restart().await;
        server.welcome(&token).await.assert_welcome("ada", "CLIENT");
        assert_eq!(server.published().await, [kid(&token)]);
    }
}

#[tokio::test]
async fn the_public_keys_expire_in_caches_before_a_new_key_signs() {
    for (ahead, max_age) in [(900, 300), (60, 30), (0, 0)] {
        let server = spawn_with(|config| {
            config.token.algorithm = Algorithm::EdDsa;
            config.token.publish_ahead = seconds(ahead);
        })
        .await;
        let answer = server.jwks().await;
        answer.assert_status(StatusCode::OK);
        assert_eq!(answer.header("content-type"), "application/jwk-set+json");
        assert_eq!(
            answer.header("cache-control"),
            format!("public, max-age={max_age}")
        );
    }
}

#[tokio::test]
async fn public_keys_that_have_not_changed_are_not_sent_again() {
    let server = with_algorithm(Algorithm::EdDsa).await;
    let first = server.jwks().await;
    let etag = first.header("etag").to_owned();
    assert!(etag.starts_with('"') && etag.ends_with('"'), "{etag}");
    let ask = async |server: &Server, lists: &[&str]| {
        let lists: Vec<_> = lists
            .iter()
            .map(|list| ("if-none-match", list.as_bytes()))
            .collect();
        let path = "/.well-known/jwks.json";
        server.send_exactly("GET", path, &lists, "").await
    };
    let weak = format!("W/{etag}");
    let list = format!("\"another\", {weak}");
    for lists in [
        &[etag.as_str()][..],
        &[&weak],
        &["*"],
        &[&list],
        &["\"a\"", &etag],
    ] {
        let answer = ask(&server, lists).await;
        answer.assert_status(StatusCode::NOT_MODIFIED);
        assert!(answer.body.is_empty());
        for name in ["etag", "cache-control"] {
            assert_eq!(answer.header(name), first.header(name));
        }
    }
    for lists in [
        &["\"another\""][..],
        &[etag.trim_matches('"')],
        &["\"*\""],
        &["é"],
        &[""],
    ] {
        ask(&server, lists).await.assert_status(StatusCode::OK);
    }
    let server = server.rotate(KeyRotation::Ahead).await;
    let changed = ask(&server, &[&etag]).await;
    changed.assert_status(StatusCode::OK);
    assert_ne!(changed.header("etag"), etag);
}

#[tokio::test]
async fn a_key_is_published_signs_and_goes_with_its_last_token() {
    let server = with_algorithm(Algorithm::EdDsa).await;
    let first = server.user("ada").await;
    let old = kid(&first);

    let server = server.rotate(KeyRotation::Ahead).await;
    let published = server.published().await;
    assert_eq!((published.len(), &published[0]), (2, &old));
    let new = published[1].clone();
    server.advance(seconds(14 * 60 + 59));
    let last = server.sign_in_again().await;
    assert_eq!(kid(&last), old);

    server.advance(seconds(1));
    let token = server.sign_in_again().await;
    assert_eq!(kid(&token), new);
    server.advance(seconds(298));
    server.welcome(&last).await.assert_welcome("ada", "CLIENT");
    // A refresh of the old key's token gives one of the new key.
    assert_eq!(kid(&server.refresh(&last).await.token()), new);
    assert_eq!(server.published().await, [old.clone(), new.clone()]);

    server.advance(seconds(2));
    server.welcome(&last).await.assert_dead();
    server.welcome(&token).await.assert_dead();
    assert_eq!(server.published().await, std::slice::from_ref(&new));
    assert_eq!(server.store.key_ring().await.unwrap().keys.keys().len(), 2);
    server.auth.tend_keys().await.unwrap();
    assert_eq!(server.store.key_ring().await.unwrap().keys.keys().len(), 1);
    assert_eq!(kid(&server.sign_in_again().await), new);
}

#[tokio::test]
async fn keys_rotate_by_themselves_and_no_session_ends() {
    let server = spawn_with(|config| {
        config.token.algorithm = Algorithm::EdDsa;
        config.token.rotate_every = Some(Duration::from_hours(2));
        config.token.policy.refresh_window = seconds(120);
    })
    .await;
    let mut token = server.user("ada").await;
    let mut signers = vec![kid(&token)];
    for _ in 0..7 * 60 {
        server.live(seconds(60)).await;
        let known = server.published().await;
        assert!(known.len() <= 2, "{known:?}");
        token = server.refresh(&token).await.token();
        let signer = kid(&token);
        assert!(known.contains(&signer));
        if signers.last() != Some(&signer) {
            signers.push(signer);
        }
    }
    server.welcome(&token).await.assert_welcome("ada", "CLIENT");
    assert!((3..=4).contains(&signers.len()), "{signers:?}");
}

#[tokio::test]
async fn a_rotation_survives_a_restart_and_a_missed_one_happens() {
    let server = spawn_with(|config| {
        config.token.algorithm = Algorithm::Es256;
        config.token.rotate_every = Some(DAY);
    })
    .await;
    let old = kid(&server.user("ada").await);
    server.live(seconds((24 * 60 - 15) * 60)).await;
    let published = server.published().await;
    assert_eq!(published.len(), 2);

    let server = server.restart().await;
    assert_eq!(server.published().await, published);
    server.advance(seconds(14 * 60 + 59));
    assert_eq!(kid(&server.sign_in_again().await), old);
    server.advance(seconds(1));
    assert_eq!(kid(&server.sign_in_again().await), published[1]);

    server.advance(10 * DAY);
    let server = server.restart().await;
    server.auth.tend_keys().await.unwrap();
    // Late, but no key signs before other services could fetch it.
    assert_eq!(kid(&server.sign_in_again().await), published[1]);
    server.advance(PUBLISH_AHEAD);
    let late = kid(&server.sign_in_again().await);
    assert_eq!(server.published().await, [published[1].clone(), late]);
}

/// A token of a key that a crash could lose must never leave the server.
#[tokio::test]
async fn a_key_that_can_not_be_kept_is_not_used() {
    let clock = Arc::new(ManualClock::new(START));
    let directory = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.token.algorithm = Algorithm::EdDsa;
    config.token.rotate_every = Some(DAY);
    config.token.publish_ahead = Duration::ZERO;
    config.store.path = directory.path().to_owned();
    let store = store::open(&config.store, START, Listeners::default())
        .await
        .unwrap();
    let store = Arc::new(BrokenStore::around(store));
    store.refuses_keys.store(true, Ordering::SeqCst);
    let start = async || {
        Auth::new(
            &config,
            Parts::new(Arc::clone(&store) as _, Arc::clone(&clock) as _),
        )
        .await
    };
    assert!(start().await.is_err(), "not even the first one");
    store.refuses_keys.store(false, Ordering::SeqCst);
    let auth = start().await.unwrap();
    let before = auth.jwks().json;
    assert!(before.contains(&auth.key().id));

    clock.advance(DAY);
    store.refuses_keys.store(true, Ordering::SeqCst);
    assert!(auth.tend_keys().await.is_err());
    assert_eq!(auth.jwks().json, before);
    store.refuses_keys.store(false, Ordering::SeqCst);
    auth.tend_keys().await.unwrap();
    assert_ne!(auth.jwks().json, before);
}

#[tokio::test]
async fn a_secret_rotates_as_well_without_waiting() {
    let server = spawn_with(|config| config.token.rotate_every = Some(DAY)).await;
    let old = kid(&server.user("ada").await);
    server.live(seconds((24 * 60 - 2) * 60)).await;
    assert_eq!(server.store.key_ring().await.unwrap().keys.keys().len(), 1);
    server.live(seconds(60)).await;
    // It is published in time, so that the old one need not sign past its end.
    assert_eq!(server.store.key_ring().await.unwrap().keys.keys().len(), 2);
    let last = server.sign_in_again().await;
    assert_eq!(kid(&last), old);
    server.live(seconds(60)).await;
    assert_ne!(kid(&server.sign_in_again().await), old);
    server.welcome(&last).await.assert_welcome("ada", "CLIENT");
    assert_eq!(server.jwks().await.json(), json!({"keys": []}));
}

/// Every algorithm to every other one: an older token is good to its end, and its successor is of the new key.
#[tokio::test]
async fn a_change_of_the_algorithm_ends_no_session() {
    for before in Algorithm::ALL {
        for after in Algorithm::ALL.into_iter().filter(|after| *after != before) {
            let server = with_algorithm(before).await;
            let token = server.user("ada").await;
            let server = server.restart_with(|config| config.token.algorithm = after).await;
            assert_eq!(server.auth.key().replaced, None);
            server.welcome(&token).await.assert_welcome("ada", "CLIENT");

            let waits = after.has_public_keys();
            let signer = server.sign_in_again().await;
            let expected = if waits { before } else { after };
            assert_eq!(header(&signer)["alg"], expected.as_str());
            assert_eq!(server.auth.key().next.is_some(), waits);

            let mut token = token;
            for _ in 0..4 {
                server.advance(seconds(280));
                token = server.refresh(&token).await.token();
            }
            assert_eq!(header(&token)["alg"], after.as_str());
            server.auth.tend_keys().await.unwrap();
            server.welcome(&token).await.assert_welcome("ada", "CLIENT");
            let server = server.restart().await;
            server.welcome(&token).await.assert_welcome("ada", "CLIENT");
        }
    }
}

#[tokio::test]
async fn an_algorithm_changed_back_before_it_signed_leaves_no_trace() {
    let server = with_algorithm(Algorithm::EdDsa).await;
    let token = server.user("ada").await;
    let before = server.published().await;
    let server = server
        .restart_with(|config| config.token.algorithm = Algorithm::Rs256)
        .await;
    assert_eq!(server.published().await.len(), 2);
    let server = server
        .restart_with(|config| config.token.algorithm = Algorithm::EdDsa)
        .await;
    assert_eq!(server.published().await, before);
    server.advance(PUBLISH_AHEAD);
    assert_eq!(kid(&server.sign_in_again().await), kid(&token));
}

#[tokio::test]
async fn a_secret_verifies_beside_another_algorithm_while_it_is_given() {
    let server = spawn_with(|config| config.token.secret = Some(secret(b'a'))).await;
    let token = server.user("ada").await;
    let server = server
        .restart_with(|config| config.token.algorithm = Algorithm::EdDsa)
        .await;
    server.welcome(&token).await.assert_welcome("ada", "CLIENT");
    assert_eq!(
        header(&server.sign_in_again().await)["alg"],
        "HS256",
        "until the new key is known"
    );
    server.advance(PUBLISH_AHEAD);
    let new = server.sign_in_again().await;
    assert_eq!(header(&new)["alg"], "EdDSA");
    // Without the secret its tokens cannot be verified; the new key's tokens are good all the same.
    let server = server.restart_with(|config| config.token.secret = None).await;
    assert_eq!(server.auth.key().replaced, None);
    server.welcome(&new).await.assert_welcome("ada", "CLIENT");

    let server = spawn_with(|config| config.token.secret = Some(secret(b'a'))).await;
    let token = server.user("ada").await;
    let server = server
        .restart_with(|config| {
            config.token.algorithm = Algorithm::EdDsa;
            config.token.secret = None;
        })
        .await;
    assert_eq!(server.auth.key().replaced, Some(1), "it is out of reach");
    server.welcome(&token).await.assert_dead();
    assert_eq!(
        header(&server.sign_in_again().await)["alg"],
        "EdDSA",
        "so nothing is waited for"
    );
}

#[tokio::test]
async fn a_key_file_takes_over_and_its_tokens_outlive_it() {
    let [first, second] = [(); 2].map(|()| KeyPair::generate(Algorithm::Es256).unwrap());
    let server = with_algorithm(Algorithm::Es256).await;
    let made = server.user("ada").await;
    let server = server
        .restart_with(|config| config.token.key_file = Some(key_file(&first)))
        .await;
    server.welcome(&made).await.assert_welcome("ada", "CLIENT");
    server.advance(PUBLISH_AHEAD);
    let token = server.sign_in_again().await;
    assert_eq!(kid(&token), first.public().thumbprint());

    // The key of a missing file cannot sign; its tokens can still be verified.
    let server = server
        .restart_with(|config| config.token.key_file = Some(key_file(&second)))
        .await;
    server.welcome(&token).await.assert_welcome("ada", "CLIENT");
    assert_eq!(kid(&server.sign_in_again().await), second.public().thumbprint());
    assert!(server.published().await.contains(&first.public().thumbprint()));

    // When the file is back, the key is the same one.
    let server = server
        .restart_with(|config| config.token.key_file = Some(key_file(&first)))
        .await;
    let third = server.sign_in_again().await;
    assert_eq!(kid(&third), kid(&token));
    server.welcome(&token).await.assert_welcome("ada", "CLIENT");
    let server = server.restart_with(|config| config.token.key_file = None).await;
    assert_ne!(kid(&server.sign_in_again().await), kid(&token));
    server.welcome(&third).await.assert_welcome("ada", "CLIENT");
    assert_eq!(server.auth.key().replaced, None);
}

#[tokio::test]
async fn a_shorter_lifetime_ends_no_older_token_early() {
    let server = spawn_with(|config| {
        config.token.algorithm = Algorithm::EdDsa;
        config.token.policy.lifetime = Duration::from_hours(1);
    })
    .await;
    let token = server.user("ada").await;
    let server = server
        .restart_with(|config| config.token.policy.lifetime = Duration::from_mins(5))
        .await;
    let server = server.rotate(KeyRotation::Now).await;
    server.live(Duration::from_mins(59)).await;
    server.welcome(&token).await.assert_welcome("ada", "CLIENT");
    server.live(Duration::from_mins(1)).await;
    server.welcome(&token).await.assert_dead();
    assert_eq!(server.published().await.len(), 1);
}

#[tokio::test]
async fn a_rotation_keeps_the_sessions_and_a_revocation_ends_them() {
    let server = with_algorithm(Algorithm::EdDsa).await;
    let token = server.user("ada").await;
    let server = server.rotate(KeyRotation::Now).await;
    server.welcome(&token).await.assert_welcome("ada", "CLIENT");
    let new = server.sign_in_again().await;
    assert_ne!(kid(&new), kid(&token));

    let server = server.rotate(KeyRotation::Ahead).await;
    let waiting = server.published().await;
    assert_eq!(waiting.len(), 3);
    let server = server.rotate(REVOKE).await;
    for token in [&token, &new] {
        server.welcome(token).await.assert_dead();
        server.refresh(token).await.assert_dead();
    }
    let left = server.published().await;
    assert_eq!(left.len(), 1);
    assert!(
        !waiting.contains(&left[0]),
        "who had the database had the waiting key as well"
    );
    assert_eq!(kid(&server.sign_in_again().await), left[0]);
}

#[tokio::test]
async fn a_second_rotation_waits_for_the_first_and_can_hurry_it() {
    let server = with_algorithm(Algorithm::EdDsa).await;
    server.user("ada").await;
    let server = server.rotate(KeyRotation::Ahead).await;
    let known = server.published().await;
    let again = rotate(&server.without_a_server(), KeyRotation::Ahead)
        .await
        .unwrap();
    assert!(again.waiting);
    let server = server.rotate(KeyRotation::Ahead).await;
    assert_eq!(server.published().await, known);
    let server = server.rotate(KeyRotation::Now).await;
    assert_eq!(server.published().await, known);
    assert_eq!(kid(&server.sign_in_again().await), known[1]);
}

/// The server may be started long after the command.
#[tokio::test]
async fn a_key_made_during_a_stop_is_published_before_it_signs() {
    let server = with_algorithm(Algorithm::EdDsa).await;
    let old = kid(&server.user("ada").await);
    rotate(&server.without_a_server(), KeyRotation::Ahead)
        .await
        .unwrap();
    server.advance(10 * PUBLISH_AHEAD);
    let server = server.restart().await;
    // By its times the key has signed for hours. It was never published, so it waits.
    assert_eq!(kid(&server.sign_in_again().await), old);
    server.advance(PUBLISH_AHEAD);
    assert_ne!(kid(&server.sign_in_again().await), old);
}

#[tokio::test]
async fn a_key_of_the_settings_is_not_rotated_by_command() {
    let server = spawn_with(|config| config.token.secret = Some(secret(b'a'))).await;
    let refused = rotate(&server.without_a_server(), REVOKE).await;
    assert!(matches!(refused, Err(RotationError::Given(_))));
}

#[tokio::test]
async fn a_key_file_is_revoked_once_another_has_taken_its_place() {
    let [stolen, new] = [(); 2].map(|()| KeyPair::generate(Algorithm::EdDsa).unwrap());
    let mut server = spawn_with(|config| {
        config.token.algorithm = Algorithm::EdDsa;
        config.token.key_file = Some(key_file(&stolen));
    })
    .await;
    let token = server.user("ada").await;
    let refused = rotate(&server.without_a_server(), REVOKE).await;
    assert!(
        matches!(refused, Err(RotationError::Given(_))),
        "it is still there"
    );
    server.welcome(&token).await.assert_welcome("ada", "CLIENT");

    server.config.token.key_file = Some(key_file(&new));
    let server = server.rotate(REVOKE).await;
    server.welcome(&token).await.assert_dead();
    assert_eq!(server.published().await, [new.public().thumbprint()]);
    assert_eq!(kid(&server.sign_in_again().await), new.public().thumbprint());
}

#[tokio::test]
async fn a_stolen_key_is_revoked_while_its_replacement_waits() {
    let new = KeyPair::generate(Algorithm::EdDsa).unwrap();
    let mut server = with_algorithm(Algorithm::EdDsa).await;
    let token = server.user("ada").await;
    server.config.token.key_file = Some(key_file(&new));
    let server = server.restart().await;
    assert_eq!(server.published().await.len(), 2, "it waits");

    let server = server.rotate(REVOKE).await;
    server.welcome(&token).await.assert_dead();
    assert_eq!(server.published().await, [new.public().thumbprint()]);
    assert_eq!(kid(&server.sign_in_again().await), new.public().thumbprint());
    let again = rotate(&server.without_a_server(), REVOKE).await;
    assert!(
        matches!(again, Err(RotationError::Given(_))),
        "now it is the one that signs"
    );
}

#[tokio::test]
async fn a_key_file_that_comes_back_and_goes_again_ends_no_session() {
    let file = KeyPair::generate(Algorithm::EdDsa).unwrap();
    let mut server = spawn_with(|config| {
        config.token.algorithm = Algorithm::EdDsa;
        config.token.key_file = Some(key_file(&file));
    })
    .await;
    let token = server.user("ada").await;
    for given in [None, Some(key_file(&file)), None, Some(key_file(&file))] {
        server.config.token.key_file = given;
        server = server.restart().await;
        server.welcome(&token).await.assert_welcome("ada", "CLIENT");
        let published = server.published().await;
        let times = published.iter().filter(|kid| **kid == file.public().thumbprint());
        assert_eq!(times.count(), 1, "{published:?}");
    }
}

#[tokio::test]
async fn a_key_that_is_not_in_the_ring_is_an_invalid_token() {
    let server = with_algorithm(Algorithm::EdDsa).await;
    let other = with_algorithm(Algorithm::EdDsa).await;
    server.user("ada").await;
    let token = other.user("ada").await;
    server.welcome(&token).await.assert_dead();
    other.welcome(&token).await.assert_welcome("ada", "CLIENT");
}

#[tokio::test]
async fn listing_the_keys_changes_nothing() {
    let server = spawn().await;
    let revision = server.store.key_ring().await.unwrap().revision;
    let (ring, _) = server.without_a_server().keys().await.unwrap();
    assert_eq!(ring.keys()[0].id, server.auth.key().id);
    assert_eq!(server.store.key_ring().await.unwrap().revision, revision);
}

//! Signing keys and the key of refresh tokens.

use std::{sync::Arc, time::Duration};

use secrecy::ExposeSecret;

use super::{
    Backend,
    support::{NOW, POLICY, later},
};
use crate::{
    domain::{Algorithm, KeyRing},
    store::{
        backend::Store,
        keys::{KeyMaterial, KeyRingUpdate},
    },
};

pub async fn the_refresh_key_stays_until_every_session_is_closed(backend: &impl Backend) {
    let key = async |store: &Arc<dyn Store>, fresh: u8| {
        let kept = store.refresh_key(vec![fresh; 32].into()).await.unwrap();
        kept.expose_secret().to_vec()
    };
    let store = backend.open(NOW).await;
    assert_eq!(key(&store, 1).await, [1; 32]);
    assert_eq!(key(&store, 2).await, [1; 32]);
    drop(store);
    let store = backend.open(NOW).await;
    assert_eq!(key(&store, 3).await, [1; 32]);
    // A copy of the old database is of no use for later sessions.
    assert_eq!(store.close_every_session().await.unwrap(), 0);
    assert_eq!(key(&store, 4).await, [4; 32]);
}

pub async fn the_signing_keys_are_kept_whole(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let none = store.key_ring().await.unwrap();
    assert!(none.keys.keys().is_empty());
    let mut ring = KeyRing::default();
    ring.add(
        key("k1", Algorithm::Hs256, Some(&[7; 32])),
        NOW,
        POLICY.lifetime,
        NOW,
    );
    ring.publish();
    ring.add(
        key("k2", Algorithm::EdDsa, None),
        later(900),
        POLICY.lifetime,
        NOW,
    );
    ring.tokens_last(Duration::from_hours(1), later(5));
    let kept = store.keep_key_ring(ring.clone(), none.revision).await.unwrap();
    let KeyRingUpdate::Kept(revision) = kept else {
        panic!("{kept:?}")
    };
    drop(store);

    let store = backend.open(NOW).await;
    let stored = store.key_ring().await.unwrap();
    assert_eq!((shown(&stored.keys), stored.revision), (shown(&ring), revision));
    ring.clear();
    let emptied = store.keep_key_ring(ring, revision).await.unwrap();
    assert!(matches!(emptied, KeyRingUpdate::Kept(_)));
    assert!(store.key_ring().await.unwrap().keys.keys().is_empty());
}

pub async fn of_concurrent_changes_of_the_signing_keys_one_wins(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let known = store.key_ring().await.unwrap().revision;
    let tasks: Vec<_> = (0..8)
        .map(|n| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let mut ring = KeyRing::default();
                let id = format!("k{n}");
                ring.add(key(&id, Algorithm::EdDsa, Some(&[n])), NOW, POLICY.lifetime, NOW);
                (store.keep_key_ring(ring, known).await.unwrap(), id)
            })
        })
        .collect();
    let mut winners = Vec::new();
    for task in tasks {
        match task.await.unwrap() {
            (KeyRingUpdate::Kept(_), id) => winners.push(id),
            (KeyRingUpdate::ChangedMeanwhile, _) => {}
        }
    }
    let stored = store.key_ring().await.unwrap();
    let ids: Vec<_> = stored.keys.keys().iter().map(|key| key.id.clone()).collect();
    assert_eq!(winners, ids);
    assert_eq!(ids.len(), 1);
}

fn key(id: &str, algorithm: Algorithm, private: Option<&[u8]>) -> (String, Algorithm, KeyMaterial) {
    let material = KeyMaterial {
        private: private.map(|bytes| bytes.to_vec().into()),
        mark: format!("mark of {id}"),
    };
    (id.into(), algorithm, material)
}

/// The parts of a ring that can be compared.
fn shown(ring: &KeyRing<KeyMaterial>) -> KeyRing<(Option<Vec<u8>>, String)> {
    ring.map(|key| {
        let private = key.material.private.as_ref();
        let private = private.map(|private| private.expose_secret().to_vec());
        (private, key.material.mark.clone())
    })
}

//! The store as a whole: counts, many writers, and the time.

use std::sync::Arc;

use super::{
    Backend,
    support::{NOW, POLICY, created, is_accepted, later, opened, user},
};
use crate::{
    domain::Refresh,
    store::{backend::StoreCounts, users::UserCreation},
};

pub async fn counts_are_right_after_a_restart(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    assert_eq!(
        store.count().await.unwrap(),
        StoreCounts {
            users: 0,
            sessions: Some(0)
        }
    );
    for username in ["ada", "bob", "eve"] {
        let user = created(&store, username).await;
        opened(&store, &user, NOW).await;
    }
    assert_eq!(
        store.create_user(user("ada"), None).await.unwrap(),
        UserCreation::UsernameTaken
    );
    drop(store);
    let store = backend.open(NOW).await;
    assert_eq!(
        store.count().await.unwrap(),
        StoreCounts {
            users: 3,
            sessions: Some(3)
        }
    );
}

pub async fn sixty_four_writers_at_once_lose_nothing(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let tasks: Vec<_> = (0..64)
        .map(|n| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let user = created(&store, &format!("user{n}")).await;
                let (ended, _) = opened(&store, &user, NOW).await;
                let (kept, first) = opened(&store, &user, NOW).await;
                let Refresh::Minted(second) = store
                    .refresh(kept.id, first.id, POLICY, later(280))
                    .await
                    .unwrap()
                else {
                    panic!("not minted")
                };
                store.close_session(ended.id).await.unwrap();
                (kept, [first, second])
            })
        })
        .collect();
    let mut kept = Vec::new();
    for task in tasks {
        kept.push(task.await.unwrap());
    }
    drop(store);
    let store = backend.open(later(280)).await;
    assert_eq!(
        store.count().await.unwrap(),
        StoreCounts {
            users: 64,
            sessions: Some(64)
        }
    );
    for (session, tokens) in kept {
        for token in tokens {
            assert!(is_accepted(&store, &session, token.id, later(280)).await);
        }
    }
}

pub async fn the_latest_moment_survives_a_restart(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    assert_eq!(store.latest(), NOW);
    let ada = created(&store, "ada").await;
    let (session, token) = opened(&store, &ada, NOW).await;
    // A check tells the store the time, and any write keeps it.
    assert!(is_accepted(&store, &session, token.id, later(200)).await);
    assert_eq!(store.latest(), later(200));
    assert!(is_accepted(&store, &session, token.id, later(100)).await);
    assert_eq!(store.latest(), later(200), "it never goes back");
    store.close_session(session.id).await.unwrap();
    drop(store);
    assert_eq!(backend.open(NOW).await.latest(), later(200));
    assert_eq!(backend.open(later(300)).await.latest(), later(300));
}

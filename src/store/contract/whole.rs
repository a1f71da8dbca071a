//! The store as a whole: counts, many writers, and the time.

use std::sync::Arc;

use super::{
    Backend,
    support::{
        DAY, MOST, NOW, POLICY, WEEK, added, api_token, created, is_accepted, is_good, later, opened, user,
    },
};
use crate::{
    domain::Refresh,
    store::{api_tokens::ApiTokenCreation, backend::StoreCounts, users::UserCreation},
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

pub async fn the_settled_moment_survives_a_restart(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    assert_eq!(store.settled(), NOW);
    store.note_time(later(300), later(100));
    assert_eq!((store.latest(), store.settled()), (later(300), later(100)));
    store.prune(later(100), 10).await.unwrap();
    drop(store);
    let store = backend.open(later(200)).await;
    assert_eq!((store.latest(), store.settled()), (later(300), later(100)));
}

pub async fn a_store_goes_back_and_moves_what_was_made_meanwhile(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let ada = created(&store, "ada").await;
    let (session, _) = opened(&store, &ada, NOW).await;
    let before = added(&store, &ada, &session, 1).await;
    let wrong = NOW.plus(52 * WEEK);
    let (session, _) = opened(&store, &ada, wrong).await;
    let meanwhile = api_token(&ada, 2, wrong);
    let creation = store.create_api_token(meanwhile.clone(), session.id, MOST).await;
    assert_eq!(creation.unwrap(), ApiTokenCreation::Created);
    store.close_every_session().await.unwrap();
    store.go_back(wrong.plus(DAY), NOW.plus(DAY)).await.unwrap();
    drop(store);
    let store = backend.open(NOW.plus(DAY)).await;
    assert_eq!(store.latest(), NOW.plus(DAY));
    for token in [before, meanwhile] {
        assert!(is_good(&store, &token, NOW.plus(DAY)).await);
        assert!(!is_good(&store, &token, NOW.plus(WEEK)).await);
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

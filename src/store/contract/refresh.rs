//! Refresh, by an access token and by a refresh token.

use std::sync::Arc;

use super::{
    Backend,
    support::{DAY, MOST, NOW, POLICY, WEEK, created, is_accepted, later, opened, rotate},
};
use crate::{
    domain::{Refresh, RefreshTokenOutcome, Session, User},
    store::backend::Store,
};

pub async fn a_refresh_mints_one_successor(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let ada = created(&store, "ada").await;
    let (session, token) = opened(&store, &ada, NOW).await;
    let early = store
        .refresh(session.id, token.id, POLICY, later(269))
        .await
        .unwrap();
    assert_eq!(early, Refresh::Stands(token));

    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let (store, id) = (Arc::clone(&store), session.id);
            tokio::spawn(async move { store.refresh(id, token.id, POLICY, later(280)).await.unwrap() })
        })
        .collect();
    let (mut minted, mut standing) = (Vec::new(), Vec::new());
    for task in tasks {
        match task.await.unwrap() {
            Refresh::Minted(token) => minted.push(token),
            Refresh::Stands(token) => standing.push(token),
            Refresh::Refused => panic!("refused"),
        }
    }
    assert_eq!(minted.len(), 1);
    assert!(standing.iter().all(|token| *token == minted[0]));

    drop(store);
    let store = backend.open(later(280)).await;
    let again = store
        .refresh(session.id, token.id, POLICY, later(289))
        .await
        .unwrap();
    assert_eq!(again, Refresh::Stands(minted[0]));
    assert!(is_accepted(&store, &session, token.id, later(289)).await);
    assert!(!is_accepted(&store, &session, token.id, later(290)).await);
    let over = store
        .refresh(session.id, token.id, POLICY, later(290))
        .await
        .unwrap();
    assert_eq!(over, Refresh::Refused);
    assert!(is_accepted(&store, &session, minted[0].id, later(579)).await);
}

pub async fn a_closed_session_is_not_refreshed(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let ada = created(&store, "ada").await;
    let (session, token) = opened(&store, &ada, NOW).await;
    store.close_session(session.id).await.unwrap();
    let refused = store
        .refresh(session.id, token.id, POLICY, later(280))
        .await
        .unwrap();
    assert_eq!(refused, Refresh::Refused);
    assert_eq!(store.count().await.unwrap().sessions, Some(0));
}

pub async fn reuse_of_a_refresh_token_ends_the_session(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let ada = created(&store, "ada").await;
    let session = opened_with_refresh(&store, &ada).await;
    let RefreshTokenOutcome::Minted(token, grant) = rotate(&store, &session, 0, later(100)).await else {
        panic!("not minted")
    };
    assert_eq!(grant.generation, 1);
    assert!(is_accepted(&store, &session, token.id, later(100)).await);
    drop(store);

    let store = backend.open(later(100)).await;
    assert_eq!(
        rotate(&store, &session, 0, later(109)).await,
        RefreshTokenOutcome::Stands(token, grant),
        "the same after a restart"
    );
    // Days after the last access token has expired.
    let days = later(5 * 24 * 3600);
    let RefreshTokenOutcome::Minted(token, grant) = rotate(&store, &session, 1, days).await else {
        panic!("not minted")
    };
    assert_eq!(grant.generation, 2);
    assert_eq!(
        rotate(&store, &session, 0, days).await,
        RefreshTokenOutcome::Reused(ada.id)
    );
    assert!(!is_accepted(&store, &session, token.id, days).await);
    assert_eq!(
        rotate(&store, &session, 2, days).await,
        RefreshTokenOutcome::Refused
    );
    drop(store);
    let store = backend.open(days).await;
    assert_eq!(store.count().await.unwrap().sessions, Some(0));
    assert_eq!(
        rotate(&store, &session, 2, days).await,
        RefreshTokenOutcome::Refused
    );
}

pub async fn concurrent_uses_of_a_refresh_token_get_one_successor(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let ada = created(&store, "ada").await;
    let session = opened_with_refresh(&store, &ada).await;
    let tasks: Vec<_> = (0..64)
        .map(|_| {
            let (store, session) = (Arc::clone(&store), session.clone());
            tokio::spawn(async move { rotate(&store, &session, 0, later(5)).await })
        })
        .collect();
    let (mut minted, mut pairs) = (0, Vec::new());
    for task in tasks {
        match task.await.unwrap() {
            RefreshTokenOutcome::Minted(token, grant) => {
                minted += 1;
                pairs.push((token, grant));
            }
            RefreshTokenOutcome::Stands(token, grant) => pairs.push((token, grant)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((minted, pairs.len()), (1, 64));
    assert!(pairs.iter().all(|pair| *pair == pairs[0]));
}

/// Opens a session with a refresh token.
async fn opened_with_refresh(store: &Arc<dyn Store>, user: &User) -> Session {
    let (mut session, _) = Session::start(user.id, POLICY.lifetime, 30 * DAY, NOW);
    session.grant_refresh(WEEK, NOW);
    let opened = store
        .open_session(session.clone(), user.password_version, MOST, None)
        .await;
    assert!(opened.unwrap().is_some());
    session
}

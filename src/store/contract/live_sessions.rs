//! Live sessions, for a backend that has them.

use std::sync::Arc;

use super::{
    Backend,
    support::{DAY, NOW, POLICY, WEEK, changed, created, hash, later, opened, rotate},
};
use crate::{
    clock::Timestamp,
    domain::{Refresh, Session, User, UserChange, UserId},
    store::{
        backend::Store,
        sessions::{Kept, Outdated},
        users::UserDeletion,
    },
};

/// For a backend with live sessions: each answers what is true now, or that it is outdated.
pub async fn a_live_session_agrees_with_the_store(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let unknown = Session::start(UserId::generate(NOW), DAY, DAY, NOW).0.id;
    assert!(store.live_session(unknown).is_none());
    let mut users = Vec::new();
    let mut at_hand = Vec::new();
    for n in 0..8 {
        let user = created(&store, &format!("user-{n}")).await;
        let (mut session, token) = Session::start(user.id, POLICY.lifetime, 30 * DAY, NOW);
        session.grant_refresh(WEEK, NOW);
        let opened = store.open_session(session.clone(), 0, 1, None).await;
        assert!(opened.unwrap().is_some());
        if let Some(live) = store.live_session(session.id) {
            at_hand.push((session.id, token.id, live));
        }
        users.push((user, session, token));
    }
    // Whether the first token of each is accepted. If a live session is outdated, the store is asked.
    let agree = async |now: Timestamp| {
        let mut accepted = Vec::new();
        for (id, token, live) in &at_hand {
            let true_now = store.accepted(*id, *token, now).await.unwrap();
            match Arc::clone(live).accepted(*token, now) {
                Ok(as_kept) => assert_eq!(as_kept, true_now),
                Err(Outdated) => match store.live_session(*id) {
                    Some(present) => assert_eq!(present.accepted(*token, now).unwrap(), true_now),
                    None => assert_eq!(true_now, None),
                },
            }
            accepted.push(true_now.is_some());
        }
        accepted
    };
    let all = agree(NOW).await;
    assert!(all.iter().all(|accepted| *accepted));
    let outdated = || {
        at_hand
            .iter()
            .map(|(_, token, live)| Arc::clone(live).accepted(*token, NOW) == Err(Outdated))
    };
    assert!(!outdated().any(|outdated| outdated));

    let id = |n: usize| (users[n].0.id, users[n].1.id);
    store.close_session(id(0).1).await.unwrap();
    let deletion = store.delete_user(id(1).0, None).await;
    assert_eq!(deletion.unwrap(), UserDeletion::Deleted);
    let disabled = store.change_user(id(2).0, UserChange::Disabled(true)).await;
    let password = store.change_user(id(3).0, UserChange::Password(hash('z'))).await;
    assert!(disabled.unwrap().changed().is_some() && password.unwrap().changed().is_some());
    let _ = opened_at_most_one(&store, &users[4].0).await;
    for generation in [0, 1, 0] {
        let _ = rotate(
            &store,
            &users[5].1,
            generation,
            later(100 + u64::from(generation)),
        )
        .await;
    }
    assert_eq!(store.close_sessions(id(6).0, Kept::default()).await.unwrap(), 1);
    let refreshed = store.refresh(id(7).1, users[7].2.id, POLICY, later(290));
    assert!(matches!(refreshed.await.unwrap(), Refresh::Minted(_)));
    let now = agree(later(100)).await;
    if !at_hand.is_empty() {
        // The refreshed token has its grace.
        assert_eq!(now, [false, false, false, false, false, false, false, true]);
        assert!(outdated().take(7).all(|outdated| outdated));
        assert!(!outdated().nth(7).unwrap(), "a refresh leaves it what it is");
    }
    assert!(!agree(later(301)).await.contains(&true));

    // Pruned sessions stay gone, even if the clock is set back.
    changed(&store, id(2).0, UserChange::Disabled(false)).await;
    assert!(store.prune(NOW.plus(31 * DAY), 100).await.unwrap() > 0);
    assert!(!agree(NOW).await.contains(&true));
    let (session, token) = opened(&store, &users[2].0, NOW).await;
    if let Some(live) = store.live_session(session.id) {
        store.close_every_session().await.unwrap();
        assert_eq!(live.accepted(token.id, NOW), Err(Outdated));
    }
}

/// Opens a session of a user who may have only one.
async fn opened_at_most_one(store: &Arc<dyn Store>, user: &User) -> Session {
    let (session, _) = Session::start(user.id, POLICY.lifetime, DAY, later(1));
    assert!(
        store
            .open_session(session.clone(), 0, 1, None)
            .await
            .unwrap()
            .is_some()
    );
    session
}

//! A new password: what ends with it, what begins, and from where the user is known afterwards.

use std::sync::Arc;

use super::{
    Backend,
    support::{
        MOST, NOW, POLICY, WEEK, added, api_token, changed, client, created, deleted, hash, is_accepted,
        is_good, later, network, opened, opened_from,
    },
};
use crate::{
    clock::Timestamp,
    domain::{Session, TokenRecord, User, UserChange},
    store::{
        backend::Store,
        sessions::Kept,
        users::{PasswordReplacement, UserCreation},
    },
};

/// A change of the password of `user` from its version `verified`, by a client in [`network`] `n`.
fn change(user: &User, verified: u32, n: u16, now: Timestamp) -> (PasswordReplacement, TokenRecord) {
    let (mut session, token) = Session::start(user.id, POLICY.lifetime, WEEK, now);
    session.client = client(n);
    let change = PasswordReplacement {
        verified,
        to: hash('z'),
        keeps_api_tokens: false,
        session,
        device: None,
    };
    (change, token)
}

async fn knows(store: &Arc<dyn Store>, user: &User, n: u16) -> bool {
    let noted = store.last_sign_in(user.id, network(n)).await;
    noted.unwrap().is_some()
}

pub async fn a_new_password_ends_every_session_and_starts_one(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let (ada, eve) = (created(&store, "ada").await, created(&store, "eve").await);
    let (first, first_token) = opened(&store, &ada, NOW).await;
    let (second, second_token) = opened(&store, &ada, NOW).await;
    let (others, others_token) = opened(&store, &eve, NOW).await;
    let (begun, token) = change(&ada, 7, 1, NOW);
    let session = begun.session.clone();
    let refused = store.change_password(begun).await.unwrap();
    assert_eq!(refused, None, "not the version that was verified");
    assert!(is_accepted(&store, &first, first_token.id, NOW).await);
    assert!(!is_accepted(&store, &session, token.id, NOW).await);

    let (begun, token) = change(&ada, 0, 1, NOW);
    let session = begun.session.clone();
    let user = store.change_password(begun).await.unwrap().unwrap();
    assert_eq!((user.password_version, &user.password_hash), (1, &hash('z')));
    let alive = [
        (&session, token, true),
        (&first, first_token, false),
        (&second, second_token, false),
        (&others, others_token, true),
    ];
    for (session, token, alive) in alive {
        assert_eq!(is_accepted(&store, session, token.id, NOW).await, alive);
    }
    let accepted = store.accepted(session.id, token.id, NOW).await.unwrap();
    assert_eq!(*accepted.unwrap().user, *user);
    drop(store);
    let store = backend.open(NOW).await;
    for (session, token, alive) in alive {
        assert_eq!(is_accepted(&store, session, token.id, NOW).await, alive);
    }
    let left = store.sessions(ada.id, NOW).await.unwrap();
    assert_eq!(left, std::slice::from_ref(&session));

    // A change by an administrator starts no session.
    let other = UserChange::Password(hash('y'));
    changed(&store, ada.id, other).await;
    assert!(!is_accepted(&store, &session, token.id, NOW).await);
    // None starts for a user who has been disabled or deleted meanwhile.
    changed(&store, ada.id, UserChange::Disabled(true)).await;
    let (late, _) = change(&ada, 2, 1, NOW);
    assert_eq!(store.change_password(late.clone()).await.unwrap(), None);
    deleted(&store, &ada, 2).await;
    assert_eq!(store.change_password(late).await.unwrap(), None);
    assert_eq!(store.count().await.unwrap().sessions, Some(1));
}

pub async fn a_new_password_forgets_every_other_network(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let (ada, eve) = (created(&store, "ada").await, created(&store, "eve").await);
    for user in [&ada, &eve] {
        for n in 1..=3 {
            let _ = opened_from(&store, user, n, NOW).await;
        }
    }
    let (refused, _) = change(&ada, 7, 2, NOW);
    assert_eq!(store.change_password(refused).await.unwrap(), None);
    assert!(knows(&store, &ada, 1).await && knows(&store, &ada, 3).await);
    let (begun, _) = change(&ada, 0, 2, later(60));
    assert!(store.change_password(begun).await.unwrap().is_some());
    // A sign-in that verified the old password, and comes late.
    let (mut late, _) = Session::start(ada.id, POLICY.lifetime, WEEK, later(61));
    late.client = client(1);
    assert_eq!(store.open_session(late, 0, MOST, None).await.unwrap(), None);
    drop(store);
    let store = backend.open(later(61)).await;
    for n in 1..=3 {
        assert_eq!(knows(&store, &ada, n).await, n == 2, "{n}");
        assert!(knows(&store, &eve, n).await);
    }
    // It counts from the change on.
    let noted = store.last_sign_in(ada.id, network(2)).await.unwrap();
    assert_eq!(noted, Some(later(60)));
    // Another change of a user forgets none, and a password that another person sets forgets all.
    let disabled = UserChange::Disabled(true);
    changed(&store, ada.id, disabled).await;
    assert!(knows(&store, &ada, 2).await);
    let other = UserChange::Password(hash('y'));
    changed(&store, ada.id, other).await;
    assert!(!knows(&store, &ada, 2).await);
    // A namesake starts anew.
    deleted(&store, &eve, 0).await;
    let namesake = User {
        id: crate::domain::UserId::generate(NOW),
        ..eve
    };
    let creation = store.create_user(namesake.clone(), None).await.unwrap();
    assert_eq!(creation, UserCreation::Created);
    assert!(!knows(&store, &namesake, 1).await);
}

pub async fn no_copy_of_a_session_outlives_a_new_password(backend: &impl Backend) {
    const ROUNDS: u8 = 30;
    const COPIES: u8 = 6;
    let store = backend.open(NOW).await;
    let ada = created(&store, "ada").await;
    let (mut made, mut begun) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let version = u32::from(round);
        let now = later(u64::from(round));
        let user = User {
            password_version: version,
            ..ada.clone()
        };
        let (mut session, token) = Session::start(ada.id, POLICY.lifetime, WEEK, now);
        let grant = session.grant_refresh(WEEK, now);
        let opened = store.open_session(session.clone(), version, MOST, None).await;
        assert!(opened.unwrap().is_some());
        let (change, new_token) = change(&user, version, 1, now);
        let new = change.session.clone();
        // The window of the copied token is open.
        let due = token.expires_at.minus(POLICY.refresh_window);
        let changing = {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for _ in 0..round {
                    tokio::task::yield_now().await;
                }
                store.change_password(change).await.unwrap().is_some()
            })
        };
        let mut copies = Vec::new();
        for n in 0..COPIES {
            let (store, session, user) = (Arc::clone(&store), session.clone(), user.clone());
            let api_token = api_token(&user, round * COPIES + n, now);
            made.push(api_token.clone());
            copies.push(tokio::spawn(async move {
                let _ = store.refresh(session.id, token.id, POLICY, due).await.unwrap();
                let _ = store
                    .create_api_token(api_token, session.id, usize::MAX)
                    .await
                    .unwrap();
                let _ = store
                    .rotate(session.id, grant.generation, POLICY, WEEK, due)
                    .await
                    .unwrap();
                let (other, _) = Session::start(user.id, POLICY.lifetime, WEEK, now);
                let _ = store.open_session(other, version, MOST, None).await.unwrap();
            }));
        }
        for copy in copies {
            copy.await.unwrap();
        }
        assert!(changing.await.unwrap(), "{round}");
        let left = store.sessions(ada.id, now).await.unwrap();
        assert_eq!(left, std::slice::from_ref(&new), "{round}");
        assert!(is_accepted(&store, &new, new_token.id, now).await);
        assert_eq!(store.api_tokens(ada.id, now).await.unwrap(), []);
        begun.push(new);
    }
    drop(store);
    let now = later(u64::from(ROUNDS));
    let store = backend.open(now).await;
    assert_eq!(
        store.sessions(ada.id, now).await.unwrap(),
        begun[begun.len() - 1..]
    );
    for token in &made {
        assert!(!is_good(&store, token, now).await);
    }
}

pub async fn ending_other_sessions_forgets_other_networks(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let (ada, eve) = (created(&store, "ada").await, created(&store, "eve").await);
    for user in [&ada, &eve] {
        for n in 1..=3 {
            let _ = opened_from(&store, user, n, NOW).await;
        }
    }
    let (session, _) = opened_from(&store, &ada, 2, NOW).await;
    let token = added(&store, &ada, &session, 1).await;
    let kept = Kept {
        session: Some(session.id),
        api_tokens: true,
        network: Some(network(2)),
    };
    assert_eq!(store.close_sessions(ada.id, kept).await.unwrap(), 3);
    assert_eq!(store.close_sessions(ada.id, kept).await.unwrap(), 0);
    drop(store);
    let store = backend.open(NOW).await;
    for n in 1..=3 {
        assert_eq!(knows(&store, &ada, n).await, n == 2, "{n}");
        assert!(knows(&store, &eve, n).await);
    }
    assert!(is_good(&store, &token, NOW).await);
    assert_eq!(store.close_sessions(ada.id, Kept::default()).await.unwrap(), 2);
    assert!(!knows(&store, &ada, 2).await);
}

//! Users, their changes, and the networks from which they sign in.

use std::sync::Arc;

use super::{
    Backend,
    support::{
        DAY, NOW, added, changed, created, deleted, hash, is_accepted, later, name, network, opened,
        opened_from, role, user,
    },
};
use crate::{
    domain::{Role, User, UserChange, UserId},
    store::{
        backend::StoreCounts,
        users::{MAX_NETWORKS, UserCreation, UserDeletion, UserUpdate},
    },
};

pub async fn a_user_is_found_by_name_as_created(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    assert_eq!(store.user_by_name(&name("ada")).await.unwrap(), None);
    let ada = created(&store, "ada").await;
    let plain = User {
        display_name: None,
        disabled: true,
        ..user("bob")
    };
    assert_eq!(
        store.create_user(plain.clone(), None).await.unwrap(),
        UserCreation::Created
    );
    drop(store);
    let store = backend.open(NOW).await;
    for user in [ada, plain] {
        let found = store.user_by_name(&user.username).await.unwrap();
        assert_eq!(found.as_deref(), Some(&user));
    }
}

pub async fn concurrent_sign_ups_get_a_username_once(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let tasks: Vec<_> = (0..16)
        .map(|n| {
            let store = Arc::clone(&store);
            let user = User {
                password_hash: hash(char::from(b'a' + n)),
                ..user("ada")
            };
            tokio::spawn(async move { (store.create_user(user.clone(), None).await.unwrap(), user) })
        })
        .collect();
    let mut winners = Vec::new();
    for task in tasks {
        let (creation, user) = task.await.unwrap();
        if creation == UserCreation::Created {
            winners.push(user);
        }
    }
    let found = store.user_by_name(&name("ada")).await.unwrap().unwrap();
    assert_eq!(winners, [(*found).clone()]);
    assert_eq!(store.count().await.unwrap().users, 1);
}

pub async fn a_user_change_is_visible_at_once_and_after_a_restart(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let mut expected = created(&store, "ada").await;
    let unknown = store
        .change_user(UserId::generate(NOW), UserChange::Disabled(true))
        .await;
    assert_eq!(unknown.unwrap(), UserUpdate::NoSuchUser);
    for change in [
        UserChange::Disabled(true),
        UserChange::Roles([Role::ADMIN].into_iter().collect()),
        UserChange::DisplayName(None),
        UserChange::Rehash {
            from: hash('a'),
            to: hash('b'),
        },
    ] {
        expected = expected.with(change.clone());
        let changed = store.change_user(expected.id, change).await.unwrap();
        assert_eq!(changed.changed().as_deref(), Some(&expected));
        let found = store.user_by_name(&expected.username).await.unwrap();
        assert_eq!(found.as_deref(), Some(&expected));
    }
    drop(store);
    let found = backend
        .open(NOW)
        .await
        .user_by_name(&expected.username)
        .await
        .unwrap();
    assert_eq!(found.as_deref(), Some(&expected));
}

pub async fn a_rehash_never_undoes_a_later_password_change(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let ada = created(&store, "ada").await;
    changed(&store, ada.id, UserChange::Password(hash('b'))).await;
    for (from, to, now) in [('a', 'c', 'b'), ('b', 'd', 'd')] {
        let change = UserChange::Rehash {
            from: hash(from),
            to: hash(to),
        };
        let user = changed(&store, ada.id, change).await;
        assert_eq!(user.password_hash, hash(now));
    }
}

pub async fn a_user_change_reaches_every_session_and_api_token(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let (ada, eve) = (created(&store, "ada").await, created(&store, "eve").await);
    let mut sessions = Vec::new();
    for n in 0..5 {
        let _ = opened(&store, &eve, later(n)).await;
        sessions.push(opened(&store, &ada, later(n)).await);
    }
    let token = added(&store, &ada, &sessions[0].0, 1).await;
    // The last session opened ends: the user's state must not go with it.
    let (gone, _) = sessions.pop().unwrap();
    store.close_session(gone.id).await.unwrap();
    for roles in [[role("EDITOR")], [Role::CLIENT]] {
        let change = UserChange::Roles(roles.into_iter().collect());
        let changed = changed(&store, ada.id, change).await;
        for (session, record) in &sessions {
            assert!(is_accepted(&store, session, record.id, later(9)).await);
            let accepted = store.accepted(session.id, record.id, later(9)).await.unwrap();
            assert_eq!(*accepted.unwrap().user, *changed);
        }
        let accepted = store.api_token_accepted(token.hash, later(9)).await.unwrap();
        assert_eq!(*accepted.unwrap().user, *changed);
    }
    assert_eq!(
        store.sessions(ada.id, later(9)).await.unwrap().len(),
        sessions.len()
    );
    assert_eq!(store.sessions(eve.id, later(9)).await.unwrap().len(), 5);
    drop(store);
    // All of them are loaded again, each with its own user, in any order.
    let store = backend.open(later(9)).await;
    for (session, record) in &sessions {
        let accepted = store.accepted(session.id, record.id, later(9)).await.unwrap();
        assert_eq!(accepted.unwrap().user.id, ada.id);
    }
    assert_eq!(
        store.sessions(ada.id, later(9)).await.unwrap().len(),
        sessions.len()
    );
    assert_eq!(store.sessions(eve.id, later(9)).await.unwrap().len(), 5);
}

pub async fn deleting_a_user_ends_everything_and_frees_the_name(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let home = network(1);
    let ada = created(&store, "ada").await;
    let (session, token) = opened_from(&store, &ada, 1, NOW).await;
    let deletion = store.delete_user(ada.id, Some(1)).await.unwrap();
    assert_eq!(deletion, UserDeletion::NoSuchUser, "not the version");
    assert!(is_accepted(&store, &session, token.id, NOW).await);

    deleted(&store, &ada, 0).await;
    for verified in [Some(0), None] {
        let deletion = store.delete_user(ada.id, verified).await.unwrap();
        assert_eq!(deletion, UserDeletion::NoSuchUser, "gone already");
    }
    // A sign-in that was running meanwhile.
    let late = store.open_session(session.clone(), 0, 9, None).await.unwrap();
    assert_eq!(late, None);
    assert!(!is_accepted(&store, &session, token.id, NOW).await);
    drop(store);
    let store = backend.open(NOW).await;
    assert_eq!(store.user_by_name(&name("ada")).await.unwrap(), None);
    assert_eq!(store.last_sign_in(ada.id, home).await.unwrap(), None);
    assert!(!is_accepted(&store, &session, token.id, NOW).await);
    let none = StoreCounts {
        users: 0,
        sessions: Some(0),
    };
    assert_eq!(store.count().await.unwrap(), none);
    let namesake = created(&store, "ada").await;
    assert_eq!(
        store.user_by_name(&name("ada")).await.unwrap().as_deref(),
        Some(&namesake)
    );
}

pub async fn sign_ins_are_noted_by_network_up_to_a_bound(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let ada = user("ada");
    let created = store.create_user(ada.clone(), Some(network(0))).await.unwrap();
    assert_eq!(created, UserCreation::Created);
    let eve = self::created(&store, "eve").await;
    assert_eq!(
        store.last_sign_in(ada.id, network(0)).await.unwrap(),
        Some(ada.created_at)
    );
    assert_eq!(store.last_sign_in(ada.id, network(1)).await.unwrap(), None);
    assert_eq!(store.last_sign_in(eve.id, network(0)).await.unwrap(), None);

    let many = u16::try_from(MAX_NETWORKS).unwrap();
    for n in 1..=many {
        let _ = opened_from(&store, &ada, n, later(n.into())).await;
    }
    let _ = opened_from(&store, &eve, 7, later(7)).await;
    let _ = opened(&store, &eve, later(8)).await;
    drop(store);
    let store = backend.open(NOW).await;
    assert_eq!(store.last_sign_in(ada.id, network(0)).await.unwrap(), None);
    for n in 1..=many {
        let noted = store.last_sign_in(ada.id, network(n)).await.unwrap();
        assert_eq!(noted, Some(later(n.into())));
    }
    // A network that is known already takes no other network's place.
    let next_day = later(1).plus(DAY);
    let _ = opened_from(&store, &ada, 1, next_day).await;
    for (n, noted) in [(1, next_day), (2, later(2))] {
        assert_eq!(store.last_sign_in(ada.id, network(n)).await.unwrap(), Some(noted));
    }
    // One that a clock noted that was ahead goes first.
    let _ = opened_from(&store, &ada, 100, next_day.plus(DAY)).await;
    let _ = opened_from(&store, &ada, 101, next_day).await;
    assert_eq!(store.last_sign_in(ada.id, network(100)).await.unwrap(), None);
    assert!(store.last_sign_in(ada.id, network(3)).await.unwrap().is_some());
    assert_eq!(
        store.last_sign_in(eve.id, network(7)).await.unwrap(),
        Some(later(7))
    );
}

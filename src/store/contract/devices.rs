//! Device tokens.

use std::sync::Arc;

use super::{
    Backend,
    support::{
        DAY, MOST, NOW, POLICY, WEEK, changed, client, created, deleted, hash, later, network, opened, user,
    },
};
use crate::{
    clock::Timestamp,
    domain::{DeviceSignIn, DeviceTokenHash, MAX_DEVICES, Session, User, UserChange, UserId},
    store::{
        backend::Store,
        sessions::Kept,
        users::{PasswordReplacement, UserCreation},
    },
};

fn token(n: u8) -> DeviceTokenHash {
    DeviceTokenHash::from_bytes([n; 32])
}

/// Opens a session of `user` with `device`, and returns it if the user has this version of a password.
async fn sign_in(
    store: &Arc<dyn Store>,
    user: &User,
    verified: u32,
    device: DeviceSignIn,
    now: Timestamp,
) -> Option<Session> {
    let (mut session, _) = Session::start(user.id, POLICY.lifetime, WEEK, now);
    session.client = client(1);
    let opened = store.open_session(session.clone(), verified, MOST, Some(device));
    opened.await.unwrap().map(|_| session)
}

async fn seen(store: &Arc<dyn Store>, user: &User, n: u8) -> Option<Timestamp> {
    store.last_sign_in_with(user.id, token(n)).await.unwrap()
}

pub async fn a_device_token_is_noted_at_each_sign_in_with_it(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let (ada, eve) = (created(&store, "ada").await, created(&store, "eve").await);
    assert_eq!(seen(&store, &ada, 1).await, None);
    let given = sign_in(&store, &ada, 0, DeviceSignIn::Given(token(1)), NOW).await;
    assert!(given.is_some());
    assert_eq!(seen(&store, &ada, 1).await, Some(NOW));
    assert_eq!(seen(&store, &eve, 1).await, None, "of another user");
    assert_eq!(seen(&store, &user("bob"), 1).await, None, "of no user");
    // A sign-in without one changes nothing.
    let _ = opened(&store, &ada, later(5)).await;
    assert_eq!(seen(&store, &ada, 1).await, Some(NOW));

    let presented = sign_in(&store, &ada, 0, DeviceSignIn::Presented(token(1)), later(9)).await;
    assert!(presented.is_some());
    let unknown = sign_in(&store, &ada, 0, DeviceSignIn::Presented(token(2)), later(9)).await;
    assert!(unknown.is_some(), "the session begins all the same");
    let late = sign_in(&store, &ada, 7, DeviceSignIn::Given(token(3)), later(9)).await;
    assert_eq!(late, None, "not the version of the password");
    // What changes a user otherwise leaves it.
    for change in [UserChange::Disabled(true), UserChange::Disabled(false)] {
        changed(&store, ada.id, change).await;
    }
    drop(store);
    let store = backend.open(later(9)).await;
    assert_eq!(seen(&store, &ada, 1).await, Some(later(9)));
    for none in [2, 3] {
        assert_eq!(seen(&store, &ada, none).await, None, "{none}");
    }
    let noted = store.last_sign_in(ada.id, network(1)).await.unwrap();
    assert_eq!(noted, Some(NOW), "the network is noted once a day");
}

pub async fn a_new_password_ends_every_device_token_but_its_own(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let (ada, eve) = (created(&store, "ada").await, created(&store, "eve").await);
    for user in [&ada, &eve] {
        for n in [1, 2] {
            let _ = sign_in(&store, user, 0, DeviceSignIn::Given(token(n)), NOW).await;
        }
    }
    let (session, _) = Session::start(ada.id, POLICY.lifetime, WEEK, later(1));
    let change = PasswordReplacement {
        verified: 0,
        to: hash('z'),
        keeps_api_tokens: true,
        session,
        device: Some(token(3)),
    };
    assert!(store.change_password(change).await.unwrap().is_some());
    // A sign-in that verified the old password, and comes late.
    let late = sign_in(&store, &ada, 0, DeviceSignIn::Given(token(4)), later(2)).await;
    assert_eq!(late, None);
    // One that presents a token from before begins a session, and does not bring the token back.
    let old = sign_in(&store, &ada, 1, DeviceSignIn::Presented(token(1)), later(2)).await;
    assert!(old.is_some());
    drop(store);
    let store = backend.open(later(2)).await;
    for n in [1, 2, 4] {
        assert_eq!(seen(&store, &ada, n).await, None, "{n}");
    }
    assert_eq!(seen(&store, &ada, 3).await, Some(later(1)));
    assert_eq!(seen(&store, &eve, 1).await, Some(NOW));
    // A password that another person sets ends all, and so does the end of the account.
    let other = UserChange::Password(hash('y'));
    changed(&store, ada.id, other).await;
    assert_eq!(seen(&store, &ada, 3).await, None);
    deleted(&store, &eve, 0).await;
    assert_eq!(seen(&store, &eve, 1).await, None);
    let namesake = User {
        id: UserId::generate(later(2)),
        ..eve
    };
    let creation = store.create_user(namesake.clone(), None).await.unwrap();
    assert_eq!(creation, UserCreation::Created);
    assert_eq!(seen(&store, &namesake, 1).await, None);
}

pub async fn ending_other_sessions_ends_their_device_tokens(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let ada = created(&store, "ada").await;
    let mut sessions = Vec::new();
    for n in [1, 2, 3] {
        sessions.push(sign_in(&store, &ada, 0, DeviceSignIn::Given(token(n)), NOW).await);
    }
    let last = sign_in(&store, &ada, 0, DeviceSignIn::Presented(token(2)), later(1)).await;
    let kept = Kept {
        session: last.map(|session| session.id),
        api_tokens: true,
        network: None,
    };
    assert_eq!(store.close_sessions(ada.id, kept).await.unwrap(), 3);
    drop(store);
    let store = backend.open(later(1)).await;
    for n in [1, 3] {
        assert_eq!(seen(&store, &ada, n).await, None, "{n}");
    }
    assert_eq!(seen(&store, &ada, 2).await, Some(later(1)));
    assert_eq!(store.close_sessions(ada.id, Kept::default()).await.unwrap(), 1);
    assert_eq!(seen(&store, &ada, 2).await, None);
}

pub async fn device_tokens_are_bounded_and_used_ones_stay(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let (ada, eve) = (created(&store, "ada").await, created(&store, "eve").await);
    let _ = sign_in(&store, &eve, 0, DeviceSignIn::Given(token(0)), NOW).await;
    let _ = sign_in(&store, &ada, 0, DeviceSignIn::Given(token(0)), NOW).await;
    let _ = sign_in(&store, &ada, 0, DeviceSignIn::Presented(token(0)), NOW).await;
    let many = u8::try_from(2 * MAX_DEVICES).unwrap();
    let tasks: Vec<_> = (1..=many)
        .map(|n| {
            let (store, ada) = (Arc::clone(&store), ada.clone());
            tokio::spawn(async move {
                let now = NOW.plus(DAY);
                sign_in(&store, &ada, 0, DeviceSignIn::Given(token(n)), now).await
            })
        })
        .collect();
    for task in tasks {
        assert!(task.await.unwrap().is_some());
    }
    drop(store);
    let store = backend.open(NOW.plus(DAY)).await;
    let mut left = 0;
    for n in 1..=many {
        left += usize::from(seen(&store, &ada, n).await.is_some());
    }
    assert_eq!(left, MAX_DEVICES - 1);
    assert_eq!(seen(&store, &ada, 0).await, Some(NOW), "it came back once");
    assert_eq!(seen(&store, &eve, 0).await, Some(NOW));
}

//! The contract, one function a promise.

use std::{sync::Arc, time::Duration};

use jwt_server::{
    clock::Timestamp,
    domain::{
        Algorithm, DisplayName, KeyRing, PasswordHash, Refresh, Role, Session, TokenId, TokenPolicy,
        TokenRecord, User, UserChange, UserId, Username,
    },
    store::{Count, KeyMaterial, KeyRingUpdate, Store, UserCreation},
};
use secrecy::ExposeSecret;

use super::Backend;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const POLICY: TokenPolicy = TokenPolicy {
    lifetime: Duration::from_mins(5),
    refresh_window: Duration::from_secs(30),
    refresh_grace: Duration::from_secs(10),
};

fn later(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

fn hash(of: char) -> PasswordHash {
    PasswordHash::parse(&format!("$2b$12${}", of.to_string().repeat(53))).unwrap()
}

fn name(name: &str) -> Username {
    Username::parse(name).unwrap()
}

fn user(username: &str) -> User {
    User {
        id: UserId::generate(NOW),
        username: name(username),
        password_hash: hash('a'),
        password_version: 0,
        roles: [Role::CLIENT, Role::ADMIN].into_iter().collect(),
        disabled: false,
        display_name: DisplayName::parse("Ada ✨").ok(),
        created_at: NOW,
    }
}

async fn created(store: &Arc<dyn Store>, username: &str) -> User {
    let user = user(username);
    assert_eq!(
        store.create_user(user.clone()).await.unwrap(),
        UserCreation::Created
    );
    user
}

async fn opened(store: &Arc<dyn Store>, user: &User, now: Timestamp) -> (Session, TokenRecord) {
    let (session, token) = Session::start(user.id, POLICY.lifetime, Duration::from_hours(1), now);
    let opened = store.open_session(session.clone(), user.password_version).await;
    assert!(opened.unwrap().is_some());
    (session, token)
}

async fn is_accepted(store: &Arc<dyn Store>, session: &Session, token: TokenId, now: Timestamp) -> bool {
    store.accepted(session.id, token, now).await.unwrap().is_some()
}

pub(crate) async fn a_user_is_found_by_name_as_they_were_created(backend: &impl Backend) {
    let store = backend.open(NOW);
    assert_eq!(store.user_by_name(&name("ada")).await.unwrap(), None);
    let ada = created(&store, "ada").await;
    let plain = User {
        display_name: None,
        disabled: true,
        ..user("bob")
    };
    assert_eq!(
        store.create_user(plain.clone()).await.unwrap(),
        UserCreation::Created
    );
    drop(store);
    let store = backend.open(NOW);
    for user in [ada, plain] {
        let found = store.user_by_name(&user.username).await.unwrap();
        assert_eq!(found.as_deref(), Some(&user));
    }
}

pub(crate) async fn a_username_is_given_once_even_to_many_at_once(backend: &impl Backend) {
    let store = backend.open(NOW);
    let tasks: Vec<_> = (0..16)
        .map(|n| {
            let store = Arc::clone(&store);
            let user = User {
                password_hash: hash(char::from(b'a' + n)),
                ..user("ada")
            };
            tokio::spawn(async move { (store.create_user(user.clone()).await.unwrap(), user) })
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

pub(crate) async fn a_change_of_a_user_is_seen_at_once_and_after_a_restart(backend: &impl Backend) {
    let store = backend.open(NOW);
    let mut expected = created(&store, "ada").await;
    let nobody = store
        .change_user(UserId::generate(NOW), UserChange::Disabled(true))
        .await;
    assert_eq!(nobody.unwrap(), None);
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
        assert_eq!(changed.as_deref(), Some(&expected));
        let found = store.user_by_name(&expected.username).await.unwrap();
        assert_eq!(found.as_deref(), Some(&expected));
    }
    drop(store);
    let found = backend.open(NOW).user_by_name(&expected.username).await.unwrap();
    assert_eq!(found.as_deref(), Some(&expected));
}

pub(crate) async fn a_rehash_never_undoes_a_later_change_of_the_password(backend: &impl Backend) {
    let store = backend.open(NOW);
    let ada = created(&store, "ada").await;
    store
        .change_user(ada.id, UserChange::Password(hash('b')))
        .await
        .unwrap();
    for (from, to, now) in [('a', 'c', 'b'), ('b', 'd', 'd')] {
        let change = UserChange::Rehash {
            from: hash(from),
            to: hash(to),
        };
        let user = store.change_user(ada.id, change).await.unwrap().unwrap();
        assert_eq!(user.password_hash, hash(now));
    }
}

pub(crate) async fn a_session_is_opened_only_for_a_user_as_verified(backend: &impl Backend) {
    let store = backend.open(NOW);
    let ada = created(&store, "ada").await;
    let open = async |user, verified| {
        let (session, token) = Session::start(user, POLICY.lifetime, POLICY.lifetime, NOW);
        let opened = store.open_session(session.clone(), verified).await.unwrap();
        assert_eq!(
            opened.is_some(),
            is_accepted(&store, &session, token.id, NOW).await
        );
        opened
    };
    assert_eq!(open(ada.id, 0).await.as_deref(), Some(&ada));
    assert_eq!(open(UserId::generate(NOW), 0).await, None, "no such user");

    let rehash = UserChange::Rehash {
        from: hash('a'),
        to: hash('b'),
    };
    store.change_user(ada.id, rehash).await.unwrap();
    assert!(
        open(ada.id, 0).await.is_some(),
        "the same password under another cost"
    );
    store
        .change_user(ada.id, UserChange::Password(hash('c')))
        .await
        .unwrap();
    assert_eq!(open(ada.id, 0).await, None, "another password since");
    assert!(open(ada.id, 1).await.is_some());
    store
        .change_user(ada.id, UserChange::Disabled(true))
        .await
        .unwrap();
    assert_eq!(open(ada.id, 1).await, None, "disabled since");
    assert_eq!(store.count().await.unwrap().sessions, 3);
}

pub(crate) async fn an_accepted_token_speaks_for_the_user_as_they_are_now(backend: &impl Backend) {
    let store = backend.open(NOW);
    let ada = created(&store, "ada").await;
    let (session, token) = opened(&store, &ada, NOW).await;
    let accepted = store.accepted(session.id, token.id, NOW).await.unwrap().unwrap();
    assert_eq!((*accepted.user).clone(), ada);
    assert_eq!(accepted.token, token);
    assert_eq!(accepted.session_ends_at, later(3600));

    let (other, _) = Session::start(ada.id, POLICY.lifetime, POLICY.lifetime, NOW);
    assert!(
        !is_accepted(&store, &other, token.id, NOW).await,
        "another session's"
    );
    assert!(
        !is_accepted(&store, &session, TokenId::generate(), NOW).await,
        "another token"
    );

    let change = UserChange::Roles([Role::CLIENT].into_iter().collect());
    let changed = store.change_user(ada.id, change).await.unwrap().unwrap();
    let accepted = store.accepted(session.id, token.id, NOW).await.unwrap().unwrap();
    assert_eq!(accepted.user, changed);
    drop(store);
    let store = backend.open(NOW);
    let accepted = store.accepted(session.id, token.id, NOW).await.unwrap().unwrap();
    assert_eq!(accepted.user, changed);

    assert!(is_accepted(&store, &session, token.id, later(299)).await);
    assert!(
        !is_accepted(&store, &session, token.id, later(300)).await,
        "expired"
    );
}

pub(crate) async fn a_refresh_mints_one_successor_and_keeps_to_it(backend: &impl Backend) {
    let store = backend.open(NOW);
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
    let store = backend.open(later(280));
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

pub(crate) async fn a_closed_session_stays_closed(backend: &impl Backend) {
    let store = backend.open(NOW);
    let ada = created(&store, "ada").await;
    let (closed, token) = opened(&store, &ada, NOW).await;
    let (other, other_token) = opened(&store, &ada, NOW).await;
    for _ in 0..2 {
        store.close_session(closed.id).await.unwrap();
        assert!(!is_accepted(&store, &closed, token.id, NOW).await);
        assert!(is_accepted(&store, &other, other_token.id, NOW).await);
    }
    drop(store);
    let store = backend.open(NOW);
    assert!(!is_accepted(&store, &closed, token.id, NOW).await);
    assert!(is_accepted(&store, &other, other_token.id, NOW).await);
}

pub(crate) async fn a_session_that_was_closed_is_not_refreshed(backend: &impl Backend) {
    let store = backend.open(NOW);
    let ada = created(&store, "ada").await;
    let (session, token) = opened(&store, &ada, NOW).await;
    store.close_session(session.id).await.unwrap();
    let refused = store
        .refresh(session.id, token.id, POLICY, later(280))
        .await
        .unwrap();
    assert_eq!(refused, Refresh::Refused);
    assert_eq!(store.count().await.unwrap().sessions, 0);
}

pub(crate) async fn pruning_forgets_what_has_run_out_in_batches_and_nothing_else(backend: &impl Backend) {
    let store = backend.open(NOW);
    let ada = created(&store, "ada").await;
    for _ in 0..5 {
        opened(&store, &ada, NOW).await;
    }
    let (live, token) = opened(&store, &ada, later(1)).await;
    assert_eq!(store.prune(later(299), 10).await.unwrap(), 0);
    for (pruned, left) in [(2, 4), (2, 2), (1, 1), (0, 1)] {
        assert_eq!(store.prune(later(300), 2).await.unwrap(), pruned);
        assert_eq!(store.count().await.unwrap().sessions, left);
    }
    assert!(is_accepted(&store, &live, token.id, later(300)).await);
    // A refresh moves the end of a session, so the old end must not take it along.
    let refreshed = store
        .refresh(live.id, token.id, POLICY, later(290))
        .await
        .unwrap();
    let Refresh::Minted(successor) = refreshed else {
        panic!("{refreshed:?}")
    };
    assert_eq!(store.prune(later(589), 10).await.unwrap(), 0);
    assert!(is_accepted(&store, &live, successor.id, later(589)).await);
    assert_eq!(store.prune(later(590), 10).await.unwrap(), 1);
    drop(store);
    assert_eq!(backend.open(NOW).count().await.unwrap().sessions, 0);
}

pub(crate) async fn opening_forgets_what_has_run_out(backend: &impl Backend) {
    let store = backend.open(NOW);
    let ada = created(&store, "ada").await;
    opened(&store, &ada, NOW).await;
    let (live, token) = opened(&store, &ada, later(100)).await;
    drop(store);
    let store = backend.open(later(300));
    assert_eq!(store.count().await.unwrap().sessions, 1);
    assert!(is_accepted(&store, &live, token.id, later(300)).await);
    drop(store);
    // Forgotten for good: not even a clock that stands earlier brings it back.
    assert_eq!(backend.open(NOW).count().await.unwrap().sessions, 1);
}

fn key(id: &str, algorithm: Algorithm, private: Option<&[u8]>) -> (String, Algorithm, KeyMaterial) {
    let material = KeyMaterial {
        private: private.map(|bytes| bytes.to_vec().into()),
        mark: format!("mark of {id}"),
    };
    (id.into(), algorithm, material)
}

/// What can be compared of a ring.
fn shown(ring: &KeyRing<KeyMaterial>) -> KeyRing<(Option<Vec<u8>>, String)> {
    ring.map(|key| {
        let private = key.material.private.as_ref();
        let private = private.map(|private| private.expose_secret().to_vec());
        (private, key.material.mark.clone())
    })
}

pub(crate) async fn the_signing_keys_are_kept_whole(backend: &impl Backend) {
    let store = backend.open(NOW);
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

    let store = backend.open(NOW);
    let stored = store.key_ring().await.unwrap();
    assert_eq!((shown(&stored.keys), stored.revision), (shown(&ring), revision));
    ring.clear();
    let emptied = store.keep_key_ring(ring, revision).await.unwrap();
    assert!(matches!(emptied, KeyRingUpdate::Kept(_)));
    assert!(store.key_ring().await.unwrap().keys.keys().is_empty());
}

pub(crate) async fn of_many_who_change_the_signing_keys_at_once_one_does(backend: &impl Backend) {
    let store = backend.open(NOW);
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

pub(crate) async fn every_session_can_be_closed(backend: &impl Backend) {
    let store = backend.open(NOW);
    let ada = created(&store, "ada").await;
    let (session, token) = opened(&store, &ada, NOW).await;
    opened(&store, &ada, NOW).await;
    assert_eq!(store.close_every_session().await.unwrap(), 2);
    assert_eq!(store.close_every_session().await.unwrap(), 0);
    assert!(!is_accepted(&store, &session, token.id, NOW).await);
    drop(store);
    let store = backend.open(NOW);
    assert!(!is_accepted(&store, &session, token.id, NOW).await);
    assert_eq!(store.count().await.unwrap().users, 1);
}

pub(crate) async fn counts_are_right_after_a_restart(backend: &impl Backend) {
    let store = backend.open(NOW);
    assert_eq!(
        store.count().await.unwrap(),
        Count {
            users: 0,
            sessions: 0
        }
    );
    for username in ["ada", "bob", "eve"] {
        let user = created(&store, username).await;
        opened(&store, &user, NOW).await;
    }
    assert_eq!(
        store.create_user(user("ada")).await.unwrap(),
        UserCreation::UsernameTaken
    );
    drop(store);
    let store = backend.open(NOW);
    assert_eq!(
        store.count().await.unwrap(),
        Count {
            users: 3,
            sessions: 3
        }
    );
}

pub(crate) async fn sixty_four_writers_at_once_lose_nothing(backend: &impl Backend) {
    let store = backend.open(NOW);
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
    let store = backend.open(later(280));
    assert_eq!(
        store.count().await.unwrap(),
        Count {
            users: 64,
            sessions: 64
        }
    );
    for (session, tokens) in kept {
        for token in tokens {
            assert!(is_accepted(&store, &session, token.id, later(280)).await);
        }
    }
}

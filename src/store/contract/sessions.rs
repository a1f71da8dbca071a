//! Sessions and the token check.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::{
    Backend,
    support::{DAY, MOST, NOW, POLICY, added, changed, created, hash, is_accepted, is_good, later, opened},
};
use crate::{
    domain::{
        Client, ClientAddress, Device, DisplayName, Refresh, Role, Session, SessionId, TokenId, UserChange,
        UserId, is_confirmed,
    },
    store::{
        backend::Store,
        sessions::{Kept, Outdated},
    },
};

pub async fn a_session_opens_only_for_a_user_as_verified(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let ada = created(&store, "ada").await;
    let open = async |user, verified| {
        let (session, token) = Session::start(user, POLICY.lifetime, POLICY.lifetime, NOW);
        let opened = store
            .open_session(session.clone(), verified, MOST, None)
            .await
            .unwrap();
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
    changed(&store, ada.id, rehash).await;
    assert!(
        open(ada.id, 0).await.is_some(),
        "the same password under another cost"
    );
    changed(&store, ada.id, UserChange::Password(hash('c'))).await;
    assert_eq!(open(ada.id, 0).await, None, "another password since");
    assert!(open(ada.id, 1).await.is_some());
    changed(&store, ada.id, UserChange::Disabled(true)).await;
    assert_eq!(open(ada.id, 1).await, None, "disabled since");
    assert_eq!(
        store.count().await.unwrap().sessions,
        Some(0),
        "the other password has ended some, and the shut-out the last"
    );
}

pub async fn a_shut_out_user_has_no_session_and_gets_none_back(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let (ada, eve) = (created(&store, "ada").await, created(&store, "eve").await);
    let (session, token) = opened(&store, &ada, NOW).await;
    let (second, second_token) = opened(&store, &ada, NOW).await;
    let (eves, eves_token) = opened(&store, &eve, NOW).await;
    let api_token = added(&store, &ada, &session, 1).await;
    // To enable a user who is not disabled ends nothing.
    changed(&store, ada.id, UserChange::Disabled(false)).await;
    assert!(is_accepted(&store, &session, token.id, NOW).await);
    let ended = async |store: &Arc<dyn Store>| {
        for (session, token) in [(&session, token), (&second, second_token)] {
            assert!(!is_accepted(store, session, token.id, NOW).await);
        }
        assert!(is_accepted(store, &eves, eves_token.id, NOW).await);
        assert!(is_good(store, &api_token, NOW).await);
        assert_eq!(store.sessions(ada.id, NOW).await.unwrap(), []);
        assert_eq!(store.count().await.unwrap().sessions, Some(1));
    };
    for disabled in [true, false] {
        changed(&store, ada.id, UserChange::Disabled(disabled)).await;
        ended(&store).await;
    }
    drop(store);
    ended(&backend.open(NOW).await).await;
}

pub async fn an_accepted_token_has_the_present_user(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let ada = created(&store, "ada").await;
    let (session, token) = opened(&store, &ada, NOW).await;
    let accepted = store.accepted(session.id, token.id, NOW).await.unwrap().unwrap();
    assert_eq!((*accepted.user).clone(), ada);
    assert_eq!(accepted.token, token);
    assert_eq!(accepted.session_ends_at, later(3600));

    let (other, _) = Session::start(ada.id, POLICY.lifetime, POLICY.lifetime, NOW);
    assert!(
        !is_accepted(&store, &other, token.id, NOW).await,
        "of another session"
    );
    assert!(
        !is_accepted(&store, &session, TokenId::generate(), NOW).await,
        "another token"
    );

    let change = UserChange::Roles([Role::CLIENT].into_iter().collect());
    let changed = changed(&store, ada.id, change).await;
    let accepted = store.accepted(session.id, token.id, NOW).await.unwrap().unwrap();
    assert_eq!(*accepted.user, *changed);
    drop(store);
    let store = backend.open(NOW).await;
    let accepted = store.accepted(session.id, token.id, NOW).await.unwrap().unwrap();
    assert_eq!(*accepted.user, *changed);

    assert!(is_accepted(&store, &session, token.id, later(299)).await);
    assert!(
        !is_accepted(&store, &session, token.id, later(300)).await,
        "expired"
    );
}

pub async fn no_check_shows_a_user_older_than_the_last_answer(backend: &impl Backend) {
    const CHANGES: usize = 100;
    let store = backend.open(NOW).await;
    let ada = created(&store, "ada").await;
    let (session, token) = opened(&store, &ada, NOW).await;
    let answered = Arc::new(AtomicUsize::new(0));
    // Half of the tasks ask the store; the others use a live session until it is outdated.
    let asking: Vec<_> = (0..4)
        .map(|n| {
            let (store, answered) = (Arc::clone(&store), Arc::clone(&answered));
            let (id, token, mut at_hand) = (session.id, token.id, None);
            tokio::spawn(async move {
                loop {
                    let at_least = answered.load(Ordering::SeqCst);
                    if n % 2 == 0 && at_hand.is_none() {
                        at_hand = store.live_session(id);
                    }
                    let accepted = match at_hand.clone().map(|live| live.accepted(token, NOW)) {
                        Some(Ok(accepted)) => accepted,
                        Some(Err(Outdated)) => {
                            at_hand = None;
                            continue;
                        }
                        None => store.accepted(id, token, NOW).await.unwrap(),
                    };
                    let user = accepted.unwrap().user;
                    let name = user.display_name.as_ref().map_or("0", |name| name.as_str());
                    assert!(name.parse::<usize>().unwrap_or(0) >= at_least);
                    if at_least == CHANGES {
                        return;
                    }
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for change in 1..=CHANGES {
        let name = DisplayName::parse(&change.to_string()).unwrap();
        let changed = store.change_user(ada.id, UserChange::DisplayName(Some(name)));
        assert!(changed.await.unwrap().changed().is_some());
        answered.store(change, Ordering::SeqCst);
    }
    for asking in asking {
        asking.await.unwrap();
    }
}

pub async fn a_closed_session_stays_closed(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let ada = created(&store, "ada").await;
    let (closed, token) = opened(&store, &ada, NOW).await;
    let (other, other_token) = opened(&store, &ada, NOW).await;
    for whose in [Some(ada.id), None] {
        assert_eq!(store.user_of(closed.id).await.unwrap(), whose);
        assert_eq!(store.user_of(other.id).await.unwrap(), Some(ada.id));
        assert_eq!(store.close_session(closed.id).await.unwrap(), whose);
        assert!(!is_accepted(&store, &closed, token.id, NOW).await);
        assert!(is_accepted(&store, &other, other_token.id, NOW).await);
    }
    drop(store);
    let store = backend.open(NOW).await;
    assert_eq!(store.close_session(closed.id).await.unwrap(), None);
    assert!(!is_accepted(&store, &closed, token.id, NOW).await);
    assert!(is_accepted(&store, &other, other_token.id, NOW).await);
}

pub async fn of_concurrent_ends_of_a_session_one_ends_it(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let ada = created(&store, "ada").await;
    for round in 0..20 {
        let (session, _) = opened(&store, &ada, NOW).await;
        let ends: Vec<_> = (0..8)
            .map(|n| {
                let (store, all) = (Arc::clone(&store), (n + round) % 4 == 0);
                tokio::spawn(async move {
                    if all {
                        let ended = store.close_sessions(session.user, Kept::default()).await;
                        ended.unwrap()
                    } else {
                        usize::from(store.close_session(session.id).await.unwrap().is_some())
                    }
                })
            })
            .collect();
        let mut ended = 0;
        for end in ends {
            ended += end.await.unwrap();
        }
        assert_eq!(ended, 1, "{round}");
    }
}

pub async fn every_session_can_be_closed(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let ada = created(&store, "ada").await;
    let (session, token) = opened(&store, &ada, NOW).await;
    opened(&store, &ada, NOW).await;
    assert_eq!(store.close_every_session().await.unwrap(), 2);
    assert_eq!(store.close_every_session().await.unwrap(), 0);
    assert!(!is_accepted(&store, &session, token.id, NOW).await);
    drop(store);
    let store = backend.open(NOW).await;
    assert!(!is_accepted(&store, &session, token.id, NOW).await);
    assert_eq!(store.count().await.unwrap().users, 1);
}

pub async fn one_session_too_many_ends_the_oldest(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let ada = created(&store, "ada").await;
    let open = async |n: u64| {
        let now = later(n);
        let (session, token) = Session::start(ada.id, POLICY.lifetime, DAY, now);
        assert!(
            store
                .open_session(session.clone(), 0, 3, None)
                .await
                .unwrap()
                .is_some()
        );
        (session, token)
    };
    let mut all = Vec::new();
    for n in 0..5 {
        all.push(open(n).await);
    }
    for (n, (session, token)) in all.iter().enumerate() {
        assert_eq!(
            is_accepted(&store, session, token.id, later(5)).await,
            n >= 2,
            "{n}"
        );
    }
    // An expired session does not count.
    let last = all[4].1.expires_at.since(NOW).as_secs() - 1;
    let _ = open(last).await;
    assert!(is_accepted(&store, &all[4].0, all[4].1.id, later(last)).await);
    assert_eq!(store.count().await.unwrap().sessions, Some(2));
    // Concurrent sign-ins keep the bound too.
    let tasks: Vec<_> = (0..32)
        .map(|_| {
            let (store, ada) = (Arc::clone(&store), ada.id);
            tokio::spawn(async move {
                let (session, _) = Session::start(ada, POLICY.lifetime, DAY, later(last));
                store.open_session(session, 0, 3, None).await.unwrap().unwrap();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(store.count().await.unwrap().sessions, Some(3));
}

pub async fn sessions_are_listed_oldest_first_with_their_last_use(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let (ada, eve) = (created(&store, "ada").await, created(&store, "eve").await);
    let _ = opened(&store, &eve, NOW).await;
    let (mut first, token) = Session::start(ada.id, POLICY.lifetime, DAY, NOW);
    first.client = Client {
        address: Some(ClientAddress::new([192, 0, 2, 1].into())),
        device: Device::parse("Firefox on Linux"),
    };
    assert!(
        store
            .open_session(first.clone(), 0, MOST, None)
            .await
            .unwrap()
            .is_some()
    );
    let (second, _) = opened(&store, &ada, later(1)).await;
    assert!(is_accepted(&store, &first, token.id, later(60)).await);
    let change = UserChange::Roles([Role::ADMIN].into_iter().collect());
    assert!(
        store
            .change_user(ada.id, change)
            .await
            .unwrap()
            .changed()
            .is_some()
    );

    let ids = |sessions: &[Session]| sessions.iter().map(|session| session.id).collect::<Vec<_>>();
    let sessions = store.sessions(ada.id, later(60)).await.unwrap();
    assert_eq!(ids(&sessions), [first.id, second.id]);
    assert_eq!(sessions[0].client, first.client);
    assert_eq!((sessions[0].used_at, sessions[1].used_at), (later(60), later(1)));
    let sessions = store.sessions(ada.id, later(300)).await.unwrap();
    assert_eq!(ids(&sessions), [second.id], "the first has expired");
    drop(store);
    let store = backend.open(NOW).await;
    let sessions = store.sessions(ada.id, NOW).await.unwrap();
    assert_eq!(sessions[0].client, first.client);
    assert!(sessions[0].used_at >= NOW);
}

pub async fn pruning_removes_only_what_has_expired_in_batches(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let ada = created(&store, "ada").await;
    for _ in 0..5 {
        opened(&store, &ada, NOW).await;
    }
    let (live, token) = opened(&store, &ada, later(1)).await;
    assert_eq!(store.prune(later(299), 10).await.unwrap(), 0);
    for (pruned, left) in [(2, 4), (2, 2), (1, 1), (0, 1)] {
        assert_eq!(store.prune(later(300), 2).await.unwrap(), pruned);
        assert_eq!(store.count().await.unwrap().sessions, Some(left));
    }
    assert!(is_accepted(&store, &live, token.id, later(300)).await);
    // A refresh moves the expiry of a session: the old expiry must not count.
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
    assert_eq!(backend.open(NOW).await.count().await.unwrap().sessions, Some(0));
}

pub async fn opening_removes_expired_sessions(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let ada = created(&store, "ada").await;
    opened(&store, &ada, NOW).await;
    let (live, token) = opened(&store, &ada, later(100)).await;
    drop(store);
    let store = backend.open(later(300)).await;
    assert_eq!(store.count().await.unwrap().sessions, Some(1));
    assert!(is_accepted(&store, &live, token.id, later(300)).await);
    drop(store);
    // Removed for good, even if the clock is set back.
    assert_eq!(backend.open(NOW).await.count().await.unwrap().sessions, Some(1));
}

pub async fn a_session_is_confirmed_by_the_present_password(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let ada = created(&store, "ada").await;
    let (session, first) = opened(&store, &ada, NOW).await;
    let (other, _) = opened(&store, &ada, later(1)).await;
    assert_eq!(
        store.confirmed_at(session.id).await.unwrap(),
        Some(NOW),
        "by the sign-in"
    );
    let stranger = SessionId::generate(NOW);
    assert_eq!(store.confirmed_at(stranger).await.unwrap(), None);
    assert!(!store.confirm_session(stranger, 0, later(2)).await.unwrap());
    assert!(
        !store.confirm_session(session.id, 1, later(2)).await.unwrap(),
        "another password"
    );
    assert_eq!(store.confirmed_at(session.id).await.unwrap(), Some(NOW));
    assert!(store.confirm_session(session.id, 0, later(260)).await.unwrap());
    // It belongs to the session: a refresh keeps it, and a restart too.
    let refreshed = store.refresh(session.id, first.id, POLICY, later(280)).await;
    assert!(matches!(refreshed.unwrap(), Refresh::Minted(_)));
    drop(store);
    let store = backend.open(later(280)).await;
    assert_eq!(store.confirmed_at(session.id).await.unwrap(), Some(later(260)));
    assert_eq!(store.confirmed_at(other.id).await.unwrap(), Some(later(1)));
    assert!(store.close_session(session.id).await.unwrap().is_some());
    assert_eq!(store.confirmed_at(session.id).await.unwrap(), None);
    assert!(!store.confirm_session(session.id, 0, later(282)).await.unwrap());
    // Pruning leaves one that counts.
    let (long, _) = Session::start(ada.id, DAY, DAY, NOW);
    let begun = store.open_session(long.clone(), 0, MOST, None).await;
    assert!(begun.unwrap().is_some());
    assert!(store.confirm_session(long.id, 0, later(300)).await.unwrap());
    store.prune(later(1199), 10).await.unwrap();
    assert_eq!(store.confirmed_at(long.id).await.unwrap(), Some(later(300)));
    store.prune(later(1200), 10).await.unwrap();
    let left = store.confirmed_at(long.id).await.unwrap().unwrap();
    assert!(!is_confirmed(left, later(1200)));
}

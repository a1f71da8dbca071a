//! The contract, one function a promise.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use jwt_server::{
    clock::Timestamp,
    domain::{
        Algorithm, ApiToken, ApiTokenHash, ApiTokenId, ApiTokenName, Client, ClientAddress, Device,
        DisplayName, FailedAttempts, KeyRing, PasswordHash, Refresh, RefreshTokenOutcome, Role, Session,
        TokenId, TokenPolicy, TokenRecord, User, UserChange, UserId, Username,
    },
    store::{
        ApiTokenCreation, Kept, KeptAttempts, KeyMaterial, KeyRingUpdate, MAX_NETWORKS, Outdated, Store,
        StoreCounts, UserCreation,
    },
};
use secrecy::ExposeSecret;

use super::Backend;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const DAY: Duration = Duration::from_hours(24);
const WEEK: Duration = Duration::from_hours(7 * 24);
/// More sessions than most tests open.
const MOST: usize = 100;
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
        store.create_user(user.clone(), None).await.unwrap(),
        UserCreation::Created
    );
    user
}

async fn opened(store: &Arc<dyn Store>, user: &User, now: Timestamp) -> (Session, TokenRecord) {
    let (session, token) = Session::start(user.id, POLICY.lifetime, Duration::from_hours(1), now);
    let opened = store
        .open_session(session.clone(), user.password_version, MOST)
        .await;
    assert!(opened.unwrap().is_some());
    (session, token)
}

/// Asks both ways.
async fn is_accepted(store: &Arc<dyn Store>, session: &Session, token: TokenId, now: Timestamp) -> bool {
    let accepted = store.accepted(session.id, token, now).await.unwrap();
    if let Some(live) = store.live_session(session.id) {
        assert_eq!(live.accepted(token, now), Ok(accepted.clone()));
    }
    accepted.is_some()
}

pub(crate) async fn a_user_is_found_by_name_as_they_were_created(backend: &impl Backend) {
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

pub(crate) async fn a_username_is_given_once_even_to_many_at_once(backend: &impl Backend) {
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

pub(crate) async fn a_change_of_a_user_is_seen_at_once_and_after_a_restart(backend: &impl Backend) {
    let store = backend.open(NOW).await;
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
    let found = backend
        .open(NOW)
        .await
        .user_by_name(&expected.username)
        .await
        .unwrap();
    assert_eq!(found.as_deref(), Some(&expected));
}

pub(crate) async fn a_rehash_never_undoes_a_later_change_of_the_password(backend: &impl Backend) {
    let store = backend.open(NOW).await;
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
    let store = backend.open(NOW).await;
    let ada = created(&store, "ada").await;
    let open = async |user, verified| {
        let (session, token) = Session::start(user, POLICY.lifetime, POLICY.lifetime, NOW);
        let opened = store.open_session(session.clone(), verified, MOST).await.unwrap();
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
    assert_eq!(
        store.count().await.unwrap().sessions,
        Some(1),
        "the other password has ended the others"
    );
}

pub(crate) async fn an_accepted_token_speaks_for_the_user_as_they_are_now(backend: &impl Backend) {
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
        "another session's"
    );
    assert!(
        !is_accepted(&store, &session, TokenId::generate(), NOW).await,
        "another token"
    );

    let change = UserChange::Roles([Role::CLIENT].into_iter().collect());
    let changed = store.change_user(ada.id, change).await.unwrap().unwrap();
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

pub(crate) async fn whoever_changes_is_accepted_all_the_while_as_they_were_last_answered_to_be(
    backend: &impl Backend,
) {
    const CHANGES: usize = 100;
    let store = backend.open(NOW).await;
    let ada = created(&store, "ada").await;
    let (session, token) = opened(&store, &ada, NOW).await;
    let answered = Arc::new(AtomicUsize::new(0));
    // Those who ask the store, and those who keep what it gave them until that is outdated.
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
        assert!(changed.await.unwrap().is_some());
        answered.store(change, Ordering::SeqCst);
    }
    for asking in asking {
        asking.await.unwrap();
    }
}

pub(crate) async fn a_change_of_a_user_reaches_each_of_their_sessions_and_api_tokens(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let (ada, eve) = (created(&store, "ada").await, created(&store, "eve").await);
    let mut sessions = Vec::new();
    for n in 0..5 {
        let _ = opened(&store, &eve, later(n)).await;
        sessions.push(opened(&store, &ada, later(n)).await);
    }
    let token = added(&store, &ada, &sessions[0].0, 1).await;
    // The last one opened goes, and with it what it may have had of the user.
    let (gone, _) = sessions.pop().unwrap();
    store.close_session(gone.id).await.unwrap();
    for roles in [[Role::ADMIN], [Role::CLIENT]] {
        let change = UserChange::Roles(roles.into_iter().collect());
        let changed = store.change_user(ada.id, change).await.unwrap().unwrap();
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
    // And all of them are there again, each with its own user, in whatever order they are read.
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

/// For a store that has its sessions in memory: whoever has kept one is told what is true now, or to ask again.
pub(crate) async fn a_session_at_hand_says_what_the_store_says_whatever_changes(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let nobodys = Session::start(UserId::generate(NOW), DAY, DAY, NOW).0.id;
    assert!(store.live_session(nobodys).is_none());
    let mut users = Vec::new();
    let mut at_hand = Vec::new();
    for n in 0..8 {
        let user = created(&store, &format!("user-{n}")).await;
        let (mut session, token) = Session::start(user.id, POLICY.lifetime, 30 * DAY, NOW);
        session.grant_refresh(WEEK, NOW);
        let opened = store.open_session(session.clone(), 0, 1).await;
        assert!(opened.unwrap().is_some());
        if let Some(live) = store.live_session(session.id) {
            at_hand.push((session.id, token.id, live));
        }
        users.push((user, session, token));
    }
    // Whether the first token of each is accepted: of one that is outdated, the store is asked.
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
    store.delete_user(id(1).0, 0).await.unwrap();
    let disabled = store.change_user(id(2).0, UserChange::Disabled(true)).await;
    let password = store.change_user(id(3).0, UserChange::Password(hash('z'))).await;
    assert!(disabled.unwrap().is_some() && password.unwrap().is_some());
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
        // The disabled one is told that they are; the refreshed one has its grace.
        assert_eq!(now, [false, false, true, false, false, false, false, true]);
        assert!(outdated().take(7).all(|outdated| outdated));
        assert!(!outdated().nth(7).unwrap(), "a refresh leaves it what it is");
        let disabled = store.live_session(id(2).1).unwrap().accepted(users[2].2.id, NOW);
        assert!(disabled.unwrap().unwrap().user.disabled);
    }
    assert!(!agree(later(301)).await.contains(&true));

    // Forgotten, not even for a clock that is set back.
    store
        .change_user(id(2).0, UserChange::Disabled(false))
        .await
        .unwrap();
    assert!(store.prune(NOW.plus(31 * DAY), 100).await.unwrap() > 0);
    assert!(!agree(NOW).await.contains(&true));
    let (session, token) = opened(&store, &users[2].0, NOW).await;
    if let Some(live) = store.live_session(session.id) {
        store.close_every_session().await.unwrap();
        assert_eq!(live.accepted(token.id, NOW), Err(Outdated));
    }
}

/// A session of a user who may have only one.
async fn opened_at_most_one(store: &Arc<dyn Store>, user: &User) -> Session {
    let (session, _) = Session::start(user.id, POLICY.lifetime, DAY, later(1));
    assert!(store.open_session(session.clone(), 0, 1).await.unwrap().is_some());
    session
}

pub(crate) async fn a_refresh_mints_one_successor_and_keeps_to_it(backend: &impl Backend) {
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

pub(crate) async fn a_closed_session_stays_closed(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let ada = created(&store, "ada").await;
    let (closed, token) = opened(&store, &ada, NOW).await;
    let (other, other_token) = opened(&store, &ada, NOW).await;
    for whose in [Some(ada.id), None] {
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

pub(crate) async fn a_session_that_was_closed_is_not_refreshed(backend: &impl Backend) {
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

/// A session with a refresh token.
async fn opened_with_refresh(store: &Arc<dyn Store>, user: &User) -> Session {
    let (mut session, _) = Session::start(user.id, POLICY.lifetime, 30 * DAY, NOW);
    session.grant_refresh(WEEK, NOW);
    let opened = store
        .open_session(session.clone(), user.password_version, MOST)
        .await;
    assert!(opened.unwrap().is_some());
    session
}

async fn rotate(
    store: &Arc<dyn Store>,
    session: &Session,
    generation: u32,
    now: Timestamp,
) -> RefreshTokenOutcome {
    store
        .rotate(session.id, generation, POLICY, WEEK, now)
        .await
        .unwrap()
}

pub(crate) async fn a_refresh_token_is_spent_once_and_its_reuse_ends_the_session(backend: &impl Backend) {
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
    // When no access token has been left for days.
    let days = later(5 * 24 * 3600);
    let RefreshTokenOutcome::Minted(token, grant) = rotate(&store, &session, 1, days).await else {
        panic!("not minted")
    };
    assert_eq!(grant.generation, 2);
    for shut_out in [true, false] {
        store
            .change_user(ada.id, UserChange::Disabled(shut_out))
            .await
            .unwrap();
        let refused = rotate(&store, &session, 1, days).await == RefreshTokenOutcome::Refused;
        assert_eq!(refused, shut_out);
    }
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

pub(crate) async fn of_sixty_four_uses_of_a_refresh_token_at_once_all_get_the_same_successor(
    backend: &impl Backend,
) {
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

pub(crate) async fn another_password_ends_every_session_but_the_one_that_is_kept(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let (ada, eve) = (created(&store, "ada").await, created(&store, "eve").await);
    let (kept, kept_token) = opened(&store, &ada, NOW).await;
    let (ended, ended_token) = opened(&store, &ada, NOW).await;
    let (others, others_token) = opened(&store, &eve, NOW).await;
    let change = async |verified, session| {
        let kept = Kept {
            session,
            api_tokens: false,
        };
        let changed = store.change_password(ada.id, verified, hash('z'), kept);
        changed.await.unwrap()
    };
    assert_eq!(
        change(7, Some(kept.id)).await,
        None,
        "not the version that was verified"
    );
    assert!(is_accepted(&store, &ended, ended_token.id, NOW).await);

    let user = change(0, Some(kept.id)).await.unwrap();
    assert_eq!((user.password_version, &user.password_hash), (1, &hash('z')));
    let alive = [
        (&kept, kept_token, true),
        (&ended, ended_token, false),
        (&others, others_token, true),
    ];
    for (session, token, alive) in alive {
        assert_eq!(is_accepted(&store, session, token.id, NOW).await, alive);
    }
    drop(store);
    let store = backend.open(NOW).await;
    for (session, token, alive) in alive {
        assert_eq!(is_accepted(&store, session, token.id, NOW).await, alive);
    }
    // An administrator's change keeps none.
    store
        .change_user(ada.id, UserChange::Password(hash('y')))
        .await
        .unwrap();
    assert!(!is_accepted(&store, &kept, kept_token.id, NOW).await);
    let this = Kept {
        session: Some(others.id),
        ..Kept::default()
    };
    assert_eq!(store.close_sessions(eve.id, this).await.unwrap(), 0);
    assert_eq!(store.close_sessions(eve.id, Kept::default()).await.unwrap(), 1);
    assert!(!is_accepted(&store, &others, others_token.id, NOW).await);
}

pub(crate) async fn a_deleted_user_takes_everything_along_and_frees_the_name(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let home = ClientAddress::new([192, 0, 2, 1].into()).network();
    let ada = created(&store, "ada").await;
    let (session, token) = opened(&store, &ada, NOW).await;
    store.note_sign_in(ada.id, home, NOW).await.unwrap();
    assert!(!store.delete_user(ada.id, 1).await.unwrap(), "not the version");
    assert!(is_accepted(&store, &session, token.id, NOW).await);

    assert!(store.delete_user(ada.id, 0).await.unwrap());
    assert!(!store.delete_user(ada.id, 0).await.unwrap(), "gone already");
    // A sign-in that was under way.
    store.note_sign_in(ada.id, home, NOW).await.unwrap();
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

pub(crate) async fn one_session_too_many_ends_the_oldest(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let ada = created(&store, "ada").await;
    let open = async |n: u64| {
        let now = later(n);
        let (session, token) = Session::start(ada.id, POLICY.lifetime, DAY, now);
        assert!(store.open_session(session.clone(), 0, 3).await.unwrap().is_some());
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
    // What has run out takes nobody's place.
    let last = all[4].1.expires_at.since(NOW).as_secs() - 1;
    let _ = open(last).await;
    assert!(is_accepted(&store, &all[4].0, all[4].1.id, later(last)).await);
    assert_eq!(store.count().await.unwrap().sessions, Some(2));
    // Many at once end up at the bound as well.
    let tasks: Vec<_> = (0..32)
        .map(|_| {
            let (store, ada) = (Arc::clone(&store), ada.id);
            tokio::spawn(async move {
                let (session, _) = Session::start(ada, POLICY.lifetime, DAY, later(last));
                store.open_session(session, 0, 3).await.unwrap().unwrap();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(store.count().await.unwrap().sessions, Some(3));
}

pub(crate) async fn sessions_are_listed_oldest_first_with_their_last_use(backend: &impl Backend) {
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
            .open_session(first.clone(), 0, MOST)
            .await
            .unwrap()
            .is_some()
    );
    let (second, _) = opened(&store, &ada, later(1)).await;
    assert!(is_accepted(&store, &first, token.id, later(60)).await);
    let change = UserChange::Roles([Role::ADMIN].into_iter().collect());
    assert!(store.change_user(ada.id, change).await.unwrap().is_some());

    let ids = |sessions: &[Session]| sessions.iter().map(|session| session.id).collect::<Vec<_>>();
    let sessions = store.sessions(ada.id, later(60)).await.unwrap();
    assert_eq!(ids(&sessions), [first.id, second.id]);
    assert_eq!(sessions[0].client, first.client);
    assert_eq!((sessions[0].used_at, sessions[1].used_at), (later(60), later(1)));
    let sessions = store.sessions(ada.id, later(300)).await.unwrap();
    assert_eq!(ids(&sessions), [second.id], "the first has run out");
    drop(store);
    let store = backend.open(NOW).await;
    let sessions = store.sessions(ada.id, NOW).await.unwrap();
    assert_eq!(sessions[0].client, first.client);
    assert!(sessions[0].used_at >= NOW);
}

/// An API token of `user`, whose text has a hash of bytes that are all `n`.
fn api_token(user: &User, n: u8, now: Timestamp) -> ApiToken {
    ApiToken {
        id: ApiTokenId::generate(now),
        user: user.id,
        hash: ApiTokenHash::from_bytes([n; 32]),
        name: ApiTokenName::parse("deploy ✨").unwrap(),
        roles: [Role::CLIENT].into_iter().collect(),
        created_at: now,
        expires_at: now.plus(WEEK),
        used_at: None,
    }
}

/// An API token that has been made.
async fn added(store: &Arc<dyn Store>, user: &User, session: &Session, n: u8) -> ApiToken {
    let token = api_token(user, n, NOW);
    let creation = store.create_api_token(token.clone(), session.id, MOST).await;
    assert_eq!(creation.unwrap(), ApiTokenCreation::Created);
    token
}

async fn is_good(store: &Arc<dyn Store>, token: &ApiToken, now: Timestamp) -> bool {
    let accepted = store.api_token_accepted(token.hash, now).await.unwrap();
    accepted.is_some()
}

pub(crate) async fn an_api_token_speaks_for_its_user_as_they_are_now_until_it_expires(
    backend: &impl Backend,
) {
    let store = backend.open(NOW).await;
    let ada = created(&store, "ada").await;
    let (session, _) = opened(&store, &ada, NOW).await;
    let token = added(&store, &ada, &session, 1).await;
    let stranger = api_token(&ada, 2, NOW);
    assert!(!is_good(&store, &stranger, NOW).await);
    // It lives on without the session that made it.
    store.close_session(session.id).await.unwrap();
    let change = UserChange::Roles([Role::ADMIN].into_iter().collect());
    let changed = store.change_user(ada.id, change).await.unwrap().unwrap();
    let accepted = store.api_token_accepted(token.hash, NOW).await.unwrap().unwrap();
    assert_eq!(*accepted.user, *changed);
    drop(store);

    let store = backend.open(NOW).await;
    let accepted = store.api_token_accepted(token.hash, NOW).await.unwrap().unwrap();
    assert_eq!((&*accepted.user, &*accepted.token), (&*changed, &token));
    let disabled = store.change_user(ada.id, UserChange::Disabled(true)).await;
    let accepted = store.api_token_accepted(token.hash, NOW).await.unwrap().unwrap();
    assert_eq!(*accepted.user, *disabled.unwrap().unwrap());

    let week = WEEK.as_secs();
    assert!(is_good(&store, &token, later(week - 1)).await);
    assert!(!is_good(&store, &token, later(week)).await);
    assert_eq!(store.prune(later(week - 1), 10).await.unwrap(), 0);
    assert_eq!(store.prune(later(week), 10).await.unwrap(), 1);
    assert_eq!(store.prune(later(week), 10).await.unwrap(), 0);
    drop(store);
    assert!(!is_good(&backend.open(NOW).await, &token, NOW).await);
}

pub(crate) async fn an_api_token_is_made_only_from_a_live_session_of_its_user(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let (ada, eve) = (created(&store, "ada").await, created(&store, "eve").await);
    let (session, _) = opened(&store, &ada, NOW).await;
    let (ended, _) = opened(&store, &ada, NOW).await;
    let (others, _) = opened(&store, &eve, NOW).await;
    store.close_session(ended.id).await.unwrap();
    let refused = async |session: &Session, now| {
        let token = api_token(&ada, 7, now);
        let creation = store.create_api_token(token.clone(), session.id, MOST).await;
        assert!(!is_good(&store, &token, now).await);
        creation.unwrap() == ApiTokenCreation::SessionOver
    };
    assert!(refused(&ended, NOW).await);
    assert!(refused(&others, NOW).await);
    assert!(refused(&session, later(300)).await, "it has run out");
    store
        .change_user(ada.id, UserChange::Disabled(true))
        .await
        .unwrap();
    assert!(refused(&session, NOW).await);
    assert!(store.delete_user(ada.id, 0).await.unwrap());
    assert!(refused(&session, NOW).await);
}

pub(crate) async fn a_revoked_api_token_stays_revoked_and_nobody_revokes_anothers(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let (ada, eve) = (created(&store, "ada").await, created(&store, "eve").await);
    let (session, _) = opened(&store, &ada, NOW).await;
    let (revoked, kept) = (
        added(&store, &ada, &session, 1).await,
        added(&store, &ada, &session, 2).await,
    );
    assert!(!store.remove_api_token(eve.id, revoked.id).await.unwrap());
    assert!(is_good(&store, &revoked, NOW).await);
    assert!(store.remove_api_token(ada.id, revoked.id).await.unwrap());
    assert!(!store.remove_api_token(ada.id, revoked.id).await.unwrap());
    assert!(!is_good(&store, &revoked, NOW).await);
    drop(store);
    let store = backend.open(NOW).await;
    assert!(!is_good(&store, &revoked, NOW).await);
    assert_eq!(store.api_tokens(ada.id, NOW).await.unwrap(), [kept]);
    assert_eq!(store.api_tokens(eve.id, NOW).await.unwrap(), []);
}

pub(crate) async fn a_user_has_no_more_api_tokens_than_the_bound_however_many_ask_at_once(
    backend: &impl Backend,
) {
    let store = backend.open(NOW).await;
    let ada = created(&store, "ada").await;
    let (session, _) = opened(&store, &ada, NOW).await;
    let tasks: Vec<_> = (0..32)
        .map(|n| {
            let (store, token, session) = (Arc::clone(&store), api_token(&ada, n, NOW), session.id);
            tokio::spawn(async move { store.create_api_token(token, session, 3).await.unwrap() })
        })
        .collect();
    let mut created = 0;
    for task in tasks {
        match task.await.unwrap() {
            ApiTokenCreation::Created => created += 1,
            other => assert_eq!(other, ApiTokenCreation::TooMany),
        }
    }
    assert_eq!(created, 3);
    // One that is gone leaves its place, and one that has expired.
    let tokens = store.api_tokens(ada.id, NOW).await.unwrap();
    assert!(store.remove_api_token(ada.id, tokens[0].id).await.unwrap());
    let _ = added(&store, &ada, &session, 50).await;
    let late = NOW.plus(WEEK);
    let (session, _) = opened(&store, &ada, late).await;
    let next = api_token(&ada, 51, late);
    let creation = store.create_api_token(next.clone(), session.id, 1).await.unwrap();
    assert_eq!(creation, ApiTokenCreation::Created);
    assert_eq!(store.api_tokens(ada.id, late).await.unwrap(), [next]);
}

pub(crate) async fn api_tokens_end_with_the_password_with_all_sessions_and_with_their_user(
    backend: &impl Backend,
) {
    let store = backend.open(NOW).await;
    let (ada, eve) = (created(&store, "ada").await, created(&store, "eve").await);
    let (session, _) = opened(&store, &ada, NOW).await;
    let (others, _) = opened(&store, &eve, NOW).await;
    let untouched = added(&store, &eve, &others, 100).await;
    let kept = |api_tokens| Kept {
        session: Some(session.id),
        api_tokens,
    };
    for (n, api_tokens) in [(1, true), (2, false)] {
        let token = added(&store, &ada, &session, n).await;
        store.close_sessions(ada.id, kept(api_tokens)).await.unwrap();
        assert_eq!(is_good(&store, &token, NOW).await, api_tokens);
    }
    for (version, api_tokens) in [(0, true), (1, false)] {
        let token = added(&store, &ada, &session, 10).await;
        let changed = store.change_password(ada.id, version, hash('z'), kept(api_tokens));
        assert!(changed.await.unwrap().is_some());
        assert_eq!(is_good(&store, &token, NOW).await, api_tokens);
    }
    let token = added(&store, &ada, &session, 20).await;
    assert_eq!(store.close_every_session().await.unwrap(), 2);
    assert!(is_good(&store, &token, NOW).await, "no key has signed it");
    store
        .change_user(ada.id, UserChange::Password(hash('y')))
        .await
        .unwrap();
    assert!(!is_good(&store, &token, NOW).await);

    let ada = User {
        password_version: 3,
        ..ada
    };
    let (session, _) = opened(&store, &ada, NOW).await;
    let last = added(&store, &ada, &session, 30).await;
    store.close_session(session.id).await.unwrap();
    assert!(store.delete_user(ada.id, 3).await.unwrap());
    assert!(!is_good(&store, &last, NOW).await);
    drop(store);
    let store = backend.open(NOW).await;
    for n in [1, 2, 10, 20, 30] {
        assert!(!is_good(&store, &api_token(&ada, n, NOW), NOW).await, "{n}");
    }
    assert!(is_good(&store, &untouched, NOW).await);
}

pub(crate) async fn the_last_use_of_an_api_token_is_known_at_once_and_kept_by_the_hour(
    backend: &impl Backend,
) {
    let store = backend.open(NOW).await;
    let ada = created(&store, "ada").await;
    let (session, _) = opened(&store, &ada, NOW).await;
    let token = added(&store, &ada, &session, 1).await;
    let unused = added(&store, &ada, &session, 2).await;
    let used = async |store: &Arc<dyn Store>| {
        let tokens = store.api_tokens(ada.id, NOW).await.unwrap();
        let find = |id| tokens.iter().find(|token| token.id == id);
        [token.id, unused.id].map(|id| find(id).map(|token| token.used_at))
    };
    assert_eq!(used(&store).await, [Some(None), Some(None)]);
    assert_eq!(store.keep_api_token_uses(10).await.unwrap(), 0);
    assert!(is_good(&store, &token, later(60)).await);
    assert_eq!(used(&store).await, [Some(Some(later(60))), Some(None)]);
    assert_eq!(store.keep_api_token_uses(10).await.unwrap(), 1);
    assert!(is_good(&store, &token, later(61)).await);
    let _ = store.keep_api_token_uses(10).await.unwrap();
    drop(store);

    let store = backend.open(NOW).await;
    let kept = used(&store).await[0].unwrap().unwrap();
    assert!((later(60)..=later(61)).contains(&kept));
    assert!(is_good(&store, &token, later(7200)).await);
    assert_eq!(store.keep_api_token_uses(10).await.unwrap(), 1);
    // One that is revoked meanwhile does not come back by that.
    assert!(is_good(&store, &token, later(14_400)).await);
    assert!(store.remove_api_token(ada.id, token.id).await.unwrap());
    let _ = store.keep_api_token_uses(10).await.unwrap();
    drop(store);
    assert_eq!(used(&backend.open(NOW).await).await, [None, Some(None)]);
}

pub(crate) async fn the_key_of_refresh_tokens_stays_the_same_until_every_session_is_closed(
    backend: &impl Backend,
) {
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
    // Whoever has a copy of the database can't make tokens of the sessions to come.
    assert_eq!(store.close_every_session().await.unwrap(), 0);
    assert_eq!(key(&store, 4).await, [4; 32]);
}

pub(crate) async fn pruning_forgets_what_has_run_out_in_batches_and_nothing_else(backend: &impl Backend) {
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
    assert_eq!(backend.open(NOW).await.count().await.unwrap().sessions, Some(0));
}

pub(crate) async fn opening_forgets_what_has_run_out(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let ada = created(&store, "ada").await;
    opened(&store, &ada, NOW).await;
    let (live, token) = opened(&store, &ada, later(100)).await;
    drop(store);
    let store = backend.open(later(300)).await;
    assert_eq!(store.count().await.unwrap().sessions, Some(1));
    assert!(is_accepted(&store, &live, token.id, later(300)).await);
    drop(store);
    // Forgotten for good: not even a clock that stands earlier brings it back.
    assert_eq!(backend.open(NOW).await.count().await.unwrap().sessions, Some(1));
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

pub(crate) async fn of_many_who_change_the_signing_keys_at_once_one_does(backend: &impl Backend) {
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

pub(crate) async fn every_session_can_be_closed(backend: &impl Backend) {
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

pub(crate) async fn a_sign_in_is_noted_by_network_and_the_oldest_of_too_many_is_forgotten(
    backend: &impl Backend,
) {
    let network = |n: u16| {
        let [high, low] = n.to_be_bytes();
        ClientAddress::new([192, 0, high, low].into()).network()
    };
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
        store
            .note_sign_in(ada.id, network(n), later(n.into()))
            .await
            .unwrap();
    }
    store.note_sign_in(eve.id, network(7), later(7)).await.unwrap();
    drop(store);
    let store = backend.open(NOW).await;
    assert_eq!(store.last_sign_in(ada.id, network(0)).await.unwrap(), None);
    for n in 1..=many {
        let noted = store.last_sign_in(ada.id, network(n)).await.unwrap();
        assert_eq!(noted, Some(later(n.into())));
    }
    // One that is known already takes no other one's place.
    store.note_sign_in(ada.id, network(1), later(1000)).await.unwrap();
    for (n, noted) in [(1, later(1000)), (2, later(2))] {
        assert_eq!(store.last_sign_in(ada.id, network(n)).await.unwrap(), Some(noted));
    }
    assert_eq!(
        store.last_sign_in(eve.id, network(7)).await.unwrap(),
        Some(later(7))
    );
}

pub(crate) async fn attempts_are_kept_as_they_were_last_told(backend: &impl Backend) {
    let attempts = |failures, at| FailedAttempts { failures, at };
    let kept = |places: &[(u32, FailedAttempts)]| KeptAttempts {
        hash_key: [7; 16],
        places: places.to_vec(),
    };
    let store = backend.open(NOW).await;
    assert_eq!(store.attempts().await.unwrap(), None);
    let (first, second) = (attempts(3, NOW), attempts(u32::MAX, later(9)));
    store
        .keep_attempts(kept(&[(0, first), (5, first), (u32::MAX, second)]))
        .await
        .unwrap();
    store
        .keep_attempts(kept(&[(5, second), (0, FailedAttempts::default())]))
        .await
        .unwrap();
    drop(store);
    let store = backend.open(NOW).await;
    assert_eq!(
        store.attempts().await.unwrap(),
        Some(kept(&[(5, second), (u32::MAX, second)]))
    );
}

pub(crate) async fn counts_are_right_after_a_restart(backend: &impl Backend) {
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

pub(crate) async fn sixty_four_writers_at_once_lose_nothing(backend: &impl Backend) {
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

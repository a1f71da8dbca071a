//! API tokens.

use std::sync::Arc;

use super::{
    Backend,
    support::{
        MOST, NOW, POLICY, WEEK, added, api_token, changed, created, deleted, hash, is_accepted, is_good,
        later, opened, role,
    },
};
use crate::{
    domain::{Session, User, UserChange},
    store::{api_tokens::ApiTokenCreation, backend::Store, sessions::Kept, users::PasswordReplacement},
};

pub async fn an_api_token_is_accepted_until_it_expires(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let ada = created(&store, "ada").await;
    let (session, _) = opened(&store, &ada, NOW).await;
    let token = added(&store, &ada, &session, 1).await;
    let unknown = api_token(&ada, 2, NOW);
    assert!(!is_good(&store, &unknown, NOW).await);
    // The token outlives the session that created it.
    store.close_session(session.id).await.unwrap();
    let change = UserChange::Roles([role("EDITOR")].into_iter().collect());
    let changed = changed(&store, ada.id, change).await;
    let accepted = store.api_token_accepted(token.hash, NOW).await.unwrap().unwrap();
    assert_eq!(*accepted.user, *changed);
    drop(store);

    let store = backend.open(NOW).await;
    let accepted = store.api_token_accepted(token.hash, NOW).await.unwrap().unwrap();
    assert_eq!((&*accepted.user, &*accepted.token), (&*changed, &token));
    let disabled = store.change_user(ada.id, UserChange::Disabled(true)).await;
    let accepted = store.api_token_accepted(token.hash, NOW).await.unwrap().unwrap();
    assert_eq!(*accepted.user, *disabled.unwrap().changed().unwrap());

    let week = WEEK.as_secs();
    assert!(is_good(&store, &token, later(week - 1)).await);
    assert!(!is_good(&store, &token, later(week)).await);
    assert_eq!(store.prune(later(week - 1), 10).await.unwrap(), 0);
    assert_eq!(store.prune(later(week), 10).await.unwrap(), 1);
    assert_eq!(store.prune(later(week), 10).await.unwrap(), 0);
    drop(store);
    assert!(!is_good(&backend.open(NOW).await, &token, NOW).await);
}

pub async fn an_api_token_needs_a_live_session_of_its_user(backend: &impl Backend) {
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
    assert!(refused(&session, later(300)).await, "it has expired");
    changed(&store, ada.id, UserChange::Disabled(true)).await;
    assert!(refused(&session, NOW).await);
    changed(&store, ada.id, UserChange::Disabled(false)).await;
    assert!(refused(&session, NOW).await);
    deleted(&store, &ada, 0).await;
    assert!(refused(&session, NOW).await);
}

pub async fn only_the_owner_revokes_an_api_token_and_for_good(backend: &impl Backend) {
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

pub async fn concurrent_creations_keep_the_bound_of_api_tokens(backend: &impl Backend) {
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
    // A revoked token and an expired one do not count.
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

pub async fn api_tokens_end_with_the_password_and_with_the_user(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let (ada, eve) = (created(&store, "ada").await, created(&store, "eve").await);
    let (session, _) = opened(&store, &ada, NOW).await;
    let (others, _) = opened(&store, &eve, NOW).await;
    let untouched = added(&store, &eve, &others, 100).await;
    let kept = |api_tokens| Kept {
        session: Some(session.id),
        api_tokens,
        network: None,
    };
    for (n, api_tokens) in [(1, true), (2, false)] {
        let token = added(&store, &ada, &session, n).await;
        store.close_sessions(ada.id, kept(api_tokens)).await.unwrap();
        assert_eq!(is_good(&store, &token, NOW).await, api_tokens);
    }
    let mut session = session;
    for (version, api_tokens) in [(0, true), (1, false)] {
        let token = added(&store, &ada, &session, 10).await;
        (session, _) = Session::start(ada.id, POLICY.lifetime, WEEK, NOW);
        let change = PasswordReplacement {
            verified: version,
            to: hash('z'),
            keeps_api_tokens: api_tokens,
            session: session.clone(),
            device: None,
        };
        assert!(store.change_password(change).await.unwrap().is_some());
        assert_eq!(is_good(&store, &token, NOW).await, api_tokens);
    }
    let token = added(&store, &ada, &session, 20).await;
    assert_eq!(store.close_every_session().await.unwrap(), 2);
    assert!(is_good(&store, &token, NOW).await, "no key signs API tokens");
    changed(&store, ada.id, UserChange::Password(hash('y'))).await;
    assert!(!is_good(&store, &token, NOW).await);

    let ada = User {
        password_version: 3,
        ..ada
    };
    let (session, _) = opened(&store, &ada, NOW).await;
    let last = added(&store, &ada, &session, 30).await;
    store.close_session(session.id).await.unwrap();
    deleted(&store, &ada, 3).await;
    assert!(!is_good(&store, &last, NOW).await);
    drop(store);
    let store = backend.open(NOW).await;
    for n in [1, 2, 10, 20, 30] {
        assert!(!is_good(&store, &api_token(&ada, n, NOW), NOW).await, "{n}");
    }
    assert!(is_good(&store, &untouched, NOW).await);
}

pub async fn every_api_token_of_every_user_can_be_revoked(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let mut tokens = Vec::new();
    let mut sessions = Vec::new();
    // More than one write removes.
    for (name, first) in [("ada", 0), ("eve", 120)] {
        let user = created(&store, name).await;
        let (session, token) = opened(&store, &user, NOW).await;
        for n in first..first + 120 {
            tokens.push(api_token(&user, n, NOW));
            let creation = store.create_api_token(tokens[tokens.len() - 1].clone(), session.id, 1000);
            assert_eq!(creation.await.unwrap(), ApiTokenCreation::Created);
        }
        sessions.push((user, session, token));
    }
    assert_eq!(store.remove_every_api_token().await.unwrap(), 240);
    assert_eq!(store.remove_every_api_token().await.unwrap(), 0);
    for token in &tokens {
        assert!(!is_good(&store, token, NOW).await);
    }
    for (user, session, token) in &sessions {
        assert!(is_accepted(&store, session, token.id, NOW).await, "sessions stay");
        assert_eq!(store.api_tokens(user.id, NOW).await.unwrap(), []);
    }
    let (ada, session, _) = &sessions[0];
    let new = added(&store, ada, session, 250).await;
    assert!(is_good(&store, &new, NOW).await, "and another one can be made");
    drop(store);
    let store = backend.open(NOW).await;
    for token in &tokens {
        assert!(!is_good(&store, token, NOW).await);
    }
    assert!(is_good(&store, &new, NOW).await);
}

pub async fn the_last_use_of_an_api_token_is_kept_by_the_hour(backend: &impl Backend) {
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
    // Writing the last use does not bring back a token that was revoked meanwhile.
    assert!(is_good(&store, &token, later(14_400)).await);
    assert!(store.remove_api_token(ada.id, token.id).await.unwrap());
    let _ = store.keep_api_token_uses(10).await.unwrap();
    drop(store);
    assert_eq!(used(&backend.open(NOW).await).await, [None, Some(None)]);
}

//! Filling the index, removing what has expired, and usernames.

use std::{cell::Cell, ops::ControlFlow, time::Duration};

use super::{
    Trees,
    names::{KEY, ROW, UsernameTable, row},
};
use crate::{
    clock::Timestamp,
    domain::{Refresh, RequestContext, Session, TokenPolicy, User, UserId, Username},
    event::{Actor, Event, EventKind, TrailOrder, TrailQuery},
    store::{
        error::StoreError,
        sled::memory::{
            index::{Ended, Index},
            waiting::WaitingEvents,
        },
        users::UserCreation,
    },
};

#[test]
fn loading_adds_live_sessions_and_removes_the_others() {
    let trees = Trees::of(sled::Config::new().temporary(true).open().unwrap()).unwrap();
    let (now, minute) = (Timestamp::from_secs(1_800_000_000), Duration::from_mins(1));
    let users = ["ada", "eve"].map(|name| User::sample(name, now));
    for user in &users {
        let _ = trees.create_user(user, None).unwrap();
    }
    let start = |user, at| Session::start(user, minute, minute, at).0;
    let mut live = Vec::new();
    let mut over = Vec::new();
    for _ in 0..3 {
        live.extend(users.iter().map(|user| start(user.id, now)));
        over.push(start(UserId::generate(now), now));
        over.push(start(users[0].id, now.minus(minute)));
    }
    for session in live.iter().chain(&over) {
        trees.put_session(session).unwrap();
    }

    // `meanwhile` is called once for each session that is read, and once for each that is added to the index.
    for asked_at_the_most in 0..live.len() + over.len() + live.len() {
        let asked = Cell::new(0);
        let mut meanwhile = || {
            if asked.replace(asked.get() + 1) == asked_at_the_most {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        };
        let stopped = trees.load(&Index::default(), now, &mut meanwhile).unwrap();
        assert!(stopped.is_break());
        assert!(trees.session(over[0].id).unwrap().is_some());
    }
    let index = Index::default();
    let filled = trees.load(&index, now, &mut || ControlFlow::Continue(()));
    assert!(filled.unwrap().is_continue());
    assert_eq!(index.len(), live.len());
    for session in &live {
        assert_eq!(index.session(session.id).as_ref(), Some(session));
        let token = session.tokens[0].token.id;
        let accepted = index.accepted(session.id, token, now).unwrap();
        assert_eq!(accepted.user.id, session.user);
    }
    for session in &over {
        assert_eq!(index.session(session.id), None);
        assert_eq!(trees.session(session.id).unwrap(), None);
    }
}

#[test]
fn a_session_refreshed_meanwhile_is_not_pruned() {
    let trees = Trees::of(sled::Config::new().temporary(true).open().unwrap()).unwrap();
    let (now, minute) = (Timestamp::from_secs(1_800_000_000), Duration::from_mins(1));
    let policy = TokenPolicy {
        lifetime: minute,
        refresh_window: minute,
        refresh_grace: minute,
    };
    let started = || Session::start(UserId::generate(now), minute, Duration::from_hours(1), now);
    let ((mut refreshed, token), (expired, _), (gone, _)) = (started(), started(), started());
    let outcome = refreshed.refresh(token.id, &policy, now.plus(minute / 2));
    assert!(matches!(outcome, Refresh::Minted(_)));
    for session in [&refreshed, &expired] {
        trees.put_session(session).unwrap();
    }
    let candidates = [refreshed.id, expired.id, gone.id];
    let removed = trees.remove_expired(&candidates, now.plus(minute)).unwrap();
    assert_eq!(removed, [expired.id, gone.id]);
    assert_eq!(trees.session(refreshed.id).unwrap(), Some(refreshed));
    assert_eq!(trees.session(expired.id).unwrap(), None);
}

#[test]
fn names_that_share_a_place_or_a_hash_are_distinguished() {
    let trees = Trees::of(sled::Config::new().temporary(true).open().unwrap()).unwrap();
    let now = Timestamp::from_secs(1_800_000_000);
    let [ada, eve] = ["ada", "eve"].map(|name| User::sample(name, now));
    for user in [&ada, &eve] {
        assert_eq!(trees.create_user(user, None).unwrap(), UserCreation::Created);
    }
    // As if both hashes were the same: each place has both rows.
    let [at, other] = [&ada, &eve].map(|user| trees.names.place_of(user.username.as_str()));
    for (place, also) in [(at, eve.id), (other, ada.id)] {
        let rows = trees.names.tree.get(place.key()).unwrap().unwrap();
        let rows = [&rows[..], &row(place, also)].concat();
        trees.names.tree.insert(place.key(), rows).unwrap();
    }
    for user in [&ada, &eve] {
        assert_eq!(trees.user_by_name(&user.username).unwrap().as_ref(), Some(user));
    }

    let again = User::sample("ada", now);
    assert_eq!(
        trees.create_user(&again, None).unwrap(),
        UserCreation::UsernameTaken
    );
    trees.remove_user(&ada, &Ended::default()).unwrap();
    assert_eq!(trees.user_by_name(&ada.username).unwrap(), None);
    assert_eq!(trees.user_by_name(&eve.username).unwrap(), Some(eve));
    assert_eq!(trees.create_user(&again, None).unwrap(), UserCreation::Created);
    assert_eq!(trees.user_by_name(&ada.username).unwrap(), Some(again));
}

#[test]
fn each_database_has_a_constant_key_of_its_own() {
    let open = || sled::Config::new().temporary(true).open().unwrap();
    let (one, other) = (open(), open());
    let place = |db: &sled::Db| UsernameTable::of(db).unwrap().place_of("ada").hash;
    assert_eq!(place(&one), place(&one));
    assert_ne!(place(&one), place(&other));
}

#[test]
fn names_without_their_key_are_unreadable() {
    let db = sled::Config::new().temporary(true).open().unwrap();
    let trees = Trees::of(db.clone()).unwrap();
    let ada = User::sample("ada", Timestamp::from_secs(1_800_000_000));
    assert_eq!(trees.create_user(&ada, None).unwrap(), UserCreation::Created);
    assert!(Trees::of(db.clone()).is_ok());
    let meta = db.open_tree("meta").unwrap();
    for damaged in [None, Some([7; 15].as_slice())] {
        meta.remove(KEY).unwrap();
        if let Some(key) = damaged {
            meta.insert(KEY, key).unwrap();
        }
        assert!(matches!(UsernameTable::of(&db), Err(StoreError::Unreadable(_))));
    }
}

#[test]
fn a_place_with_a_partial_row_is_unreadable() {
    let trees = Trees::of(sled::Config::new().temporary(true).open().unwrap()).unwrap();
    let name = Username::parse("ada").unwrap();
    let key = trees.names.place_of("ada").key();
    trees.names.tree.insert(key, &[0; ROW + 1]).unwrap();
    assert!(matches!(
        trees.user_by_name(&name),
        Err(StoreError::Unreadable(_))
    ));
}

#[test]
fn an_unreadable_user_costs_no_event() {
    let trees = Trees::of(sled::Config::new().temporary(true).open().unwrap()).unwrap();
    let now = Timestamp::from_secs(1_800_000_000);
    let users = ["ada", "bob", "eve"].map(|name| User::sample(name, now));
    for user in &users {
        let _ = trees.create_user(user, None).unwrap();
    }
    trees.users.insert(users[0].id.as_bytes(), b"nothing").unwrap();
    trees
        .users
        .insert(users[1].id.as_bytes(), br#"{"v":9999}"#)
        .unwrap();
    let waiting = WaitingEvents::default();
    for user in &users {
        waiting.add(&Event {
            kind: EventKind::UserEnabled,
            subject: Some(user.id),
            actor: Actor::Server,
            context: RequestContext::default(),
            at: now,
        });
    }
    let next = trees.append_events(&mut waiting.take(9), &waiting).unwrap();
    let query = TrailQuery {
        order: TrailOrder::OldestFirst,
        ..TrailQuery::default()
    };
    let entries = trees.events(&query, next).unwrap().entries;
    let named = entries
        .into_iter()
        .map(|entry| (entry.subject, entry.subject_name));
    let expected = users.each_ref().map(|user| {
        let is_readable = user.id == users[2].id;
        (Some(user.id), is_readable.then(|| user.username.clone()))
    });
    assert_eq!(named.collect::<Vec<_>>(), expected);
}

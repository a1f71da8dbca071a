//! The audit trail.

use std::{sync::Arc, time::Duration};

use super::{
    Backend,
    support::{DAY, NOW, client, created, deleted, later, name, opened},
};
use crate::{
    clock::Timestamp,
    domain::{ApiTokenId, PageLimit, RequestContext, RequestId, SessionId, User, UserId},
    event::{
        Actor, ActorFilter, Event, EventKind, SignInFailure, ThrottleAxis, TrailBounds, TrailEntry,
        TrailOrder, TrailQuery, UserFilter,
    },
    store::backend::Store,
};

/// The server did something to `subject`.
fn event(kind: EventKind, subject: Option<UserId>, at: Timestamp) -> Event {
    Event {
        kind,
        subject,
        actor: Actor::Server,
        context: RequestContext::default(),
        at,
    }
}

/// A sign-in from [`network`](super::support::network) `n` was refused.
fn refusal(n: u16, at: Timestamp) -> Event {
    let reason = SignInFailure::NoSuchUser;
    Event {
        actor: Actor::Anonymous,
        context: RequestContext::of_client(client(n)),
        ..event(EventKind::SignInFailed { reason }, None, at)
    }
}

async fn append(store: &Arc<dyn Store>, events: impl IntoIterator<Item = Event>) {
    for event in events {
        store.append(&event);
    }
    store.keep_events().await.unwrap();
}

/// Every entry that `query` asks for, page by page.
async fn all(store: &Arc<dyn Store>, query: &TrailQuery) -> Vec<TrailEntry> {
    let mut query = query.clone();
    let mut entries = Vec::new();
    loop {
        let page = store.events(query.clone()).await.unwrap();
        assert!(page.entries.len() <= query.limit.get());
        entries.extend(page.entries);
        query.after = page.next;
        if query.after.is_none() {
            return entries;
        }
    }
}

async fn trail(store: &Arc<dyn Store>) -> Vec<TrailEntry> {
    let oldest_first = TrailQuery {
        order: TrailOrder::OldestFirst,
        ..TrailQuery::default()
    };
    all(store, &oldest_first).await
}

fn kinds(entries: &[TrailEntry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.kind.as_str()).collect()
}

fn counts(entries: &[TrailEntry]) -> Vec<u64> {
    let count = |entry: &TrailEntry| entry.details["count"].as_u64().unwrap();
    entries.iter().map(count).collect()
}

fn counted(count: usize, at: Timestamp) -> Event {
    event(EventKind::SessionsEnded { count }, None, at)
}

pub async fn an_event_is_kept_as_it_happened(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let (ada, bob) = (created(&store, "ada").await, created(&store, "bob").await);
    let by_bob = Actor::User {
        id: bob.id,
        session: Some(SessionId::generate(NOW)),
        api_token: Some(ApiTokenId::generate(NOW)),
    };
    let mut context = RequestContext::of_client(client(7));
    context.request_id = Some(RequestId::new(0x9a));
    let throttled = EventKind::Throttled {
        axis: ThrottleAxis::Account,
        retry_after: Duration::from_secs(9),
    };
    let events = [
        Event {
            actor: by_bob,
            context,
            ..event(EventKind::UserDisabled, Some(ada.id), later(1))
        },
        Event {
            actor: Actor::Operator { uid: Some(1000) },
            ..event(EventKind::UserEnabled, Some(ada.id), later(2))
        },
        event(throttled, None, later(3)),
    ];
    append(&store, events.clone()).await;
    drop(store);
    let store = backend.open(NOW).await;
    let kept = trail(&store).await;
    assert_eq!(kept.len(), events.len());
    for (event, entry) in events.iter().zip(&kept) {
        assert_eq!((entry.kind.as_str(), entry.at), (event.kind.name(), event.at));
        assert_eq!((entry.subject, entry.actor), (event.subject, event.actor));
        assert_eq!(entry.subject_name, event.subject.map(|_| name("ada")));
        assert_eq!(entry.address, event.context.client.address);
        assert_eq!(entry.request_id, event.context.request_id);
        assert_eq!((&entry.details, entry.times), (&event.kind.details(), 1));
    }
    let by: Vec<_> = kept.iter().map(|entry| entry.actor_name.clone()).collect();
    assert_eq!(by, [Some(name("bob")), None, None]);
}

pub async fn events_are_written_with_the_next_write_or_the_close(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    store.append(&counted(1, NOW));
    created(&store, "ada").await;
    assert_eq!(counts(&trail(&store).await), [1]);
    store.append(&counted(2, NOW));
    store.append(&refusal(1, NOW));
    drop(store);
    let store = backend.open(NOW).await;
    assert_eq!(
        kinds(&trail(&store).await),
        ["sessions_ended", "sessions_ended", "sign_in_failed"]
    );
}

pub async fn a_deleted_user_has_id_and_name_in_the_trail(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let ada = created(&store, "ada").await;
    let own = |kind, user: &User| Event {
        actor: Actor::User {
            id: user.id,
            session: None,
            api_token: None,
        },
        ..event(kind, Some(user.id), NOW)
    };
    store.append(&own(EventKind::DisplayNameChanged, &ada));
    deleted(&store, &ada, ada.password_version).await;
    append(&store, [own(EventKind::UserDeleted, &ada)]).await;
    let another = created(&store, "ada").await;
    append(&store, [own(EventKind::DisplayNameChanged, &another)]).await;
    drop(store);
    let store = backend.open(NOW).await;
    let of = |user| TrailQuery {
        user: Some(user),
        order: TrailOrder::OldestFirst,
        ..TrailQuery::default()
    };
    let theirs = all(&store, &of(UserFilter::Id(ada.id))).await;
    assert_eq!(kinds(&theirs), ["display_name_changed", "user_deleted"]);
    for entry in &theirs {
        assert_eq!(entry.subject_name, Some(name("ada")));
        assert_eq!(entry.actor_name, Some(name("ada")));
    }
    let named = all(&store, &of(UserFilter::Name(name("ada")))).await;
    assert_eq!(named.len(), 3);
}

pub async fn events_are_read_in_pages_in_both_orders(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    // Of every class, and with a clock that goes back.
    for n in 0..20 {
        let at = NOW.minus(Duration::from_secs(n));
        append(&store, [counted(usize::try_from(n).unwrap(), at), refusal(1, at)]).await;
        let user = UserId::generate(NOW);
        let actor = Actor::User {
            id: user,
            session: None,
            api_token: None,
        };
        append(
            &store,
            [Event {
                actor,
                ..event(EventKind::DisplayNameChanged, Some(user), at)
            }],
        )
        .await;
    }
    let oldest_first = trail(&store).await;
    let at: Vec<_> = oldest_first.iter().map(|entry| entry.at).collect();
    assert!(at.is_sorted_by(|one, next| one >= next), "as they were kept");
    assert_eq!(oldest_first.len(), 60);
    for limit in [1, 7, 60, 500] {
        let mut query = TrailQuery {
            limit: PageLimit::new(limit).unwrap(),
            ..TrailQuery::default()
        };
        let newest_first = all(&store, &query).await;
        assert!(newest_first.iter().eq(oldest_first.iter().rev()), "{limit}");
        query.order = TrailOrder::OldestFirst;
        assert_eq!(all(&store, &query).await, oldest_first, "{limit}");
    }
    // A reader who follows misses nothing and reads nothing twice.
    let last = oldest_first.last().unwrap().place;
    let follow = TrailQuery {
        order: TrailOrder::OldestFirst,
        after: Some(last),
        ..TrailQuery::default()
    };
    assert_eq!(all(&store, &follow).await, []);
    append(&store, [counted(7, NOW), counted(8, NOW)]).await;
    assert_eq!(counts(&all(&store, &follow).await), [7, 8]);
    let bounds = TrailBounds {
        before: Timestamp::default(),
        at_most: 1,
    };
    store.prune_events(bounds, 500).await.unwrap();
    assert_eq!(counts(&all(&store, &follow).await), [8]);
}

pub async fn a_page_has_what_the_query_asks_for(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let ada = created(&store, "ada").await;
    let by_ada = Actor::User {
        id: ada.id,
        session: None,
        api_token: None,
    };
    append(
        &store,
        [
            event(EventKind::UserDisabled, Some(ada.id), later(10)),
            Event {
                actor: by_ada,
                ..event(
                    EventKind::SigningKeyRotated { kid: "k".to_owned() },
                    None,
                    later(20),
                )
            },
            refusal(1, later(30)),
        ],
    )
    .await;
    let check = async |query: TrailQuery, expected: &[&str]| {
        assert_eq!(kinds(&all(&store, &query).await), expected, "{query:?}");
    };
    let none = TrailQuery::default;
    check(
        none(),
        &["sign_in_failed", "signing_key_rotated", "user_disabled"],
    )
    .await;
    let kind = Some("signing_key_rotated".to_owned());
    check(TrailQuery { kind, ..none() }, &["signing_key_rotated"]).await;
    let user = UserFilter::parse("ada");
    check(TrailQuery { user, ..none() }, &["user_disabled"]).await;
    for (actor, expected) in [
        ("ada", "signing_key_rotated"),
        ("server", "user_disabled"),
        ("anonymous", "sign_in_failed"),
    ] {
        let actor = ActorFilter::parse(actor);
        check(TrailQuery { actor, ..none() }, &[expected]).await;
    }
    let (since, until) = (Some(later(20)), Some(later(30)));
    check(
        TrailQuery {
            since,
            until,
            ..none()
        },
        &["signing_key_rotated"],
    )
    .await;
}

pub async fn each_class_of_events_is_bounded_by_itself(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    append(&store, (0..20).map(|n| counted(n, NOW))).await;
    for n in 0..10 {
        append(&store, (0..50).map(|m| refusal(n * 50 + m, NOW))).await;
    }
    let bounds = TrailBounds {
        before: NOW,
        at_most: 30,
    };
    let mut pruned = Vec::new();
    loop {
        pruned.push(store.prune_events(bounds, 200).await.unwrap());
        if *pruned.last().unwrap() < 200 {
            break;
        }
    }
    assert_eq!(pruned, [200, 200, 70], "in bounded batches");
    let left = trail(&store).await;
    let (refusals, acts): (Vec<_>, Vec<_>) =
        left.into_iter().partition(|entry| entry.kind == "sign_in_failed");
    assert_eq!(counts(&acts), (0..20).collect::<Vec<_>>());
    assert_eq!(refusals.len(), 30);
    assert_eq!(refusals[29].address, client(499).address, "the newest stay");
    assert_eq!(store.prune_events(bounds, 200).await.unwrap(), 0);
}

pub async fn old_events_are_pruned_also_after_the_time_went_back(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let year = 365 * DAY;
    append(&store, [counted(1, NOW), counted(2, NOW.plus(DAY))]).await;
    let bounds = |before| TrailBounds { before, at_most: 100 };
    assert_eq!(store.prune_events(bounds(NOW), 100).await.unwrap(), 0);
    assert_eq!(store.prune_events(bounds(later(1)), 100).await.unwrap(), 1);
    let wrong = NOW.plus(10 * year);
    append(&store, [counted(3, wrong)]).await;
    store.go_back(wrong, NOW.plus(2 * DAY)).await.unwrap();
    append(&store, [counted(4, NOW.plus(3 * DAY))]).await;
    drop(store);
    let store = backend.open(NOW.plus(3 * DAY)).await;
    let kept = trail(&store).await;
    assert_eq!(counts(&kept), [2, 3, 4]);
    assert_eq!(kept[1].at, wrong, "it stays what was noted");
    let pruned = store.prune_events(bounds(NOW.plus(3 * DAY)), 100).await;
    assert_eq!(pruned.unwrap(), 2);
    assert_eq!(counts(&trail(&store).await), [4]);
}

pub async fn a_place_is_given_once_also_when_all_is_pruned(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    append(&store, [counted(1, NOW)]).await;
    let first = trail(&store).await[0].place;
    let bounds = TrailBounds {
        before: later(1),
        at_most: 100,
    };
    assert_eq!(store.prune_events(bounds, 100).await.unwrap(), 1);
    assert_eq!(trail(&store).await, []);
    drop(store);
    let store = backend.open(NOW).await;
    append(&store, [counted(2, NOW)]).await;
    assert!(trail(&store).await[0].place > first);
}

pub async fn the_trail_keeps_every_event_of_concurrent_writers(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let writers: Vec<_> = (0..32)
        .map(|n| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let user = created(&store, &format!("user{n}")).await;
                for _ in 0..8 {
                    let (session, _) = opened(&store, &user, NOW).await;
                    store.append(&event(
                        EventKind::SignedIn { session: session.id },
                        Some(user.id),
                        NOW,
                    ));
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    drop(store);
    let store = backend.open(NOW).await;
    let kept = trail(&store).await;
    assert_eq!(kept.len(), 32 * 8);
    assert!(kept.is_sorted_by_key(|entry| entry.place));
    assert!(kept.iter().all(|entry| entry.subject_name.is_some()));
}

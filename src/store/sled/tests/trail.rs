//! The audit trail with many events.

use super::*;
use crate::{
    clock::Stopwatch,
    domain::{RequestContext, UserId},
    event::{Actor, ActorFilter, Event, EventKind, SignInFailure, TrailOrder, TrailQuery, UserFilter},
    store::trail::AuditTrail,
};

/// One page is read in bounded time, whatever it asks for. With `JWT_SERVER_EVENTS=100000` of many events.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_a_long_trail_looks_through_a_bounded_part() {
    let count: u64 = std::env::var("JWT_SERVER_EVENTS").map_or(12_000, |count| count.parse().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory, NOW);
    let users: Vec<_> = (0..100).map(|_| UserId::generate(NOW)).collect();
    let began = Stopwatch::start();
    for n in 0..count {
        let at = NOW.plus(Duration::from_secs(n));
        let user = users[usize::try_from(n).unwrap() % users.len()];
        let (kind, actor) = match n % 3 {
            0 => (EventKind::UserDisabled, Actor::Server),
            1 => (
                EventKind::DisplayNameChanged,
                Actor::User {
                    id: user,
                    session: None,
                    api_token: None,
                },
            ),
            _ => (
                EventKind::SignInFailed {
                    reason: SignInFailure::WrongPassword,
                },
                Actor::Anonymous,
            ),
        };
        store.append(&Event {
            kind,
            subject: Some(user),
            actor,
            context: RequestContext::default(),
            at,
        });
        if n % 50 == 0 {
            store.keep_events().await.unwrap();
        }
    }
    store.keep_events().await.unwrap();
    println!("{count} events were written in {} ms", began.milliseconds());
    let queries = [
        ("the newest", TrailQuery::default()),
        (
            "of one user",
            TrailQuery {
                user: Some(UserFilter::Id(users[7])),
                ..TrailQuery::default()
            },
        ),
        (
            "of one kind, oldest first",
            TrailQuery {
                kind: Some("user_disabled".to_owned()),
                order: TrailOrder::OldestFirst,
                ..TrailQuery::default()
            },
        ),
        (
            "of no event",
            TrailQuery {
                actor: Some(ActorFilter::Operator),
                ..TrailQuery::default()
            },
        ),
    ];
    for (what, mut query) in queries {
        let (mut pages, mut found, mut longest) = (0, 0, 0.0_f64);
        loop {
            let began = Stopwatch::start();
            let page = store.events(query.clone()).await.unwrap();
            longest = longest.max(began.milliseconds());
            pages += 1;
            found += page.entries.len() as u64;
            query.after = page.next;
            if query.after.is_none() {
                break;
            }
        }
        println!("{what}: {found} events in {pages} pages, {longest} ms for the longest");
        let expected = match what {
            "the newest" => count,
            "of one user" => count / 100,
            "of no event" => 0,
            _ => count.div_ceil(3),
        };
        assert_eq!(found, expected, "{what}");
        if found == 0 {
            assert!(pages > 2, "one page looks through a part");
        }
    }
}

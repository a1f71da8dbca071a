//! The events that wait for the committing thread to write them into the audit trail.
//!
//! Refusals wait apart, for the next second: so those alike become one entry, and a flood of them writes no more than
//! [`REFUSALS`] entries a second. While none is written, no more than that wait, and they take no place of another event.

use std::{
    collections::VecDeque,
    mem,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    clock::Timestamp,
    domain::{ClientAddress, RequestContext, UserId, Username},
    event::{Actor, Event, EventKind},
};

/// How many events may wait, beside refusals: those of a long outage of the disk. Some 300 bytes each.
const EVENTS: usize = 4096;
/// How many different refusals may wait: those of a second.
const REFUSALS: usize = 256;
/// How many deleted users' names are known.
const DELETED: usize = 1024;

/// An event that waits.
pub(crate) struct WaitingEvent {
    pub(crate) event: Event,
    /// How many refusals alike it stands for.
    pub(crate) times: u32,
    /// Its number in the trail, if a write of it was tried.
    pub(crate) number: Option<u64>,
}

#[derive(Default)]
pub(crate) struct WaitingEvents {
    queues: Mutex<Queues>,
    /// The number behind that of the last entry that is durable.
    durable: AtomicU64,
}

#[derive(Default)]
struct Queues {
    ready: VecDeque<WaitingEvent>,
    /// How many of those are refusals.
    released: usize,
    refusals: Vec<WaitingEvent>,
    left_out: LeftOut,
    refusals_left_out: LeftOut,
    deleted: VecDeque<(UserId, Username)>,
}

/// How many events were left out, and when the last one was.
#[derive(Clone, Copy, Default)]
struct LeftOut {
    count: u64,
    last: Timestamp,
}

impl LeftOut {
    fn note(&mut self, at: Timestamp) {
        self.count += 1;
        self.last = at;
    }

    /// The event that says so; `None` if none was left out.
    fn told(&mut self, kind: impl FnOnce(u64) -> EventKind) -> Option<WaitingEvent> {
        let Self { count, last } = mem::take(self);
        (count > 0).then(|| WaitingEvent {
            event: Event {
                kind: kind(count),
                subject: None,
                actor: Actor::Server,
                context: RequestContext::default(),
                at: last,
            },
            times: 1,
            number: None,
        })
    }
}

impl WaitingEvents {
    /// Adds `event`, or counts it as left out if too many wait.
    pub(crate) fn add(&self, event: &Event) {
        let mut queues = self.queues();
        if event.kind.is_refusal() {
            queues.add_refusal(event);
        } else if queues.ready.len() - queues.released < EVENTS {
            queues.ready.push_back(WaitingEvent::of(event));
        } else {
            queues.left_out.note(event.at);
        }
    }

    /// Lets the refusals that have waited be taken, unless earlier ones have not been taken yet. Returns how many events can be
    /// taken now.
    pub(crate) fn release_refusals(&self) -> usize {
        let mut queues = self.queues();
        if queues.released == 0 {
            let refusals = mem::take(&mut queues.refusals);
            let told = queues
                .refusals_left_out
                .told(|count| EventKind::RefusalsLeftOut { count });
            let before = queues.ready.len();
            queues.ready.extend(refusals);
            queues.ready.extend(told);
            queues.released = queues.ready.len() - before;
        }
        queues.ready.len()
    }

    /// Takes up to `at_most` events, in the order in which they came.
    pub(crate) fn take(&self, at_most: usize) -> Vec<WaitingEvent> {
        let mut queues = self.queues();
        let count = queues.ready.len().min(at_most);
        let mut taken: Vec<_> = queues.ready.drain(..count).collect();
        queues.released -= refusals_in(&taken);
        if queues.ready.is_empty() {
            taken.extend(queues.left_out.told(|count| EventKind::EventsLeftOut { count }));
        }
        taken
    }

    /// Puts back what was taken and could not be written.
    pub(crate) fn put_back(&self, taken: Vec<WaitingEvent>) {
        let mut queues = self.queues();
        queues.released += refusals_in(&taken);
        for event in taken.into_iter().rev() {
            queues.ready.push_front(event);
        }
    }

    /// Notes the name of a user who is about to be deleted: the event that says so comes later.
    pub(crate) fn note_deleted(&self, user: UserId, name: &Username) {
        let mut queues = self.queues();
        if queues.deleted.len() == DELETED {
            queues.deleted.pop_front();
        }
        queues.deleted.push_back((user, name.clone()));
    }

    /// The name of a user who was deleted not long ago.
    pub(crate) fn deleted(&self, user: UserId) -> Option<Username> {
        let queues = self.queues();
        let found = queues.deleted.iter().rev().find(|(id, _)| *id == user);
        found.map(|(_, name)| name.clone())
    }

    /// Each entry with a lower number is durable.
    pub(crate) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    pub(crate) fn set_durable(&self, next: u64) {
        self.durable.store(next, Ordering::Release);
    }

    fn queues(&self) -> MutexGuard<'_, Queues> {
        // Each use leaves the queues whole.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queues {
    fn add_refusal(&mut self, event: &Event) {
        if let Some(same) = self.refusals.iter_mut().find(|one| alike(&one.event, event)) {
            same.times = same.times.saturating_add(1);
        } else if self.refusals.len() < REFUSALS {
            self.refusals.push(WaitingEvent::of(event));
        } else {
            self.refusals_left_out.note(event.at);
        }
    }
}

impl WaitingEvent {
    fn of(event: &Event) -> Self {
        let mut event = event.clone();
        // The trail does not keep it.
        event.context.client.device = None;
        Self {
            event,
            times: 1,
            number: None,
        }
    }
}

fn refusals_in(events: &[WaitingEvent]) -> usize {
    events.iter().filter(|one| one.event.kind.is_refusal()).count()
}

/// Whether one entry can stand for both refusals.
fn alike(one: &Event, other: &Event) -> bool {
    let network = |event: &Event| event.context.client.address.map(ClientAddress::network);
    let same_kind = match (&one.kind, &other.kind) {
        (EventKind::Throttled { axis: one, .. }, EventKind::Throttled { axis: other, .. }) => one == other,
        (one, other) => one == other,
    };
    same_kind && one.subject == other.subject && one.actor == other.actor && network(one) == network(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::Client,
        event::{SignInFailure, ThrottleAxis},
    };

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn event(kind: EventKind, address: [u8; 4]) -> Event {
        Event {
            kind,
            subject: None,
            actor: Actor::Anonymous,
            context: RequestContext::of_client(Client {
                address: Some(ClientAddress::new(address.into())),
                device: None,
            }),
            at: NOW,
        }
    }

    fn refusal(address: [u8; 4]) -> Event {
        let reason = SignInFailure::NoSuchUser;
        event(EventKind::SignInFailed { reason }, address)
    }

    fn names(taken: &[WaitingEvent]) -> Vec<(&'static str, u32)> {
        let one = |one: &WaitingEvent| (one.event.kind.name(), one.times);
        taken.iter().map(one).collect()
    }

    #[test]
    fn refusals_alike_become_one_entry_and_wait_for_the_second() {
        let waiting = WaitingEvents::default();
        for address in [[192, 0, 2, 1], [192, 0, 2, 2], [192, 0, 2, 1]] {
            waiting.add(&refusal(address));
        }
        for seconds in [9, 8] {
            let kind = EventKind::Throttled {
                axis: ThrottleAxis::Account,
                retry_after: std::time::Duration::from_secs(seconds),
            };
            waiting.add(&event(kind, [192, 0, 2, 1]));
        }
        waiting.add(&event(EventKind::UserEnabled, [192, 0, 2, 1]));
        assert_eq!(names(&waiting.take(9)), [("user_enabled", 1)]);
        assert_eq!(waiting.release_refusals(), 3);
        let taken = waiting.take(9);
        assert_eq!(
            names(&taken),
            [("sign_in_failed", 2), ("sign_in_failed", 1), ("throttled", 2)]
        );
        waiting.put_back(taken);
        assert_eq!(names(&waiting.take(1)), [("sign_in_failed", 2)]);
    }

    #[test]
    fn what_waits_is_bounded_and_what_is_left_out_is_told() {
        let waiting = WaitingEvents::default();
        for n in 0..EVENTS + 3 {
            waiting.add(&event(EventKind::UserEnabled, [192, 0, 2, 1]));
            let [high, low] = u16::try_from(n).unwrap().to_be_bytes();
            waiting.add(&refusal([192, 0, high, low]));
        }
        let taken = waiting.take(usize::MAX);
        assert_eq!(taken.len(), EVENTS + 1);
        assert_eq!(taken[EVENTS].event.kind, EventKind::EventsLeftOut { count: 3 });
        assert_eq!(waiting.release_refusals(), REFUSALS + 1);
        let taken = waiting.take(usize::MAX);
        let count = (EVENTS + 3 - REFUSALS) as u64;
        assert_eq!(taken[REFUSALS].event.kind, EventKind::RefusalsLeftOut { count });
        assert!(waiting.take(1).is_empty());
    }

    #[test]
    fn refusals_take_no_place_of_other_events_in_an_outage() {
        let waiting = WaitingEvents::default();
        for second in 0..100 {
            for n in 0..300_u16 {
                let [high, low] = n.to_be_bytes();
                waiting.add(&refusal([198, second, high, low]));
            }
            assert!(waiting.release_refusals() <= REFUSALS + 1, "{second}");
        }
        for _ in 0..EVENTS {
            waiting.add(&event(EventKind::UserEnabled, [192, 0, 2, 1]));
        }
        // A group of them that was taken and could not be written.
        waiting.put_back(waiting.take(REFUSALS + 9));
        let taken = waiting.take(usize::MAX);
        assert_eq!(taken.len(), REFUSALS + 1 + EVENTS);
        assert!(
            taken[REFUSALS + 1..]
                .iter()
                .all(|one| one.event.kind == EventKind::UserEnabled)
        );
        // The next ones are released, and tell what was left out meanwhile.
        assert_eq!(waiting.release_refusals(), REFUSALS + 1);
    }

    #[test]
    fn the_names_of_the_last_deleted_users_are_known() {
        let waiting = WaitingEvents::default();
        let name = |n| Username::parse(&format!("user-{n}")).unwrap();
        let ids: Vec<_> = (0..=DELETED).map(|_| UserId::generate(NOW)).collect();
        for (n, id) in ids.iter().enumerate() {
            waiting.note_deleted(*id, &name(n));
        }
        assert_eq!(waiting.deleted(ids[0]), None);
        assert_eq!(waiting.deleted(ids[DELETED]), Some(name(DELETED)));
    }
}

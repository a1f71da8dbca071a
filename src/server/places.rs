//! How many connections are open: in all, and of one network. A new one beyond either bound takes the place of the connection
//! that has waited longest for its client, of all or of that network. No request that is being answered is cut for another one.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BinaryHeap, HashMap},
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::Context,
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::{
    activity::{Activity, FIRST_MOMENT, Moment, State},
    upgrade::Upgrade,
};
use crate::domain::{Block, Network};

/// This part of all connections may have buffers while they wait. Beyond that, one that begins to wait gives them back at once.
const BUFFERED_PART: usize = 4;
/// The most connections that have given up their places and are not closed yet.
const MOST_ENDING: usize = 32;

/// The places of all connections.
#[derive(Clone)]
pub(super) struct Places(Arc<Shared>);

/// The place of one connection, given back when this is dropped, and what the connection does there.
pub(super) struct Place {
    shared: Arc<Shared>,
    taken: Arc<Taken>,
    /// There if a request asked for it.
    upgrade: OnceLock<Box<Upgrade>>,
}

struct Shared {
    most: usize,
    most_of_address: usize,
    begun: Instant,
    /// How many connections have buffers.
    buffered: AtomicUsize,
    book: Mutex<Book>,
    /// Told of each place that may have become free.
    changed: Notify,
}

/// A place that is taken. It is in the book until it is given back, or given to another connection.
struct Taken {
    activity: Activity,
    blocks: Vec<Block>,
}

#[derive(Default)]
struct Book {
    open: usize,
    /// How many have given up their places and are not closed yet.
    ending: usize,
    blocks: HashMap<Block, Vec<Arc<Taken>>>,
    /// The connections by the moment since which they wait, or an earlier one. Busy ones may be missing.
    waiting: BinaryHeap<Reverse<Listed>>,
}

/// A connection that has waited since that moment, or a later one.
struct Listed {
    since: Moment,
    taken: Arc<Taken>,
}

/// Why there is no place.
#[derive(Debug, PartialEq, Eq)]
enum NoPlace {
    /// All places are taken, and no connection waits for its client.
    InAll,
    /// The same, of one network's.
    OfNetwork,
}

impl Places {
    /// At most `most` connections, and at most `most_of_address` of one address.
    pub(super) fn new(most: usize, most_of_address: usize) -> Self {
        Self(Arc::new(Shared {
            most,
            most_of_address,
            begun: Instant::now(),
            buffered: AtomicUsize::new(0),
            book: Mutex::default(),
            changed: Notify::new(),
        }))
    }

    /// A place for a connection from `address`, as soon as there is one. Returns `None` if all of its network are busy. A
    /// connection without an address has no share to exceed: that of a trusted proxy, which speaks for many clients.
    pub(super) async fn take(&self, address: Option<IpAddr>) -> Option<Arc<Place>> {
        loop {
            match self.try_take(address) {
                Ok(place) => return Some(Arc::new(place)),
                Err(NoPlace::OfNetwork) => return None,
                Err(NoPlace::InAll) => self.0.changed.notified().await,
            }
        }
    }

    fn try_take(&self, address: Option<IpAddr>) -> Result<Place, NoPlace> {
        let shared = &self.0;
        let mut book = shared.book();
        if book.ending >= MOST_ENDING {
            return Err(NoPlace::InAll);
        }
        let blocks: Vec<_> = address
            .map(Network::of)
            .into_iter()
            .flat_map(Network::blocks)
            .collect();
        for (block, shares) in &blocks {
            let members = book.blocks.get(block).map_or(&[][..], Vec::as_slice);
            if members.len() >= shares * shared.most_of_address {
                let ended = end_longest_waiting(members).ok_or(NoPlace::OfNetwork)?;
                book.end(&ended);
            }
        }
        if book.open >= shared.most {
            let ended = book.end_longest_waiting().ok_or(NoPlace::InAll)?;
            book.end(&ended);
        }
        let now = shared.moment(Instant::now());
        let taken = Arc::new(Taken {
            activity: Activity::new(now),
            blocks: blocks.into_iter().map(|(block, _)| block).collect(),
        });
        book.add(&taken);
        book.list(now, Arc::clone(&taken));
        Ok(Place {
            shared: Arc::clone(shared),
            taken,
            upgrade: OnceLock::new(),
        })
    }
}

impl Place {
    /// The connection waits for the header of its next request.
    pub(super) fn wait(&self, now: Instant) {
        let now = self.shared.moment(now);
        if self.taken.activity.wait(now) {
            self.list(now);
        }
    }

    /// The client reads its answer again.
    pub(super) fn unblock(&self) {
        let now = self.shared.moment(Instant::now());
        if self.taken.activity.unblock(now) {
            self.list(now);
        }
    }

    /// The client does not read its answer.
    pub(super) fn block(&self) {
        self.taken.activity.block();
    }

    /// Bytes have come.
    pub(super) fn read(&self) {
        self.taken.activity.read();
    }

    /// All bytes that have come were read and looked at.
    pub(super) fn await_bytes(&self) {
        self.taken.activity.await_bytes();
    }

    /// A header has come whole. Returns `false` if the place was given to another connection: then the request must not be
    /// answered.
    pub(super) fn work(&self, has_body: bool) -> bool {
        let body_since = has_body.then(|| self.shared.moment(Instant::now()));
        self.taken.activity.work(body_since)
    }

    /// When the body of the last request began; `None` if it had none.
    pub(super) fn body_since(&self) -> Option<Instant> {
        Some(self.shared.instant(self.taken.activity.body_since()?))
    }

    /// Since when the connection has waited for the header of a request; `None` if it does not.
    pub(super) fn waits_since(&self) -> Option<Instant> {
        match self.taken.activity.state() {
            State::Waiting(since) => Some(self.shared.instant(since)),
            State::Busy | State::Ended => None,
        }
    }

    /// The connection has buffers until the result is dropped.
    pub(super) fn buffer(&self) -> Buffered {
        self.shared.buffered.fetch_add(1, Relaxed);
        Buffered(Arc::clone(&self.shared))
    }

    /// Whether so many connections have buffers that those that wait should give their own back.
    pub(super) fn are_buffers_scarce(&self) -> bool {
        self.shared.buffered.load(Relaxed) > self.shared.most / BUFFERED_PART
    }

    /// Whether the place was given to another connection. If it is later, this task is woken.
    pub(super) fn is_given_up(&self, context: &Context<'_>) -> bool {
        self.taken.activity.is_ended(context)
    }

    /// A request asks that its route may take the connection over.
    pub(super) fn expect_upgrade(&self) {
        self.upgrade.get_or_init(Box::default);
    }

    /// What the route that took the connection over and the server tell each other. `None` if no request asked for that.
    #[inline]
    pub(super) fn upgrade(&self) -> Option<&Upgrade> {
        self.upgrade.get().map(Box::as_ref)
    }

    /// What else is known of the connection.
    pub(super) fn activity(&self) -> &Activity {
        &self.taken.activity
    }

    fn list(&self, since: Moment) {
        self.shared.book().list(since, Arc::clone(&self.taken));
        self.shared.changed.notify_one();
    }
}

/// Counts a connection as one that has buffers.
pub(super) struct Buffered(Arc<Shared>);

impl Drop for Buffered {
    fn drop(&mut self) {
        self.0.buffered.fetch_sub(1, Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.book().close(&self.taken);
        self.shared.changed.notify_one();
    }
}

impl Shared {
    fn moment(&self, instant: Instant) -> Moment {
        let since = instant.saturating_duration_since(self.begun).as_micros();
        FIRST_MOMENT + u64::try_from(since).unwrap_or(u64::MAX / 2)
    }

    fn instant(&self, moment: Moment) -> Instant {
        self.begun + Duration::from_micros(moment - FIRST_MOMENT)
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // Each use leaves the book whole.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn add(&mut self, taken: &Arc<Taken>) {
        self.open += 1;
        for block in &taken.blocks {
            self.blocks.entry(*block).or_default().push(Arc::clone(taken));
        }
    }

    fn remove(&mut self, taken: &Arc<Taken>) {
        self.open -= 1;
        for block in &taken.blocks {
            let Some(members) = self.blocks.get_mut(block) else {
                continue;
            };
            members.retain(|member| !Arc::ptr_eq(member, taken));
            if members.is_empty() {
                self.blocks.remove(block);
            }
        }
    }

    /// A connection that was ended gives up its place.
    fn end(&mut self, ended: &Arc<Taken>) {
        self.remove(ended);
        self.ending += 1;
    }

    /// A connection is closed.
    fn close(&mut self, taken: &Arc<Taken>) {
        if taken.activity.close() {
            self.ending -= 1;
        } else {
            self.remove(taken);
        }
        // What is closed may be in the list; it is at most half of it.
        if self.waiting.len() > 2 * self.open + MOST_ENDING {
            self.waiting
                .retain(|Reverse(listed)| listed.taken.activity.state() != State::Ended);
            self.waiting.shrink_to(2 * self.open);
        }
    }

    fn list(&mut self, since: Moment, taken: Arc<Taken>) {
        self.waiting.push(Reverse(Listed { since, taken }));
    }

    /// Ends the connection that has waited longest, and returns it.
    fn end_longest_waiting(&mut self) -> Option<Arc<Taken>> {
        while let Some(Reverse(Listed { since, taken })) = self.waiting.pop() {
            if taken.activity.end_if_waiting_since(since) {
                return Some(taken);
            }
            // It is busy, or has been since.
            if !taken.activity.unlist_if_busy()
                && let State::Waiting(since) = taken.activity.state()
            {
                self.list(since, taken);
            }
        }
        None
    }
}

/// Ends that of these connections that has waited longest, and returns it.
fn end_longest_waiting(members: &[Arc<Taken>]) -> Option<Arc<Taken>> {
    loop {
        let waiting = members.iter().filter_map(|taken| match taken.activity.state() {
            State::Waiting(since) => Some((since, taken)),
            State::Busy | State::Ended => None,
        });
        let (since, taken) = waiting.min_by_key(|(since, _)| *since)?;
        if taken.activity.end_if_waiting_since(since) {
            return Some(Arc::clone(taken));
        }
    }
}

impl PartialEq for Listed {
    fn eq(&self, other: &Self) -> bool {
        self.since == other.since
    }
}

impl Eq for Listed {}

impl PartialOrd for Listed {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Listed {
    fn cmp(&self, other: &Self) -> Ordering {
        self.since.cmp(&other.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(places: &Places, address: &str) -> Result<Place, NoPlace> {
        places.try_take(Some(address.parse().unwrap()))
    }

    fn busy(places: &Places, address: &str) -> Place {
        let place = take(places, address).expect("there is a place");
        assert!(place.work(false));
        place
    }

    fn is_given_up(place: &Place) -> bool {
        place.activity().state() == State::Ended
    }

    #[tokio::test]
    async fn a_network_has_its_share_and_gets_it_back() {
        let places = Places::new(10, 2);
        let held = [busy(&places, "192.0.2.1"), busy(&places, "::ffff:192.0.2.1")];
        assert_eq!(take(&places, "192.0.2.1").err(), Some(NoPlace::OfNetwork));
        assert!(take(&places, "192.0.2.2").is_ok());
        for _ in 0..3 {
            assert!(places.try_take(None).is_ok(), "a trusted proxy has no share");
        }
        drop(held);
        assert!(take(&places, "192.0.2.1").is_ok());
        let book = places.0.book();
        assert_eq!((book.open, book.ending, book.blocks.len()), (0, 0, 0));
    }

    #[tokio::test]
    async fn an_ipv6_site_has_a_larger_share_than_one_network_of_it() {
        let places = Places::new(100, 2);
        let mut held = Vec::new();
        for (address, is_last) in [
            ("2001:db8::1", false),
            ("2001:db8::2", true),
            // The same /56.
            ("2001:db8:0:1::1", false),
            ("2001:db8:0:2::1", true),
            // The same /48.
            ("2001:db8:0:100::1", false),
            ("2001:db8:0:200::1", false),
            ("2001:db8:0:300::1", false),
            ("2001:db8:0:400::1", true),
        ] {
            held.push(busy(&places, address));
            let next = take(&places, address.trim_end_matches(|c| c != ':')).err();
            assert_eq!(next.is_some(), is_last, "{address}");
        }
        assert!(take(&places, "2001:db8:1::1").is_ok());
        // The idle one of the same /48 makes room.
        held[2].wait(Instant::now());
        assert!(take(&places, "2001:db8:0:500::1").is_ok() && is_given_up(&held[2]));
    }

    #[tokio::test]
    async fn the_longest_waiting_makes_room_however_often_it_changed() {
        let places = Places::new(3, 3);
        let held: Vec<_> = (1..=3)
            .map(|last| busy(&places, &format!("192.0.2.{last}")))
            .collect();
        assert_eq!(take(&places, "192.0.2.9").err(), Some(NoPlace::InAll));
        let begun = Instant::now();
        // Each was busy when it was looked at, and waits now.
        for (place, later) in held.iter().zip([3, 1, 2]) {
            place.wait(begun + Duration::from_secs(later));
        }
        let next = take(&places, "192.0.2.9").unwrap();
        assert!(is_given_up(&held[1]) && !is_given_up(&held[0]) && !is_given_up(&held[2]));
        assert!(next.work(false));
        assert!(held[2].work(false));
        held[2].wait(begun + Duration::from_secs(4));
        let _next = take(&places, "192.0.2.9").unwrap();
        assert!(is_given_up(&held[0]) && !is_given_up(&held[2]));
        drop(held);
    }

    #[tokio::test]
    async fn connections_that_end_slowly_are_bounded() {
        let places = Places::new(1, 1);
        let mut held = Vec::new();
        for _ in 0..MOST_ENDING {
            held.push(take(&places, "192.0.2.1").unwrap());
        }
        let last = take(&places, "192.0.2.1").unwrap();
        assert_eq!(take(&places, "192.0.2.1").err(), Some(NoPlace::InAll));
        let waiting = places.take(None);
        held.pop();
        waiting.await.unwrap();
        assert!(is_given_up(&last));
    }

    #[tokio::test]
    async fn the_list_forgets_what_is_closed() {
        let places = Places::new(10, 10);
        let _open = busy(&places, "192.0.2.1");
        for _ in 0..1000 {
            let place = busy(&places, "192.0.2.1");
            place.wait(Instant::now());
        }
        assert!(places.0.book().waiting.len() <= 2 + MOST_ENDING);
    }
}

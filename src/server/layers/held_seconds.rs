//! The held-back seconds of each network: how often it was turned away of late, whether or not its clients waited for the answer.
//! A network that has its share of them waits before its next request is answered. So clients that close their
//! connections and open others are turned away no more often than clients that wait.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::domain::{Block, Network};

/// How long an answer is held back, and the longest that a request waits for the answers before it.
pub(super) const SECOND: Duration = Duration::from_secs(1);
/// The most blocks of addresses that are counted at a time. Each is forgotten within some seconds.
const MOST_COUNTED: usize = 65_536;

/// The held-back seconds of all networks.
pub(in crate::server) struct HeldSeconds {
    /// How many one client has at once: as many as it has connections. Then a client that waits for each answer never waits for more.
    share: usize,
    /// Whether a network may have its whole share. While none has, this is all that a request looks at.
    may_be_full: AtomicBool,
    book: Mutex<Book>,
}

/// Clients that are counted together. A request with a credential is counted apart, so that a flood of sign-ins delays no
/// signed-in user of its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Sender {
    /// Clients of unknown networks are counted as one.
    pub(super) network: Option<Network>,
    pub(super) has_credential: bool,
}

struct Book {
    /// When the seconds of each block are over, if they run out one after the other, its share of them within a second.
    over: HashMap<(Option<Block>, bool), Instant>,
    /// No network has its whole share after this.
    full_until: Instant,
    /// When the blocks whose seconds are over are forgotten next.
    forget_at: Instant,
}

impl HeldSeconds {
    /// Of which one client has `share` at once.
    pub(in crate::server) fn new(share: usize) -> Self {
        let now = Instant::now();
        Self {
            share,
            may_be_full: AtomicBool::new(false),
            book: Mutex::new(Book {
                over: HashMap::new(),
                full_until: now,
                forget_at: now,
            }),
        }
    }

    /// Whether a network may have to wait.
    #[inline]
    pub(super) fn may_be_full(&self) -> bool {
        self.may_be_full.load(Ordering::Relaxed)
    }

    /// Until when the next request of `sender` waits, at most a second; `None` if it does not.
    pub(super) fn wait_until(&self, sender: Sender, now: Instant) -> Option<Instant> {
        let book = self.book();
        if book.full_until <= now {
            self.may_be_full.store(false, Ordering::Relaxed);
            return None;
        }
        let waits = sender.blocks().filter_map(|(block, shares)| {
            let over = book.over.get(&block)?;
            Some(*over + self.step(shares) - SECOND)
        });
        waits.max().filter(|until| *until > now)
    }

    /// Counts an answer that turns `sender` away.
    pub(super) fn add(&self, sender: Sender, now: Instant) {
        let mut book = self.book();
        if book.forget_at <= now {
            book.over.retain(|_, over| *over > now);
            book.over.shrink_to(64);
            book.forget_at = now + SECOND;
        }
        for (block, shares) in sender.blocks() {
            if book.over.len() >= MOST_COUNTED && !book.over.contains_key(&block) {
                continue;
            }
            let step = self.step(shares);
            let over = book.over.entry(block).or_insert(now);
            // Later would mean that a request waits for more than a second.
            *over = ((*over).max(now) + step).min(now + 2 * SECOND - step);
            let full_until = *over + step - SECOND;
            if full_until > now {
                book.full_until = book.full_until.max(full_until);
                self.may_be_full.store(true, Ordering::Relaxed);
            }
        }
    }

    /// After what part of a second one of a block's seconds is over, when it has its share of them.
    fn step(&self, shares: usize) -> Duration {
        let within_a_second = u32::try_from(self.share.saturating_mul(shares)).unwrap_or(u32::MAX);
        SECOND / within_a_second.max(1)
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // Each use leaves the book whole.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sender {
    /// What it is counted in, each with its shares.
    fn blocks(self) -> impl Iterator<Item = ((Option<Block>, bool), usize)> {
        let known = self.network.into_iter().flat_map(Network::blocks);
        let known = known.map(|(block, shares)| (Some(block), shares));
        let blocks = known.chain(self.network.is_none().then_some((None, 1)));
        blocks.map(move |(block, shares)| ((block, self.has_credential), shares))
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    fn sender(address: impl Into<std::net::IpAddr>) -> Sender {
        Sender {
            network: Some(Network::of(address.into())),
            has_credential: false,
        }
    }

    fn here() -> Sender {
        sender(Ipv4Addr::new(192, 0, 2, 1))
    }

    /// How many milliseconds the next request of `sender` waits.
    fn wait(seconds: &HeldSeconds, sender: Sender, now: Instant) -> u128 {
        let until = seconds.wait_until(sender, now);
        // Rounded up, as a timer does.
        until.map_or(0, |until| (until - now).as_micros().div_ceil(1000))
    }

    #[test]
    fn a_network_waits_when_it_has_its_share_of_seconds() {
        let (seconds, now) = (HeldSeconds::new(4), Instant::now());
        for _ in 0..4 {
            assert_eq!(wait(&seconds, here(), now), 0);
            seconds.add(here(), now);
        }
        assert_eq!(wait(&seconds, here(), now), 250);
        let others = [
            sender(Ipv4Addr::new(192, 0, 2, 2)),
            Sender {
                network: None,
                ..here()
            },
            Sender {
                has_credential: true,
                ..here()
            },
        ];
        for other in others {
            assert_eq!(wait(&seconds, other, now), 0);
        }
        // All that wait for the same moment are answered, and the ones after them wait for that.
        let later = now + SECOND / 4;
        assert_eq!(wait(&seconds, here(), later), 0);
        for _ in 0..4 {
            seconds.add(here(), later);
        }
        assert_eq!(wait(&seconds, here(), later), 1000);
    }

    #[test]
    fn clients_that_wait_for_their_answers_wait_for_no_more() {
        let (seconds, begun) = (HeldSeconds::new(7), Instant::now());
        for turn in 0..10 {
            let now = begun + turn * SECOND;
            for _ in 0..7 {
                assert_eq!(wait(&seconds, here(), now), 0);
                seconds.add(here(), now);
            }
        }
    }

    #[test]
    fn no_request_waits_longer_than_a_second() {
        for share in [1, 3, 256, 10_000] {
            let (seconds, now) = (HeldSeconds::new(share), Instant::now());
            for _ in 0..3 * share {
                seconds.add(here(), now);
            }
            assert_eq!(wait(&seconds, here(), now), 1000, "{share}");
            assert!(seconds.may_be_full());
            // Nothing is looked at any longer than that.
            let later = now + SECOND;
            assert_eq!(wait(&seconds, here(), later), 0, "{share}");
            assert!(!seconds.may_be_full());
        }
    }

    #[test]
    fn a_site_of_many_ipv6_networks_waits_too() {
        let (seconds, now) = (HeldSeconds::new(2), Instant::now());
        let of_site = |number: u16| sender(Ipv6Addr::new(0x2001, 0xdb8, 1, number, 0, 0, 0, 1));
        // A network in each /56: a /48 has four shares.
        for number in 0..8 {
            assert_eq!(wait(&seconds, of_site(number << 8), now), 0, "{number}");
            seconds.add(of_site(number << 8), now);
        }
        assert!(wait(&seconds, of_site(0xffff), now) > 0);
        let elsewhere = sender(Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 1));
        assert_eq!(wait(&seconds, elsewhere, now), 0);
    }

    #[test]
    fn the_memory_for_held_back_seconds_is_bounded() {
        let (seconds, now) = (HeldSeconds::new(1), Instant::now());
        let counted = || seconds.book().over.len();
        for number in 0..100_000 {
            seconds.add(sender(Ipv4Addr::from(number)), now);
        }
        assert_eq!(counted(), MOST_COUNTED);
        assert_eq!(wait(&seconds, sender(Ipv4Addr::from(0)), now), 1000);
        seconds.add(here(), now + SECOND);
        assert_eq!(counted(), 1);
        assert!(seconds.book().over.capacity() < 1000);
    }
}

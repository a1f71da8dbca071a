//! How many lines of the log tell of refusals. A client can be refused some ten thousand times a second, so only the first ones of
//! each second have a line of their own. One more line says how many others there were, and of how many networks.

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};
use tracing::Level;

use crate::domain::Network;

/// The most lines of one second.
const LINES: usize = 100;
/// The most lines of one second and one network, so that one client does not hide the others.
const LINES_OF_NETWORK: usize = 20;
/// The most networks that are told apart in one second.
const NETWORKS: usize = 4096;
const SECOND: Duration = Duration::from_secs(1);

/// The refusals of the present second. A process has one log, so all servers in it share this.
static PRESENT: LazyLock<Mutex<Second>> = LazyLock::new(Mutex::default);

#[derive(Default)]
struct Second {
    /// When it began; `None` before the first refusal.
    began: Option<Instant>,
    lines: usize,
    without_line: usize,
    by_network: HashMap<Option<Network>, OfNetwork>,
}

#[derive(Default)]
struct OfNetwork {
    lines: usize,
    has_more: bool,
}

/// Counts a refusal, and returns whether it gets a line of its own. A client without an address has a network of its own.
pub(super) fn admit(network: Option<Network>) -> bool {
    if !tracing::enabled!(Level::INFO) {
        return false;
    }
    let now = Instant::now();
    let mut second = present();
    let began = second.at(now);
    let is_admitted = second.admit(network);
    if !is_admitted && second.without_line == 1 {
        tokio::spawn(async move {
            sleep_until(began + SECOND).await;
            let mut second = present();
            if second.began == Some(began) {
                second.tell();
            }
        });
    }
    is_admitted
}

/// Tells of the refusals without a line, if there are any.
pub(super) fn tell() {
    present().tell();
}

fn present() -> MutexGuard<'static, Second> {
    // Each use leaves the counts whole.
    PRESENT.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Second {
    /// Begins anew if the second is over at `now`, and returns when the present one began.
    fn at(&mut self, now: Instant) -> Instant {
        match self.began {
            Some(began) if now < began + SECOND => began,
            _ => {
                self.tell();
                self.began = Some(now);
                now
            }
        }
    }

    fn admit(&mut self, network: Option<Network>) -> bool {
        let is_known = self.by_network.len() < NETWORKS || self.by_network.contains_key(&network);
        let mut other = OfNetwork::default();
        let of_network = if is_known {
            self.by_network.entry(network).or_default()
        } else {
            &mut other
        };
        if self.lines < LINES && of_network.lines < LINES_OF_NETWORK {
            self.lines += 1;
            of_network.lines += 1;
            return true;
        }
        self.without_line += 1;
        of_network.has_more = true;
        false
    }

    /// Begins anew, and logs how many had no line.
    fn tell(&mut self) {
        let Self {
            without_line,
            by_network,
            ..
        } = std::mem::take(self);
        if without_line > 0 {
            let networks = by_network.values().filter(|network| network.has_more).count();
            tracing::info!(
                refused = without_line,
                networks,
                "more requests were refused within a second than the log has lines for"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(number: usize) -> Network {
        let number = u32::try_from(number).unwrap();
        Network::of(std::net::Ipv4Addr::from(number).into())
    }

    #[test]
    fn one_network_does_not_hide_the_refusals_of_others() {
        let mut second = Second::default();
        let mut lines = |network, times| (0..times).filter(|_| second.admit(network)).count();
        assert_eq!(lines(Some(network(1)), 1000), LINES_OF_NETWORK);
        assert_eq!(lines(Some(network(2)), 1), 1);
        assert_eq!(lines(None, 1000), LINES_OF_NETWORK);
        let others: usize = (3..100).map(|number| lines(Some(network(number)), 1)).sum();
        assert_eq!(others, LINES - 2 * LINES_OF_NETWORK - 1);
        assert_eq!(second.without_line, 1000 + 1 + 1000 + 97 - LINES);
        let networks = second.by_network.values().filter(|network| network.has_more);
        assert_eq!(networks.count(), 2 + 97 - others);
    }

    #[test]
    fn each_second_has_lines_of_its_own() {
        let (mut second, start) = (Second::default(), Instant::now());
        for (millis, lines) in [
            (0, LINES_OF_NETWORK),
            (999, 0),
            (1000, LINES_OF_NETWORK),
            (1999, 0),
        ] {
            second.at(start + Duration::from_millis(millis));
            let admitted = (0..50).filter(|_| second.admit(Some(network(1)))).count();
            assert_eq!(admitted, lines, "after {millis} ms");
        }
    }

    #[test]
    fn the_memory_for_refusals_is_bounded() {
        let mut second = Second::default();
        for number in 0..3 * NETWORKS {
            second.admit(Some(network(number)));
        }
        assert_eq!(second.by_network.len(), NETWORKS);
        assert_eq!(second.without_line, 3 * NETWORKS - LINES);
        second.tell();
        assert!(second.by_network.is_empty() && second.without_line == 0);
    }
}

//! A bounded line of jobs, which clients share fairly however many jobs each of them has in it.
//!
//! - **Order.** A client's first job goes behind the first jobs of the others. Each further one goes as far back as if it had come
//!   when a whole line of others had been served. So a client with one job does not wait for the many of another one, and no
//!   job waits for ever.
//! - **Room.** If the line is full, the client with most jobs in it loses its newest one to a client that would have fewer.
//!   So one client alone may fill the line, and cannot keep another one out.
//!
//! A client is a network. The [blocks](crate::domain::Block) that it is in count as well, each by its share. Clients whose network
//! is unknown count as one.

use std::collections::{BTreeMap, HashMap};

use crate::domain::{Block, Network};

pub(super) struct Line<T> {
    places: usize,
    /// The jobs by their turn, and those of one turn by their number.
    jobs: BTreeMap<(u64, u64), Waiting<T>>,
    /// How many jobs each block has in the line.
    by_block: HashMap<Option<Block>, usize>,
    /// How many jobs have been taken: the turn of a client's first job.
    taken: u64,
    /// How many jobs have come.
    come: u64,
}

struct Waiting<T> {
    from: Option<Network>,
    job: T,
}

/// Whether a job still has to be done.
pub(super) trait Wanted {
    fn is_wanted(&self) -> bool;
}

impl<T: Wanted> Line<T> {
    /// An empty line for up to `places` jobs.
    pub(super) fn new(places: usize) -> Self {
        Self {
            places,
            jobs: BTreeMap::new(),
            by_block: HashMap::new(),
            taken: 0,
            come: 0,
        }
    }

    /// Puts `job` of a client in `from` into the line. Returns a job that got no place, or lost its place: perhaps this one.
    pub(super) fn put(&mut self, from: Option<Network>, job: T) -> Option<T> {
        if self.jobs.len() >= self.places {
            self.drop_unwanted();
        }
        let lost = if self.jobs.len() < self.places {
            None
        } else if let Some(newest) = self.newest_of_the_largest(self.load(from, 1)) {
            self.remove(newest)
        } else {
            return Some(job);
        };
        let further = u64::try_from(self.load(from, 0)).unwrap_or(u64::MAX);
        let a_line = u64::try_from(self.places).unwrap_or(u64::MAX);
        let turn = self.taken.saturating_add(further.saturating_mul(a_line));
        for (block, _) in blocks(from) {
            *self.by_block.entry(block).or_default() += 1;
        }
        self.jobs.insert((turn, self.come), Waiting { from, job });
        self.come += 1;
        lost
    }

    /// Takes the job whose turn it is.
    pub(super) fn take(&mut self) -> Option<T> {
        let (first, _) = self.jobs.first_key_value()?;
        let taken = self.remove(*first);
        self.taken += 1;
        taken
    }

    /// How many shares of the line a client in `from` has with so many `more` jobs, itself or in a block that it is in; rounded
    /// up.
    fn load(&self, from: Option<Network>, more: usize) -> usize {
        let load = |(block, shares)| {
            let jobs = self.by_block.get(&block).copied().unwrap_or_default();
            (jobs + more).div_ceil(shares)
        };
        blocks(from).map(load).max().unwrap_or_default()
    }

    /// The newest job of a client that has more shares of the line than all others, and more than `load`.
    fn newest_of_the_largest(&self, load: usize) -> Option<(u64, u64)> {
        let larger = self.jobs.iter().filter_map(|(key, waiting)| {
            let theirs = self.load(waiting.from, 0);
            (theirs > load).then_some((theirs, key.1, *key))
        });
        larger.max().map(|(_, _, key)| key)
    }

    fn remove(&mut self, key: (u64, u64)) -> Option<T> {
        let Waiting { from, job } = self.jobs.remove(&key)?;
        for (block, _) in blocks(from) {
            if let Some(jobs) = self.by_block.get_mut(&block) {
                *jobs -= 1;
                if *jobs == 0 {
                    self.by_block.remove(&block);
                }
            }
        }
        Some(job)
    }

    fn drop_unwanted(&mut self) {
        let unwanted = self.jobs.iter().filter(|(_, waiting)| !waiting.job.is_wanted());
        let unwanted: Vec<_> = unwanted.map(|(key, _)| *key).collect();
        for key in unwanted {
            drop(self.remove(key));
        }
    }
}

/// The blocks of a client, each with its shares.
fn blocks(from: Option<Network>) -> impl Iterator<Item = (Option<Block>, usize)> {
    let known = from.into_iter().flat_map(Network::blocks);
    let known = known.map(|(block, shares)| (Some(block), shares));
    known.chain(from.is_none().then_some((None, 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A job with the name of its client.
    #[derive(Debug, PartialEq, Eq)]
    struct Job(String, bool);

    impl Wanted for Job {
        fn is_wanted(&self) -> bool {
            self.1
        }
    }

    struct Scene(Line<Job>);

    impl Scene {
        fn new(places: usize) -> Self {
            Self(Line::new(places))
        }

        /// The client of the job that has no place.
        fn put(&mut self, address: &str) -> Option<String> {
            let job = Job(address.to_owned(), true);
            self.0.put(network(address), job).map(|lost| lost.0)
        }

        fn take(&mut self) -> Option<String> {
            self.0.take().map(|job| job.0)
        }

        fn fill(&mut self, address: &str) {
            while self.put(address).is_none() {}
        }
    }

    /// That of an address; none for a text that is no address.
    fn network(address: &str) -> Option<Network> {
        address.parse().ok().map(Network::of)
    }

    const FLOOD: &str = "203.0.113.9";
    const HOME: &str = "192.0.2.1";

    #[test]
    fn jobs_of_different_clients_are_taken_in_turn() {
        let mut line = Scene::new(8);
        for address in ["192.0.2.1", "192.0.2.2", "unknown", "192.0.2.3"] {
            assert_eq!(line.put(address), None);
        }
        let taken: Vec<_> = std::iter::from_fn(|| line.take()).collect();
        assert_eq!(taken, ["192.0.2.1", "192.0.2.2", "unknown", "192.0.2.3"]);
    }

    #[test]
    fn one_client_alone_fills_the_line() {
        let mut line = Scene::new(8);
        for _ in 0..8 {
            assert_eq!(line.put(FLOOD), None);
        }
        assert_eq!(line.put(FLOOD), Some(FLOOD.into()));
        assert_eq!(line.0.jobs.len(), 8);
    }

    #[test]
    fn a_full_line_has_room_for_another_client_and_it_is_next() {
        let mut line = Scene::new(8);
        line.fill(FLOOD);
        for _ in 0..100 {
            // The flood refills the line whenever there is room.
            assert_eq!(line.take(), Some(FLOOD.into()));
            line.fill(FLOOD);
        }
        assert_eq!(line.put(HOME), Some(FLOOD.into()));
        assert_eq!(line.take(), Some(HOME.into()));
    }

    #[test]
    fn clients_that_compete_end_with_equal_parts() {
        let mut line = Scene::new(8);
        for client in [FLOOD, HOME, "unknown", FLOOD] {
            for _ in 0..20 {
                line.put(client);
            }
        }
        let mut parts: HashMap<_, usize> = HashMap::new();
        while let Some(client) = line.take() {
            *parts.entry(client).or_default() += 1;
        }
        let mut parts: Vec<_> = parts.into_values().collect();
        parts.sort_unstable();
        assert_eq!(parts, [2, 3, 3]);
    }

    #[test]
    fn a_site_with_many_ipv6_networks_leaves_room() {
        for (step, name) in [(1_u128 << 64, "a /56"), (1 << 72, "a /48")] {
            let mut line = Scene::new(64);
            let first: std::net::Ipv6Addr = "2001:db8:1::".parse().unwrap();
            for n in 0..200 {
                let address = u128::from(first) + n * step;
                line.put(&std::net::Ipv6Addr::from(address).to_string());
            }
            assert!(line.put(HOME).is_some_and(|lost| lost != HOME), "{name}");
            let mut before = 0;
            while line.take().unwrap() != HOME {
                before += 1;
            }
            assert!(before <= 4, "{before} of {name} were served first");
        }
    }

    #[test]
    fn no_job_waits_for_ever() {
        let mut line = Scene::new(8);
        line.put(FLOOD);
        line.put(FLOOD);
        let mut taken = Vec::new();
        for n in 0..100 {
            // New clients come as fast as the line is served.
            line.put(&format!("192.0.2.{n}"));
            taken.extend(line.take());
        }
        assert_eq!(taken.iter().filter(|client| *client == FLOOD).count(), 2);
    }

    #[test]
    fn a_job_that_is_no_longer_wanted_gives_its_place() {
        let mut line = Scene::new(2);
        line.0.put(network(HOME), Job("gone".to_owned(), false));
        line.put(HOME);
        assert_eq!(line.put(HOME), None);
        assert_eq!(line.take(), Some(HOME.into()));
        assert_eq!(line.take(), Some(HOME.into()));
        assert_eq!(line.take(), None);
        assert!(line.0.by_block.is_empty());
    }
}

//! What the throttle remembers, in a table of a fixed size that notes which places have changed.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{clock::Timestamp, domain::FailedAttempts};

/// A handle of one table.
#[derive(Clone)]
pub(super) struct SharedTable(Arc<Mutex<Table>>);

pub(super) struct Table {
    /// Failures and a moment in seconds, for each place. Numbers, because the system allocates zeros without using memory.
    places: Vec<(u32, u64)>,
    changed: BTreeSet<u32>,
}

impl SharedTable {
    /// A table with `size` empty places.
    pub(super) fn new(size: u32) -> Self {
        Self(Arc::new(Mutex::new(Table {
            places: vec![(0, 0); size as usize],
            changed: BTreeSet::new(),
        })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Table> {
        // Each use leaves the table whole, so a panic under the lock breaks nothing.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    pub(super) fn at(&self, place: u32) -> FailedAttempts {
        let (failures, at) = self.places.get(place as usize).copied().unwrap_or_default();
        FailedAttempts {
            failures,
            at: Timestamp::from_secs(at),
        }
    }

    pub(super) fn put(&mut self, place: u32, attempts: FailedAttempts) {
        if self.at(place) != attempts
            && let Some(there) = self.places.get_mut(place as usize)
        {
            *there = (attempts.failures, attempts.at.as_secs());
            self.changed.insert(place);
        }
    }

    /// Restores what the store has kept of a place. It counts as no change.
    pub(super) fn restore(&mut self, place: u32, attempts: FailedAttempts) {
        self.put(place, attempts);
        self.changed.remove(&place);
    }

    /// Takes up to `at_most` places that have changed since they were last taken, as they are now.
    pub(super) fn take_changed(&mut self, at_most: usize) -> Vec<(u32, FailedAttempts)> {
        let taken: Vec<u32> = self.changed.iter().take(at_most).copied().collect();
        for place in &taken {
            self.changed.remove(place);
        }
        taken.into_iter().map(|place| (place, self.at(place))).collect()
    }

    /// Empties the places that are filled until later than `latest`.
    pub(super) fn forget_after(&mut self, latest: Timestamp) {
        let places = (0..).zip(&self.places);
        let later: Vec<u32> = places
            .filter(|(_, (_, at))| *at > latest.as_secs())
            .map(|(place, _)| place)
            .collect();
        for place in later {
            self.put(place, FailedAttempts::default());
        }
    }

    /// Marks a place as changed.
    pub(super) fn mark_changed(&mut self, place: u32) {
        self.changed.insert(place);
    }

    /// How many places there are, and how many have changed.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> (usize, usize) {
        (self.places.capacity(), self.changed.len())
    }
}

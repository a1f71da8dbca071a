//! One admitted attempt, and what its outcome changes.

use super::{counters::Counters, places::InLine};
use crate::domain::{FailedAttempts, readmit_stranger};

/// Permission for one password attempt. Counts as a failure until [`right`](Self::right) or [`unchecked`](Self::unchecked) is
/// called, so that many attempts at once are no more than many in turn.
#[must_use]
pub(crate) struct Attempt<'a> {
    pub(super) counters: &'a Counters,
    pub(super) standing: Standing,
}

pub(super) enum Standing {
    /// The client presents a device token of the user.
    Device {
        /// Where its failures are counted.
        place: u32,
    },
    /// The client is in a network from which the user has signed in.
    Known {
        /// Where its failures are counted.
        place: u32,
        /// Where they count against its address.
        at_address: AtAddress,
    },
    Stranger {
        /// The line and the place in it. `None` if no user can have the name.
        line: Option<InLine>,
        /// The network's bucket. `None` if the address is unknown.
        bucket: Option<u32>,
    },
}

/// What a failure at a known account takes from the address.
#[derive(Clone, Copy)]
pub(super) enum AtAddress {
    /// A failure of its bucket.
    Bucket(u32),
    /// A turn in the line of the accounts that are known there.
    Turn { line: u32, place: u32 },
}

impl Attempt<'_> {
    /// The password was right.
    pub(crate) fn right(self) {
        let counters = self.counters;
        match self.standing {
            Standing::Device { place } => counters.table.lock().put(place, FailedAttempts::default()),
            Standing::Known { place, at_address } => {
                counters.table.lock().put(place, FailedAttempts::default());
                counters.give_back(at_address);
            }
            Standing::Stranger { line, bucket } => {
                if let Some(line) = line {
                    counters.forgive(line);
                }
                bucket.inspect(|bucket| counters.rules().addresses.give_back(*bucket));
            }
        }
    }

    /// The server did not check the password.
    pub(crate) fn unchecked(self) {
        let counters = self.counters;
        match self.standing {
            Standing::Device { place } => counters.take_back_own(place),
            Standing::Known { place, at_address } => {
                counters.take_back_own(place);
                counters.readmit(at_address);
            }
            Standing::Stranger { line, bucket } => {
                let rules = counters.rules();
                if let Some(line) = line {
                    let now = counters.clock.now();
                    counters.in_line(line, |line, place| {
                        readmit_stranger(line, place, &rules.accounts, now);
                    });
                }
                bucket.inspect(|bucket| rules.addresses.give_back(*bucket));
            }
        }
    }
}

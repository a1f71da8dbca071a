//! One admitted attempt, and what its outcome changes.

use std::time::Duration;

use super::{counters::Counters, places::InLine};
use crate::{
    clock::Timestamp,
    domain::{FailedAttempts, Network, UserId, readmit_stranger},
    store::StoreError,
};

/// How often a sign-in from a known network is noted anew.
const NOTED_EVERY: Duration = Duration::from_hours(24);

/// Permission for one password attempt. Counts as a failure until [`right`](Self::right) or [`unchecked`](Self::unchecked) is
/// called, so that many attempts at once are no more than many in turn.
#[must_use]
pub(crate) struct Attempt<'a> {
    pub(super) counters: &'a Counters,
    pub(super) network: Option<Network>,
    pub(super) standing: Standing,
}

pub(super) enum Standing {
    /// The client is in a network from which the user has signed in.
    Known {
        /// Where its failures are counted.
        place: u32,
        /// When the user last signed in from there.
        seen: Timestamp,
    },
    Stranger {
        /// The line and the place in it. `None` if no user can have the name.
        line: Option<InLine>,
        /// The network's bucket. `None` if the address is unknown.
        bucket: Option<u32>,
    },
}

impl Attempt<'_> {
    /// The password was right, and is that of `user`: the client is no stranger there from now on.
    ///
    /// # Errors
    /// A failure of the store.
    pub(crate) async fn right(self, user: UserId) -> Result<(), StoreError> {
        let counters = self.counters;
        let now = counters.clock.now();
        let seen = match self.standing {
            Standing::Known { place, seen } => {
                counters.table.lock().put(place, FailedAttempts::default());
                Some(seen)
            }
            Standing::Stranger { line, bucket } => {
                if let Some(line) = line {
                    counters.forgive(line);
                }
                bucket.inspect(|bucket| counters.rules().addresses.give_back(*bucket));
                None
            }
        };
        match self.network {
            Some(network) if seen.is_none_or(|seen| now >= seen.plus(NOTED_EVERY)) => {
                counters.store.note_sign_in(user, network, now).await
            }
            _ => Ok(()),
        }
    }

    /// The server did not check the password.
    pub(crate) fn unchecked(self) {
        let counters = self.counters;
        match self.standing {
            Standing::Known { place, .. } => {
                let mut table = counters.table.lock();
                let mut past = table.at(place);
                past.failures = past.failures.saturating_sub(1);
                table.put(place, past);
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

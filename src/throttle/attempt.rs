//! One admitted attempt, and what its outcome changes.

use std::time::Duration;

use super::{Throttle, places::InLine};
use crate::{
    clock::Timestamp,
    domain::{FailedAttempts, Network, UserId, forgive, readmit_stranger},
    store::StoreError,
};

/// How often a sign-in from a known network is noted anew.
const NOTED_EVERY: Duration = Duration::from_hours(24);

/// Leave to look at one password. It has failed unless the contrary is said, so that many at once are no more than many in
/// turn.
#[must_use]
pub(crate) struct Attempt<'a> {
    pub(super) throttle: &'a Throttle,
    pub(super) network: Option<Network>,
    pub(super) standing: Standing,
}

pub(super) enum Standing {
    /// With the place in `known`, and when the user last signed in from there.
    Known { place: u32, seen: Timestamp },
    Stranger {
        /// The line and the place in it, unless the name can't be anybody's.
        line: Option<InLine>,
        /// The address's bucket, unless nobody knows the address.
        bucket: Option<u32>,
    },
}

impl Attempt<'_> {
    /// The password was right, and is that of `user`, who is no stranger there from now on.
    pub(crate) async fn right(self, user: UserId) -> Result<(), StoreError> {
        let throttle = self.throttle;
        let now = throttle.clock.now();
        let seen = match self.standing {
            Standing::Known { place, seen } => {
                throttle.table.lock().put(place, FailedAttempts::default());
                Some(seen)
            }
            Standing::Stranger { line, bucket } => {
                if let Some(line) = line {
                    throttle.forgive(line);
                }
                bucket.inspect(|bucket| throttle.buckets.give_back(*bucket));
                None
            }
        };
        match self.network {
            Some(network) if seen.is_none_or(|seen| now >= seen.plus(NOTED_EVERY)) => {
                throttle.store.note_sign_in(user, network, now).await
            }
            _ => Ok(()),
        }
    }

    /// Nobody looked at the password.
    pub(crate) fn unchecked(self) {
        let throttle = self.throttle;
        match self.standing {
            Standing::Known { place, .. } => {
                let mut table = throttle.table.lock();
                let mut past = table.at(place);
                past.failures = past.failures.saturating_sub(1);
                table.put(place, past);
            }
            Standing::Stranger { line, bucket } => {
                if let Some(line) = line {
                    let now = throttle.clock.now();
                    throttle.in_line(line, |line, place| {
                        readmit_stranger(line, place, &throttle.policy, now);
                    });
                }
                bucket.inspect(|bucket| throttle.buckets.give_back(*bucket));
            }
        }
    }
}

impl Throttle {
    /// Changes a line and a place in it, and notes whose failure that is.
    pub(super) fn in_line<T>(
        &self,
        at: InLine,
        change: impl FnOnce(&mut FailedAttempts, &mut FailedAttempts) -> T,
    ) -> T {
        let now = self.clock.now();
        let mut table = self.table.lock();
        let (mut line, mut place, mut own) = (table.at(at.line), table.at(at.place), table.at(at.own));
        if line.are_forgotten(now) {
            line = FailedAttempts::default();
        }
        let before = line.failures;
        let outcome = change(&mut line, &mut place);
        if line.failures > before {
            own.failed(now);
        } else if line.failures < before {
            own.failures = own.failures.saturating_sub(1);
        }
        table.put(at.line, line);
        table.put(at.place, place);
        table.put(at.own, own);
        outcome
    }

    /// Takes back an account's own failures from its line. Those of another one stay: else whoever found a name that shares
    /// the line, and made an account of it, could take back all guesses by a sign-in to that.
    fn forgive(&self, at: InLine) {
        let now = self.clock.now();
        let mut table = self.table.lock();
        let mut line = table.at(at.line);
        forgive(&mut line, table.at(at.own).failures, &self.policy, now);
        table.put(at.line, line);
        table.put(at.place, FailedAttempts::default());
        table.put(at.own, FailedAttempts::default());
    }
}

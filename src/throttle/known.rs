//! Clients in a network from which the user has signed in before. They are no strangers: no failure of a client elsewhere delays
//! them. A hundred of their own failures in a row make them strangers, and each of these counts against their address too.
//!
//! When the bucket of the address is empty, the accounts that are known there take turns, one each time the bucket would get a
//! failure back. An account has one place in that line. So a client that spends the bucket cannot keep out the users of
//! the other accounts.

use std::time::Duration;

use super::{
    attempt::{AtAddress, Standing},
    counters::Counters,
    error::{Axis, ThrottleError, too_many},
    places::Kind,
};
use crate::{
    clock::Timestamp,
    domain::{MAX_FAILURES, Network, User, admit_stranger, readmit_stranger},
};

/// How long after the last sign-in there a network or a device is known.
const KNOWN_FOR: Duration = Duration::from_hours(90 * 24);

/// Whether a client that last signed in at `seen` is known at `now`. A sign-in that a clock noted that was ahead is none: else it
/// would be known for longer.
pub(super) fn is_known(seen: Timestamp, now: Timestamp) -> bool {
    seen <= now && now < seen.plus(KNOWN_FOR)
}

impl Counters {
    /// The standing of a client in a network from which `user` has signed in. Returns `None` if it is a stranger.
    ///
    /// # Errors
    /// [`ThrottleError::TooMany`], or a failure of the store.
    pub(super) async fn admit_known(
        &self,
        user: Option<&User>,
        network: Option<Network>,
    ) -> Result<Option<Standing>, ThrottleError> {
        let (Some(user), Some(network)) = (user, network) else {
            return Ok(None);
        };
        let seen = self.store.last_sign_in(user.id, network).await?;
        if !seen.is_some_and(|seen| is_known(seen, self.clock.now())) {
            return Ok(None);
        }
        let name = user.username.as_str();
        let place = self.place(Kind::Known, name, Some(network));
        if !self.count_own(place) {
            return Ok(None);
        }
        match self.admit_at_address(name, network) {
            Ok(at_address) => Ok(Some(Standing::Known { place, at_address })),
            Err(wait) => {
                self.take_back_own(place);
                Err(too_many(Axis::Address, wait))
            }
        }
    }

    /// Counts a failure of a client that is known for itself. Returns `false` and counts none if it has failed too often.
    pub(super) fn count_own(&self, place: u32) -> bool {
        let now = self.clock.now();
        let mut table = self.table.lock();
        let mut past = table.at(place);
        let admitted = past.failures < MAX_FAILURES || past.are_forgotten(now);
        if admitted {
            past.failed(now);
            table.put(place, past);
        }
        admitted
    }

    /// Takes back a failure that [`count_own`](Self::count_own) has counted.
    pub(super) fn take_back_own(&self, place: u32) {
        let mut table = self.table.lock();
        let mut past = table.at(place);
        past.failures = past.failures.saturating_sub(1);
        table.put(place, past);
    }

    /// Counts a failure at the account `name` against the address.
    ///
    /// # Errors
    /// The time until the account's next turn.
    fn admit_at_address(&self, name: &str, network: Network) -> Result<AtAddress, Duration> {
        let rules = self.rules();
        let bucket = self.place(Kind::Bucket, "", Some(network));
        if rules.addresses.take(bucket).is_ok() {
            return Ok(AtAddress::Bucket(bucket));
        }
        let line = self.place(Kind::AddressLine, "", Some(network));
        let place = self.place(Kind::AddressPlace, name, Some(network));
        let now = self.clock.now();
        let mut table = self.table.lock();
        let (mut waiting, mut own) = (table.at(line), table.at(place));
        let admitted = admit_stranger(&mut waiting, &mut own, &rules.address_turns, now);
        table.put(line, waiting);
        table.put(place, own);
        admitted.map(|()| AtAddress::Turn { line, place })
    }

    /// Takes back what an attempt with the right password took from the address.
    pub(super) fn give_back(&self, at_address: AtAddress) {
        let rules = self.rules();
        match at_address {
            AtAddress::Bucket(bucket) => rules.addresses.give_back(bucket),
            AtAddress::Turn { line, .. } => {
                let mut table = self.table.lock();
                let mut waiting = table.at(line);
                waiting.failures = waiting.failures.saturating_sub(1);
                waiting.at = waiting.at.minus(rules.address_turns.delay);
                table.put(line, waiting);
            }
        }
    }

    /// Undoes the admission of an attempt whose password was not checked: the account's next attempt is admitted at once.
    pub(super) fn readmit(&self, at_address: AtAddress) {
        let rules = self.rules();
        match at_address {
            AtAddress::Bucket(bucket) => rules.addresses.give_back(bucket),
            AtAddress::Turn { line, place } => {
                let now = self.clock.now();
                let mut table = self.table.lock();
                let (mut waiting, mut own) = (table.at(line), table.at(place));
                readmit_stranger(&mut waiting, &mut own, &rules.address_turns, now);
                table.put(line, waiting);
                table.put(place, own);
            }
        }
    }
}

//! Who waits now, and until when; and how an operator frees one who waits.
//!
//! To free a user gives their account one fresh set of free failures: what was failed under another name at the same place of the table
//! stays counted. If that is so much that the account's strangers wait all the same, those of this user who are known to wait
//! come next, and no other turn changes. To free a network fills its own bucket; of the budget of a larger block that it is in, it
//! gives back as much as one network may spend.

use std::collections::BTreeMap;

use super::{
    Throttle,
    counters::Counters,
    lately::{Refusals, Wait},
    places::Kind,
};
use crate::{
    clock::Timestamp,
    domain::{FailedAttempts, Network, SessionId, User, Username, call_stranger, forgive, next_turn},
    store::StoreError,
};

/// One who waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Who it is, and for what they wait.
    pub wait: Wait,
    /// The name of the user.
    pub username: Option<Username>,
    /// When the next attempt is admitted.
    pub until: Timestamp,
    /// How many failures in a row the account has, if they are what the client waits for.
    pub failures: Option<u32>,
    /// How often the server has refused them lately, as far as it remembers.
    pub refused: u32,
    /// When it did so last.
    pub last_refused_at: Option<Timestamp>,
}

impl Throttle {
    /// Returns at most `at_most` of those who wait, behind `after`: those who were refused lately, and what the table says of `user`
    /// and of `network`, if they are given. Then all others are left out.
    ///
    /// # Errors
    /// A failure of the store.
    pub(crate) async fn waiting(
        &self,
        user: Option<&User>,
        network: Option<Network>,
        after: Option<&str>,
        at_most: usize,
    ) -> Result<Vec<Waiting>, StoreError> {
        let mut found = Vec::new();
        for (key, (wait, refusals)) in self.asked(user, network) {
            if after.is_some_and(|after| key.as_str() <= after) {
                continue;
            }
            let named = match (wait.user(), user) {
                (Some(_), Some(user)) => Some(user.username.clone()),
                (Some(id), None) => {
                    let Some(user) = self.0.store.user(id).await? else {
                        // The user was deleted.
                        self.0.lately.forget(wait);
                        continue;
                    };
                    Some(user.username.clone())
                }
                (None, _) => None,
            };
            let Some(until) = self.0.until(wait, named.as_ref()) else {
                self.0.lately.forget(wait);
                continue;
            };
            found.push(Waiting {
                wait,
                failures: self.0.failures(wait, named.as_ref()),
                username: named,
                until,
                refused: refusals.count,
                last_refused_at: refusals.last,
            });
            if found.len() == at_most {
                break;
            }
        }
        Ok(found)
    }

    /// What may wait of these, by its key.
    fn asked(&self, user: Option<&User>, network: Option<Network>) -> BTreeMap<String, (Wait, Refusals)> {
        let mut all = self.0.lately.all();
        all.retain(|wait, _| {
            user.is_none_or(|user| wait.user() == Some(user.id))
                && network.is_none_or(|network| wait.network() == Some(network))
        });
        let mut ask = |wait| {
            all.entry(wait).or_default();
        };
        if let Some(user) = user.map(|user| user.id) {
            ask(Wait::Account { user, network });
            if let Some(network) = network {
                ask(Wait::Turn { user, network });
            } else {
                ask(Wait::ForeignTokens { user });
            }
        } else if let Some(network) = network {
            ask(Wait::Address { network });
            ask(Wait::SignUps { network });
            ask(Wait::ForgedTokens { network });
        }
        all.into_iter()
            .map(|(wait, refusals)| (key(wait), (wait, refusals)))
            .collect()
    }

    /// Frees `user`, wherever they are known to wait, at `network`, and in these `sessions` of theirs.
    pub(crate) fn clear_user(&self, user: &User, network: Option<Network>, sessions: &[SessionId]) {
        let counters = &self.0;
        let waits = counters.lately.take_user(user.id);
        counters.clear_account(&user.username, network, &waits);
        counters.clear(Kind::ForeignTokens, &user.id.to_string(), None);
        let waiting = waits.iter().filter_map(|wait| wait.session());
        let sessions = sessions.iter().copied().chain(waiting);
        counters.budgets.clear_user(user.id, sessions);
    }

    /// Frees `network`.
    pub(crate) fn clear_network(&self, network: Network) {
        let counters = &self.0;
        counters.lately.forget_network(network);
        counters.clear(Kind::Bucket, "", Some(network));
        counters.clear(Kind::AddressLine, "", Some(network));
        counters.budgets.clear_network(network);
    }
}

/// By what those who wait are ordered, and where a page begins.
pub(crate) fn key(wait: Wait) -> String {
    let user = wait.user().map(|user| user.to_string()).unwrap_or_default();
    let network = wait.network().map(|network| network.address().to_string());
    let session = wait.session().map(|session| session.to_string());
    let rest = network.or(session).unwrap_or_default();
    // Users come first: an id begins with a digit or a letter up to f.
    let kind = if user.is_empty() { "network" } else { &user };
    format!("{kind}~{rest}~{}", wait.name())
}

impl Counters {
    /// When the next attempt is admitted. Returns `None` if that is at once.
    fn until(&self, wait: Wait, name: Option<&Username>) -> Option<Timestamp> {
        let (rules, now) = (self.rules(), self.clock.now());
        let name = name.map_or("", Username::as_str);
        let at = |kind, name: &str, network| self.table.lock().at(self.place(kind, name, network));
        match wait {
            Wait::Account { network, .. } => {
                let (line, place) = (at(Kind::Line, name, None), at(Kind::Place, name, network));
                next_turn(line, place, &rules.accounts, now)
            }
            Wait::Turn { network, .. } => {
                let network = Some(network);
                rules
                    .addresses
                    .empty_until(self.place(Kind::Bucket, "", network))?;
                let (line, place) = (
                    at(Kind::AddressLine, "", network),
                    at(Kind::AddressPlace, name, network),
                );
                next_turn(line, place, &rules.address_turns, now)
            }
            Wait::ForeignTokens { user } => {
                let place = self.place(Kind::ForeignTokens, &user.to_string(), None);
                rules.foreign_tokens.empty_until(place)
            }
            Wait::Address { network } => {
                rules
                    .addresses
                    .empty_until(self.place(Kind::Bucket, "", Some(network)))
            }
            Wait::SignUps { .. }
            | Wait::ForgedTokens { .. }
            | Wait::Changes { .. }
            | Wait::Refreshes { .. } => self.budgets.empty_until(wait),
        }
    }

    /// The failures in a row of the account.
    fn failures(&self, wait: Wait, name: Option<&Username>) -> Option<u32> {
        let (Wait::Account { .. }, Some(name)) = (wait, name) else {
            return None;
        };
        let line = self.place(Kind::Line, name.as_str(), None);
        Some(self.table.lock().at(line).failures)
    }

    /// Empties a place.
    fn clear(&self, kind: Kind, name: &str, network: Option<Network>) {
        let place = self.place(kind, name, network);
        self.table.lock().put(place, FailedAttempts::default());
    }

    /// Takes back the account's own failures, and lets those come next who wait all the same.
    fn clear_account(&self, name: &Username, network: Option<Network>, waits: &[Wait]) {
        let (now, rules, name) = (self.clock.now(), self.rules(), name.as_str());
        let (line_at, own_at) = (
            self.place(Kind::Line, name, None),
            self.place(Kind::Own, name, None),
        );
        let mut table = self.table.lock();
        let (mut line, own) = (table.at(line_at), table.at(own_at).failures);
        forgive(&mut line, own, &rules.accounts, now);
        table.put(own_at, FailedAttempts::default());
        // No more than would have been free.
        let most = usize::try_from(rules.accounts.free_failures)
            .unwrap_or(usize::MAX)
            .max(1);
        let waits = waits.iter().filter_map(|wait| wait.network());
        for network in network.into_iter().chain(waits).take(most).map(Some) {
            let known_at = self.place(Kind::Known, name, network);
            table.put(known_at, FailedAttempts::default());
            for (line_kind, kind, policy) in [
                (None, Kind::Place, &rules.accounts),
                (Some(Kind::AddressLine), Kind::AddressPlace, &rules.address_turns),
            ] {
                let place_at = self.place(kind, name, network);
                let mut place = table.at(place_at);
                if let Some(kind) = line_kind {
                    let turns_at = self.place(kind, "", network);
                    let mut turns = table.at(turns_at);
                    call_stranger(&mut turns, &mut place, policy, now);
                    table.put(turns_at, turns);
                } else {
                    call_stranger(&mut line, &mut place, policy, now);
                }
                table.put(place_at, place);
            }
        }
        table.put(line_at, line);
    }
}

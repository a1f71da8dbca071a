//! Who was refused lately: users and networks. The table has no names, so this is how the throttle can tell who waits.
//!
//! It is in memory alone, and bounded: a thousand users and as many networks, each with a few waits. Users are bounded apart from
//! networks, and a name that no user has is not remembered: a flood of made-up names or of networks pushes out no user. A person may
//! also have typed a password in the place of such a name. What was pushed out still waits, and the table tells so if it is asked.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{
    clock::Timestamp,
    domain::{Network, SessionId, UserId},
};

/// How many users are remembered, and how many networks.
const SUBJECTS: usize = 1000;
/// How many waits of each.
const WAITS_EACH: usize = 16;

/// For what a user or a network waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wait {
    /// A client from which the user has not signed in lately, after wrong passwords at the account.
    Account {
        /// The user of the account.
        user: UserId,
        /// Where the client is; `None` for any stranger that comes now.
        network: Option<Network>,
    },
    /// A client from which the user has signed in, whose address has no failure left: the accounts known there take turns.
    Turn {
        /// The user of the account.
        user: UserId,
        /// Where the client is.
        network: Network,
    },
    /// A caller that introspects foreign tokens.
    ForeignTokens {
        /// The user of the caller.
        user: UserId,
    },
    /// A session that changes too much.
    Changes {
        /// Whose session it is.
        user: UserId,
        /// The session.
        session: SessionId,
    },
    /// A session that is refreshed too often.
    Refreshes {
        /// Whose session it is.
        user: UserId,
        /// The session.
        session: SessionId,
    },
    /// A network that gave too many wrong passwords.
    Address {
        /// The network.
        network: Network,
    },
    /// A network that signed up too often.
    SignUps {
        /// The network.
        network: Network,
    },
    /// A network that presented too many forged tokens.
    ForgedTokens {
        /// The network.
        network: Network,
    },
}

impl Wait {
    /// Its name in answers. It never changes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Account { .. } => "account",
            Self::Turn { .. } => "turn",
            Self::ForeignTokens { .. } => "caller",
            Self::Changes { .. } => "changes",
            Self::Refreshes { .. } => "refreshes",
            Self::Address { .. } => "address",
            Self::SignUps { .. } => "sign_ups",
            Self::ForgedTokens { .. } => "forged_tokens",
        }
    }

    /// The user who waits; `None` if it is a network.
    #[must_use]
    pub const fn user(self) -> Option<UserId> {
        match self {
            Self::Account { user, .. }
            | Self::Turn { user, .. }
            | Self::ForeignTokens { user }
            | Self::Changes { user, .. }
            | Self::Refreshes { user, .. } => Some(user),
            Self::Address { .. } | Self::SignUps { .. } | Self::ForgedTokens { .. } => None,
        }
    }

    /// Where the client is that waits, if it is counted by that.
    #[must_use]
    pub const fn network(self) -> Option<Network> {
        match self {
            Self::Account { network, .. } => network,
            Self::Turn { network, .. }
            | Self::Address { network }
            | Self::SignUps { network }
            | Self::ForgedTokens { network } => Some(network),
            Self::ForeignTokens { .. } | Self::Changes { .. } | Self::Refreshes { .. } => None,
        }
    }

    /// The session that waits, if it is one.
    #[must_use]
    pub const fn session(self) -> Option<SessionId> {
        match self {
            Self::Changes { session, .. } | Self::Refreshes { session, .. } => Some(session),
            _ => None,
        }
    }
}

/// How often something was refused, and when last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Refusals {
    pub(super) count: u32,
    pub(super) last: Option<Timestamp>,
}

#[derive(Default)]
pub(super) struct Lately(Mutex<Register>);

#[derive(Default)]
struct Register {
    users: BTreeMap<UserId, BTreeMap<Wait, Refusals>>,
    networks: BTreeMap<Network, BTreeMap<Wait, Refusals>>,
}

impl Lately {
    /// Notes that `wait` was refused at `now`.
    pub(super) fn note(&self, wait: Wait, now: Timestamp) {
        let mut register = self.lock();
        match (wait.user(), wait.network()) {
            (Some(user), _) => note(&mut register.users, user, wait, now),
            (None, Some(network)) => note(&mut register.networks, network, wait, now),
            (None, None) => {}
        }
    }

    /// What is remembered, in the order of [`Wait`].
    pub(super) fn all(&self) -> BTreeMap<Wait, Refusals> {
        let register = self.lock();
        let users = register.users.values();
        users
            .chain(register.networks.values())
            .flatten()
            .map(|(wait, refusals)| (*wait, *refusals))
            .collect()
    }

    /// Forgets a user, and returns what they waited for.
    pub(super) fn take_user(&self, user: UserId) -> Vec<Wait> {
        let waits = self.lock().users.remove(&user).unwrap_or_default();
        waits.into_keys().collect()
    }

    /// Forgets what a network waited for.
    pub(super) fn forget_network(&self, network: Network) {
        self.lock().networks.remove(&network);
    }

    /// Forgets one wait, which is over.
    pub(super) fn forget(&self, wait: Wait) {
        fn forget<K: Ord>(subjects: &mut BTreeMap<K, BTreeMap<Wait, Refusals>>, subject: &K, wait: Wait) {
            if let Some(waits) = subjects.get_mut(subject) {
                waits.remove(&wait);
                if waits.is_empty() {
                    subjects.remove(subject);
                }
            }
        }
        let mut register = self.lock();
        match (wait.user(), wait.network()) {
            (Some(user), _) => forget(&mut register.users, &user, wait),
            (None, Some(network)) => forget(&mut register.networks, &network, wait),
            (None, None) => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, Register> {
        // Each use leaves the register whole, so a panic under the lock breaks nothing.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes a refusal. If there is no room, what was refused longest ago is forgotten.
fn note<K: Ord + Copy>(
    subjects: &mut BTreeMap<K, BTreeMap<Wait, Refusals>>,
    subject: K,
    wait: Wait,
    now: Timestamp,
) {
    if subjects.len() >= SUBJECTS && !subjects.contains_key(&subject) {
        let last = |waits: &BTreeMap<Wait, Refusals>| waits.values().map(|refusals| refusals.last).max();
        let oldest = subjects.iter().min_by_key(|(_, waits)| last(waits));
        if let Some(oldest) = oldest.map(|(oldest, _)| *oldest) {
            subjects.remove(&oldest);
        }
    }
    let waits = subjects.entry(subject).or_default();
    if waits.len() >= WAITS_EACH && !waits.contains_key(&wait) {
        let oldest = waits.iter().min_by_key(|(_, refusals)| refusals.last);
        if let Some(oldest) = oldest.map(|(oldest, _)| *oldest) {
            waits.remove(&oldest);
        }
    }
    let refusals = waits.entry(wait).or_default();
    refusals.count = refusals.count.saturating_add(1);
    refusals.last = Some(now);
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn network(n: u32) -> Network {
        Network::of(Ipv4Addr::from_bits(n).into())
    }

    #[test]
    fn a_flood_of_networks_pushes_out_no_user() {
        let lately = Lately::default();
        let user = UserId::generate(NOW);
        let wait = |n| Wait::Account {
            user,
            network: Some(network(n)),
        };
        for n in 0..3 {
            lately.note(wait(n), NOW);
        }
        for n in 0..5000 {
            lately.note(
                Wait::Address { network: network(n) },
                NOW.plus(std::time::Duration::from_secs(n.into())),
            );
        }
        let all = lately.all();
        assert_eq!(all.len(), 3 + SUBJECTS);
        assert!((0..3).all(|n| all.contains_key(&wait(n))));
        assert!(
            all.contains_key(&Wait::Address {
                network: network(4999)
            }),
            "the latest stay"
        );
        for n in 0..100 {
            lately.note(wait(n), NOW.plus(std::time::Duration::from_secs(n.into())));
        }
        assert_eq!(lately.all().len(), WAITS_EACH + SUBJECTS);
        assert_eq!(lately.take_user(user).len(), WAITS_EACH);
        assert_eq!(lately.all().len(), SUBJECTS);
    }

    #[test]
    fn each_refusal_is_counted_until_the_wait_is_forgotten() {
        let lately = Lately::default();
        let wait = Wait::SignUps { network: network(7) };
        lately.note(wait, NOW);
        lately.note(wait, NOW.plus(std::time::Duration::from_secs(5)));
        let refusals = lately.all()[&wait];
        assert_eq!(
            (refusals.count, refusals.last),
            (2, Some(NOW.plus(std::time::Duration::from_secs(5))))
        );
        lately.forget(wait);
        assert!(lately.all().is_empty());
    }
}

//! Which tokens this process has verified before, so that the mathematics is done once for each.
//!
//! # Why this is safe
//!
//! A signature does not change its mind: whether a text was signed by a key, and what it says, is the same today as a
//! second ago. So that part of the check is remembered, and nothing else. What can change is asked at each request, of the
//! remembered token as of any other: the clock (issued, expired, and the end of the key that signed it), and, outside this
//! file, the whitelist and the user's state. A token that was revoked, refreshed, or whose user was disabled or changed is
//! refused on the very next request, because nothing here could say otherwise.
//!
//! - **Only what was verified gets in.** There is one way in, [`put`](VerifiedTokens::put), and its one caller has just
//!   verified the token whole. A forgery can neither get in nor push anything out.
//! - **A hit is the same text.** The hash only says where to look; then the whole token is compared, byte for byte. A valid
//!   prefix, another spelling of the same signature, another case: none is the same text, so each is verified by itself and
//!   refused as if there were no cache. The comparison may end early, which tells a guesser something only once their guess
//!   has the right end, 24 characters of a signature that nobody but its owner has seen.
//! - **Other keys, an empty cache.** Each entry belongs to a generation of the key ring. It is taken before the keys are
//!   read, so what was verified with the old keys while they were replaced belongs to the old generation and is never found.
//! - **It is bounded.** There are so many places, eight to a hash; the ninth token takes the place of one that has run out,
//!   or of the one that got in first. That costs its owner one verification. Nobody can choose who shares a place: the hash
//!   has a key of this process's own.

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use super::Verified;
use crate::clock::Timestamp;

/// How many tokens share one hash.
const WAYS: usize = 8;
/// How much of a token's end is hashed: that is random, and what is in front of it mostly is not.
const HASHED: usize = 24;

pub(super) struct VerifiedTokens {
    /// None if there are to be no entries.
    sets: Box<[RwLock<Vec<Entry>>]>,
    hash: RandomState,
    generation: AtomicU64,
}

/// The key ring that a token was verified with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Generation(u64);

struct Entry {
    text: Box<str>,
    said: Verified,
    /// The first second at which the token is no longer good, or its key no longer.
    good_until: Timestamp,
    generation: Generation,
}

impl VerifiedTokens {
    /// Room for about `entries` tokens, or for none.
    pub(super) fn new(entries: usize) -> Self {
        let sets = entries.div_ceil(WAYS);
        Self {
            sets: (0..sets).map(|_| RwLock::default()).collect(),
            hash: RandomState::new(),
            generation: AtomicU64::new(0),
        }
    }

    /// The present generation: to be taken before the keys are read.
    pub(super) fn generation(&self) -> Generation {
        Generation(self.generation.load(Ordering::Acquire))
    }

    /// Forgets everything: to be called after the keys were replaced.
    pub(super) fn begin_anew(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// What `token` says, if it was verified before, with the present keys, and is good at `now`.
    pub(super) fn find(&self, token: &str, now: Timestamp) -> Option<Verified> {
        let set = self.set_of(token)?.read().unwrap_or_else(PoisonError::into_inner);
        let entry = set.iter().find(|entry| *entry.text == *token)?;
        let good = entry.generation == self.generation()
            && entry.said.token.issued_at <= now
            && now < entry.good_until;
        good.then_some(entry.said)
    }

    /// Remembers what a `token` says that was verified with the keys of `generation`, and is good until `good_until`.
    pub(super) fn put(
        &self,
        token: &str,
        said: Verified,
        good_until: Timestamp,
        generation: Generation,
        now: Timestamp,
    ) {
        let Some(set) = self.set_of(token) else {
            return;
        };
        let entry = Entry {
            text: token.into(),
            said,
            good_until,
            generation,
        };
        let mut set = set.write().unwrap_or_else(PoisonError::into_inner);
        set.retain(|known| known.generation == generation && now < known.good_until && *known.text != *token);
        if set.len() >= WAYS {
            set.remove(0);
        }
        set.reserve_exact(1);
        set.push(entry);
    }

    fn set_of(&self, token: &str) -> Option<&RwLock<Vec<Entry>>> {
        let bytes = token.as_bytes();
        let end = &bytes[bytes.len().saturating_sub(HASHED)..];
        let sets = u64::try_from(self.sets.len()).ok()?;
        let at = self.hash.hash_one(end).checked_rem(sets)?;
        self.sets.get(usize::try_from(at).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{SessionId, TokenId, TokenRecord, UserId};

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
    const LATER: Timestamp = Timestamp::from_secs(1_800_000_300);

    fn said() -> Verified {
        Verified {
            user: UserId::generate(NOW),
            session: SessionId::generate(NOW),
            token: TokenRecord {
                id: TokenId::generate(),
                issued_at: NOW,
                expires_at: LATER,
            },
        }
    }

    fn put(cache: &VerifiedTokens, token: &str) -> Verified {
        let said = said();
        cache.put(token, said, LATER, cache.generation(), NOW);
        said
    }

    #[test]
    fn only_the_very_text_is_found() {
        let cache = VerifiedTokens::new(100);
        let token = "header.claims.A-signature-that-is-longer-than-what-is-hashed";
        let said = put(&cache, token);
        assert_eq!(cache.find(token, NOW), Some(said));
        for other in [
            "Header.claims.A-signature-that-is-longer-than-what-is-hashed",
            "header.claimz.A-signature-that-is-longer-than-what-is-hashed",
            "claims.A-signature-that-is-longer-than-what-is-hashed",
            "header.claims.A-signature-that-is-longer-than-what-is-hashed=",
            "header.claims.A-signature-that-is-longer-than-what-is-hashe",
            "",
        ] {
            assert_eq!(cache.find(other, NOW), None, "{other}");
        }
    }

    #[test]
    fn a_token_is_found_from_its_first_second_to_its_last() {
        let cache = VerifiedTokens::new(100);
        put(&cache, "token");
        let second = std::time::Duration::from_secs(1);
        assert_eq!(cache.find("token", NOW.minus(second)), None);
        assert!(cache.find("token", LATER.minus(second)).is_some());
        assert_eq!(cache.find("token", LATER), None);
    }

    #[test]
    fn what_was_verified_with_keys_that_were_replaced_meanwhile_is_never_found() {
        let cache = VerifiedTokens::new(100);
        put(&cache, "before");
        let generation = cache.generation();
        cache.begin_anew();
        cache.put("meanwhile", said(), LATER, generation, NOW);
        assert_eq!(cache.find("before", NOW), None);
        assert_eq!(cache.find("meanwhile", NOW), None);
        put(&cache, "after");
        assert!(cache.find("after", NOW).is_some());
    }

    #[test]
    fn there_are_never_more_than_there_is_room_for_and_the_newest_are_found() {
        let cache = VerifiedTokens::new(64);
        for n in 0..1000 {
            let token = format!("token-{n}");
            put(&cache, &token);
            assert!(cache.find(&token, NOW).is_some());
        }
        let kept = cache.sets.iter().map(|set| set.read().unwrap().len());
        assert!(kept.sum::<usize>() <= 64);
        let none = VerifiedTokens::new(0);
        put(&none, "token");
        assert_eq!(none.find("token", NOW), None);
    }
}

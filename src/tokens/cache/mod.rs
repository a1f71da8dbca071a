//! Which tokens this process has verified before, so that the mathematics is done once for each.
//!
//! # Why this is safe
//!
//! A signature does not change its mind: whether a text was signed by a key, and what it says, is the same today as a
//! second ago. So that part of the check is remembered, and where to ask for the rest. What can change is asked at each request,
//! of the remembered token as of any other: the clock (issued, expired, and the end of the key that signed it), and the session
//! itself, which the store keeps as it is now: the whitelist and the user's state. A token that was revoked, whose grace is over,
//! or whose user was disabled is refused on the very next request, because nothing here could say otherwise.
//!
//! - **Only what was accepted gets in.** There is one way in, [`put`](VerifiedTokens::put), and its one caller can give it only
//!   what [`Tokens::verify`](crate::tokens::Tokens::verify) found, and does so when the whitelist has accepted it. A forgery can neither
//!   get in nor push anything out.
//! - **Who is asked knows whether they may answer.** A session that has ended, or whose user has changed, says so to whoever
//!   still has it, for ever ([`Outdated`](crate::store::Outdated)); then the store is asked as if nothing had been kept of it.
//! - **A hit is the same text.** The hash only says where to look, and which texts not to look at; then the whole token is
//!   compared, byte for byte. A valid prefix, another spelling of the same signature, another case: none is the same text, so
//!   each is verified by itself and refused as if there were no cache. The comparison may end early, which tells a guesser
//!   something only once their guess has the right end, 24 characters of a signature that nobody but its owner has seen, or
//!   one that happens to have the same hash; and then no more than how much of header and claims is right.
//! - **Other keys, an empty cache.** Each entry belongs to a generation of the key ring. It is taken before the keys are
//!   read, so what was verified with the old keys while they were replaced belongs to the old generation and is never found.
//! - **It is bounded.** There are so many places, sixteen to a hash; the seventeenth token takes the place of one of them, mostly
//!   of the one that got in first and will be the first to run out. That costs its owner one verification. Nobody
//!   can choose who shares a place: the hash has a key of this process's own. Chance fills some hashes before others: with
//!   three tokens for four places two in a hundred find no place that lasts, with one for two hardly any.
//!
//! # Why it is laid out like this
//!
//! With many users nearly every request is for a token that is in none of the processor's own caches, and each place of memory
//! that has to be waited for takes as long as hundreds of instructions. So a search reads the tags of sixteen tokens, which are
//! beside their lock, and then the pointers to the one token that it may be and to its session. Each of these is one piece of
//! memory: the token's text with what it says, and the session with its user. The session is sent for before the text is
//! compared, and then there is nothing more to look for. A place takes 28 bytes, from when a token is put into one of the
//! thousand that are beside it, and a token some 110 more than its text, and some 400 more while it is the only one that still
//! has its session, which may have ended. What is of no use any more is given back once a minute
//! ([`tidy`](VerifiedTokens::tidy)).

mod set;

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher,
    sync::{
        Arc, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use self::set::{Entry, Set, WAYS};
pub(super) use self::set::{Generation, Known};
use crate::{clock::Timestamp, store::LiveSession};

/// How many sets a block has.
const BLOCK: usize = 64;
/// How much of a token's end is hashed: that is random, and what is in front of it mostly is not.
const HASHED: usize = 24;

pub(super) struct VerifiedTokens {
    /// In blocks, each of which is there once a token was put into one of its sets. None if there are to be no entries.
    blocks: Box<[OnceLock<SetBlock>]>,
    /// How many sets there are when all blocks are there.
    sets: usize,
    hash: RandomState,
    generation: AtomicU64,
}

/// Sets that come into being together: a server that few have signed in to keeps no room for many.
type SetBlock = Box<[Set]>;

/// Where a token is if it is anywhere.
struct CacheSlot {
    block: usize,
    /// Which of the block.
    set: usize,
    /// Tells it from most others there.
    tag: u16,
}

impl VerifiedTokens {
    /// Room for about `entries` tokens, or for none.
    pub(super) fn new(entries: usize) -> Self {
        let sets = entries.div_ceil(WAYS);
        Self {
            blocks: (0..sets.div_ceil(BLOCK)).map(|_| OnceLock::new()).collect(),
            sets,
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

    /// What `then` makes of what `token` says and of the session it is of, if it was verified before, with the present keys,
    /// and is good at `now`.
    pub(super) fn find<T>(
        &self,
        token: &[u8],
        now: Timestamp,
        then: impl FnOnce(&Known, Option<&Arc<dyn LiveSession>>) -> T,
    ) -> Option<T> {
        let slot = self.slot(token)?;
        let set = &self.blocks[slot.block].get()?[slot.set];
        let set = set.0.read().unwrap_or_else(PoisonError::into_inner);
        let place = set.find(slot.tag, token)?;
        let known = &set.entries[place].as_ref()?.header.header;
        let good = known.generation == self.generation()
            && known.said.token.issued_at <= now
            && now < known.good_until;
        good.then(|| then(known, set.sessions[place].as_ref()))
    }

    /// Remembers what a `token` was found to say, and its session.
    pub(super) fn put(&self, token: &[u8], known: Known, session: Option<Arc<dyn LiveSession>>) {
        let Some(slot) = self.slot(token) else {
            return;
        };
        let entry = Entry::from_header_and_slice(known, token);
        let block = self.blocks[slot.block].get_or_init(|| {
            // The last block has what is left.
            let sets = BLOCK.min(self.sets - slot.block * BLOCK);
            (0..sets).map(|_| Set::default()).collect()
        });
        let mut set = block[slot.set].0.write().unwrap_or_else(PoisonError::into_inner);
        let replaced = set.put(slot.tag, entry, session);
        // Nobody has to wait until its memory is given back.
        drop(set);
        drop(replaced);
    }

    /// Lets go of what nobody will find any more at `now`, and of sessions that are outdated: what is known of somebody who is
    /// gone is not kept longer than it takes until this is called. Others get their turn meanwhile.
    pub(super) async fn tidy(&self, now: Timestamp) {
        for block in self.blocks.iter().filter_map(OnceLock::get) {
            let generation = self.generation();
            for set in block {
                let mut set = set.0.write().unwrap_or_else(PoisonError::into_inner);
                set.tidy(|known| known.generation != generation || known.good_until <= now);
            }
            tokio::task::yield_now().await;
        }
    }

    fn slot(&self, token: &[u8]) -> Option<CacheSlot> {
        let end = &token[token.len().saturating_sub(HASHED)..];
        let hash = self.hash.hash_one(end);
        let sets = u64::try_from(self.sets).ok()?;
        let set = usize::try_from(hash.checked_rem(sets)?).ok()?;
        Some(CacheSlot {
            block: set / BLOCK,
            set: set % BLOCK,
            tag: u16::try_from(hash >> 48).ok()?,
        })
    }
}

#[cfg(test)]
mod tests;

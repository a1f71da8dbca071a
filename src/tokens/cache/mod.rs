//! Which tokens this process has verified before, so that it verifies each signature once.
//!
//! # Why this is safe
//!
//! Whether a key signed a text, and what the text says, never changes. So the cache remembers that part of the check, and which
//! session to ask for the rest. What can change is checked at each request, of a remembered token as of any other: the clock
//! (issued, expired, and the end of the key that signed it), and the session in the store, with the whitelist and the user's
//! state. A token that was revoked, whose grace is over, or whose user was disabled is refused on the very next request.
//!
//! - **Only accepted tokens get in.** [`put`](VerifiedTokens::put) is the one way in. Its one caller passes what
//!   [`Tokens::verify`](crate::tokens::Tokens::verify) found, after the whitelist has accepted it. A forgery can neither get in
//!   nor evict another token.
//! - **A session knows whether it may answer.** One that has ended, or whose user has changed, says
//!   [`Outdated`](crate::store::Outdated) from then on; then the store is asked as if the cache had no session.
//! - **A hit is the same text.** The hash only says where to look, and which texts to skip; then the whole token is compared,
//!   byte for byte. A valid prefix, another spelling of the same signature and another case are other texts, so each is
//!   verified by itself and refused. The comparison may end early. That tells a guesser something only if the guess has the
//!   right end, 24 characters of a signature that only its owner has seen, or one with the same hash; and then no more than
//!   how much of header and claims is right.
//! - **Other keys empty the cache.** Each entry belongs to a generation of the key ring. The generation is read before the keys
//!   are, so what was verified with keys that were replaced meanwhile belongs to the old generation and is never found.
//! - **The cache is bounded.** Sixteen tokens share one hash; the seventeenth evicts one of them, mostly the one that got in
//!   first and expires first. That costs its owner one verification. No client can choose which tokens share a hash: the hash
//!   has a key of this process's own. With three tokens for four places, two in a hundred are evicted early; with one for two,
//!   hardly any.
//!
//! # Why it is laid out like this
//!
//! With many users nearly every request brings a token that is in none of the processor's own caches, and each load from memory
//! takes as long as hundreds of instructions. So a search reads the tags of sixteen tokens, beside their lock, and then two
//! pointers: to the one token that it may be, and to its session. Each of these is one allocation: the token's text with what it
//! says, and the session with its user. The session is prefetched before the text is compared. A place takes 28 bytes, from when
//! a token is put into one of the thousand beside it; a token takes some 110 more than its text, and some 400 more while it is
//! the only holder of its session, which may have ended. [`tidy`](VerifiedTokens::tidy) releases what is of no use once a minute.

mod set;

use std::sync::{
    Arc, OnceLock, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use siphasher::sip::SipHasher13;

use self::set::{Entry, Set, WAYS};
pub(super) use self::set::{Generation, Known};
use crate::{clock::Timestamp, domain::random, store::LiveSession};

/// How many sets a block has.
const BLOCK: usize = 64;
/// How much of a token's end is hashed: that is random, and what is in front of it mostly is not.
const HASHED: usize = 24;

pub(super) struct VerifiedTokens {
    /// Each block is allocated when a token is put into one of its sets. Empty if the cache is disabled.
    blocks: Box<[OnceLock<SetBlock>]>,
    /// How many sets there are when all blocks are there.
    sets: usize,
    hash: SipHasher13,
    generation: AtomicU64,
}

/// Sets that are allocated together, so that a server with few tokens reserves no memory for many.
type SetBlock = Box<[Set]>;

/// Where a token is, if the cache has it.
struct CacheSlot {
    block: usize,
    /// Which of the block.
    set: usize,
    /// Differs from those of most others there.
    tag: u16,
}

impl VerifiedTokens {
    /// A cache for about `entries` tokens; with 0 it is disabled.
    pub(super) fn new(entries: usize) -> Self {
        let sets = entries.div_ceil(WAYS);
        Self {
            blocks: (0..sets.div_ceil(BLOCK)).map(|_| OnceLock::new()).collect(),
            sets,
            hash: SipHasher13::new_with_key(&random()),
            generation: AtomicU64::new(0),
        }
    }

    /// The present generation. A caller reads it before the keys.
    pub(super) fn generation(&self) -> Generation {
        Generation(self.generation.load(Ordering::Acquire))
    }

    /// Invalidates every entry. A caller calls it after the keys were replaced.
    pub(super) fn begin_anew(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// What `then` makes of what `token` says and of the session it is of, if it was verified before, with the present keys,
    /// and is valid at `now`.
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
            // The last block may have fewer.
            let sets = BLOCK.min(self.sets - slot.block * BLOCK);
            (0..sets).map(|_| Set::default()).collect()
        });
        let mut set = block[slot.set].0.write().unwrap_or_else(PoisonError::into_inner);
        let replaced = set.put(slot.tag, entry, session);
        // Outside the lock, so that no request waits for the release of its memory.
        drop(set);
        drop(replaced);
    }

    /// Releases the entries that no request will find at `now`, and outdated sessions: the data of a deleted user stays no longer
    /// than until this is called. It yields to other tasks after each block.
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
        let hash = self.hash.hash(end);
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

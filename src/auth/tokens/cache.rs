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
//!   what [`Tokens::verify`](super::Tokens::verify) found, and does so when the whitelist has accepted it. A forgery can neither
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

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher,
    mem,
    sync::{
        Arc, OnceLock, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use triomphe::ThinArc;

use super::Verified;
use crate::{clock::Timestamp, store::LiveSession};

/// How many tokens share one hash.
const WAYS: usize = 16;
/// How many sets a group has.
const GROUP: usize = 64;
/// How much of a token's end is hashed: that is random, and what is in front of it mostly is not.
const HASHED: usize = 24;

pub(super) struct VerifiedTokens {
    /// In groups, each of which is there once a token was put into one of its sets. None if there are to be no entries.
    groups: Box<[OnceLock<Group>]>,
    /// How many sets there are when all groups are there.
    sets: usize,
    hash: RandomState,
    generation: AtomicU64,
}

/// Sets that come into being together: a server that few have signed in to keeps no room for many.
type Group = Box<[Set]>;

/// Where a token is if it is anywhere.
struct Spot {
    group: usize,
    /// Which of the group.
    set: usize,
    /// Tells it from most others there.
    tag: u16,
}

/// The key ring that a token was verified with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Generation(u64);

/// What a token was found to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) said: Verified,
    /// The first second at which the token is no longer good, or its key no longer.
    pub(super) good_until: Timestamp,
    pub(super) generation: Generation,
}

/// The tokens that share one hash. It begins where a line of the processor's caches does.
#[derive(Default)]
#[repr(align(64))]
struct Set(RwLock<Places>);

/// In this order the tags are in one line with the lock that is in front of them.
#[derive(Default)]
#[repr(C)]
struct Places {
    /// Another part of each token's hash.
    tags: [u16; WAYS],
    entries: [Option<Entry>; WAYS],
    /// Whom to ask whether each is accepted, if the store has that in memory.
    sessions: [Option<Arc<dyn LiveSession>>; WAYS],
    /// Whose place is taken next.
    next: usize,
}

/// A token's text, and in front of it in the same piece of memory what there is to know of it. There is only one owner.
type Entry = ThinArc<Known, u8>;

impl VerifiedTokens {
    /// Room for about `entries` tokens, or for none.
    pub(super) fn new(entries: usize) -> Self {
        let sets = entries.div_ceil(WAYS);
        Self {
            groups: (0..sets.div_ceil(GROUP)).map(|_| OnceLock::new()).collect(),
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
        let spot = self.spot(token)?;
        let set = &self.groups[spot.group].get()?[spot.set];
        let set = set.0.read().unwrap_or_else(PoisonError::into_inner);
        let place = set.find(spot.tag, token)?;
        let known = &set.entries[place].as_ref()?.header.header;
        let good = known.generation == self.generation()
            && known.said.token.issued_at <= now
            && now < known.good_until;
        good.then(|| then(known, set.sessions[place].as_ref()))
    }

    /// Remembers what a `token` was found to say, and its session.
    pub(super) fn put(&self, token: &[u8], known: Known, session: Option<Arc<dyn LiveSession>>) {
        let Some(spot) = self.spot(token) else {
            return;
        };
        let entry = Entry::from_header_and_slice(known, token);
        let group = self.groups[spot.group].get_or_init(|| {
            // The last group has what is left.
            let sets = GROUP.min(self.sets - spot.group * GROUP);
            (0..sets).map(|_| Set::default()).collect()
        });
        let mut set = group[spot.set].0.write().unwrap_or_else(PoisonError::into_inner);
        let replaced = set.put(spot.tag, entry, session);
        // Nobody has to wait until its memory is given back.
        drop(set);
        drop(replaced);
    }

    /// Lets go of what nobody will find any more at `now`, and of sessions that are outdated: what is known of somebody who is
    /// gone is not kept longer than it takes until this is called. Others get their turn meanwhile.
    pub(super) async fn tidy(&self, now: Timestamp) {
        for group in self.groups.iter().filter_map(OnceLock::get) {
            let generation = self.generation();
            for set in group {
                let mut set = set.0.write().unwrap_or_else(PoisonError::into_inner);
                set.tidy(|known| known.generation != generation || known.good_until <= now);
            }
            tokio::task::yield_now().await;
        }
    }

    fn spot(&self, token: &[u8]) -> Option<Spot> {
        let end = &token[token.len().saturating_sub(HASHED)..];
        let hash = self.hash.hash_one(end);
        let sets = u64::try_from(self.sets).ok()?;
        let set = usize::try_from(hash.checked_rem(sets)?).ok()?;
        Some(Spot {
            group: set / GROUP,
            set: set % GROUP,
            tag: u16::try_from(hash >> 48).ok()?,
        })
    }
}

impl Places {
    /// Where `token` is.
    fn find(&self, tag: u16, token: &[u8]) -> Option<usize> {
        (0..WAYS).find(|&at| {
            self.tags[at] == tag
                && self.entries[at].as_ref().is_some_and(|entry| {
                    // It is most likely the one: what comes next is on its way while the text is compared.
                    if let Some(session) = &self.sessions[at] {
                        session.approach();
                    }
                    entry.slice == *token
                })
        })
    }

    /// Puts a token where it is already, or in a place that is free, or in the next one, and returns what was there.
    fn put(
        &mut self,
        tag: u16,
        entry: Entry,
        session: Option<Arc<dyn LiveSession>>,
    ) -> (Option<Entry>, Option<Arc<dyn LiveSession>>) {
        let there = self.find(tag, &entry.slice);
        let there = there.or_else(|| self.entries.iter().position(Option::is_none));
        let at = there.unwrap_or_else(|| {
            let next = self.next;
            self.next = (next + 1) % WAYS;
            next
        });
        self.tags[at] = tag;
        (
            self.entries[at].replace(entry),
            mem::replace(&mut self.sessions[at], session),
        )
    }

    /// Lets go of tokens of which `is_useless` says so, and of sessions that are outdated.
    fn tidy(&mut self, is_useless: impl Fn(&Known) -> bool) {
        for (entry, session) in self.entries.iter_mut().zip(&mut self.sessions) {
            if entry
                .as_ref()
                .is_some_and(|entry| is_useless(&entry.header.header))
            {
                (*entry, *session) = (None, None);
            } else if session.as_ref().is_some_and(|session| session.is_outdated()) {
                *session = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        domain::{SessionId, TokenId, TokenRecord, UserId},
        store::{Accepted, Outdated},
    };

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

    fn known(generation: Generation) -> Known {
        Known {
            said: said(),
            good_until: LATER,
            generation,
        }
    }

    fn put(cache: &VerifiedTokens, token: &str) -> Verified {
        let known = known(cache.generation());
        cache.put(token.as_bytes(), known, None);
        known.said
    }

    fn find(cache: &VerifiedTokens, token: &str, now: Timestamp) -> Option<Verified> {
        cache.find(token.as_bytes(), now, |known, _| known.said)
    }

    #[test]
    fn only_the_very_text_is_found() {
        let cache = VerifiedTokens::new(100);
        let token = "header.claims.A-signature-that-is-longer-than-what-is-hashed";
        let said = put(&cache, token);
        assert_eq!(find(&cache, token, NOW), Some(said));
        for other in [
            "Header.claims.A-signature-that-is-longer-than-what-is-hashed",
            "header.claimz.A-signature-that-is-longer-than-what-is-hashed",
            "claims.A-signature-that-is-longer-than-what-is-hashed",
            "header.claims.A-signature-that-is-longer-than-what-is-hashed=",
            "header.claims.A-signature-that-is-longer-than-what-is-hashe",
            "",
        ] {
            assert_eq!(find(&cache, other, NOW), None, "{other}");
        }
    }

    #[test]
    fn a_token_is_found_from_its_first_second_to_its_last() {
        let cache = VerifiedTokens::new(100);
        put(&cache, "token");
        let second = Duration::from_secs(1);
        assert_eq!(find(&cache, "token", NOW.minus(second)), None);
        assert!(find(&cache, "token", LATER.minus(second)).is_some());
        assert_eq!(find(&cache, "token", LATER), None);
    }

    #[test]
    fn what_was_verified_with_keys_that_were_replaced_meanwhile_is_never_found() {
        let cache = VerifiedTokens::new(100);
        put(&cache, "before");
        let generation = cache.generation();
        cache.begin_anew();
        cache.put(b"meanwhile", known(generation), None);
        assert_eq!(find(&cache, "before", NOW), None);
        assert_eq!(find(&cache, "meanwhile", NOW), None);
        put(&cache, "after");
        assert!(find(&cache, "after", NOW).is_some());
    }

    #[test]
    fn there_are_never_more_than_there_is_room_for_and_the_newest_are_found() {
        for room in [1, 64, (GROUP + 1) * WAYS] {
            let cache = VerifiedTokens::new(room);
            assert!(cache.groups.iter().all(|group| group.get().is_none()));
            for n in 0..3000 {
                let token = format!("token-{n}");
                put(&cache, &token);
                assert!(find(&cache, &token, NOW).is_some());
            }
            let sets = cache.groups.iter().filter_map(OnceLock::get).flatten();
            let kept = sets.map(|set| set.0.read().unwrap().entries.iter().flatten().count());
            assert!(kept.sum::<usize>() <= room.next_multiple_of(WAYS));
        }
        let none = VerifiedTokens::new(0);
        put(&none, "token");
        assert_eq!(find(&none, "token", NOW), None);
    }

    fn entry(token: &str, known: Known) -> Entry {
        Entry::from_header_and_slice(known, token.as_bytes())
    }

    #[test]
    fn tokens_whose_hashes_are_the_same_are_not_mistaken_for_one_another() {
        let mut set = Places::default();
        let mut knowns = Vec::new();
        for (generation, token) in (0..).zip(["one", "two", "on", "onee", ""]) {
            let known = known(Generation(generation));
            assert!(set.put(7, entry(token, known), None).0.is_none());
            knowns.push((token, known));
        }
        for (at, (token, known)) in knowns.iter().enumerate() {
            assert_eq!(set.find(7, token.as_bytes()), Some(at));
            let entry = set.entries[at].as_ref().unwrap();
            assert_eq!(entry.slice, *token.as_bytes());
            assert_eq!(entry.header.header, *known);
        }
        assert_eq!(set.find(7, b"three"), None);
        assert_eq!(set.find(0, b""), None, "an empty place holds no token");
    }

    #[test]
    fn a_token_that_is_put_again_keeps_its_place_and_a_full_set_forgets_who_got_in_first() {
        let mut set = Places::default();
        let mut put = |number: usize| {
            let token = format!("token-{number}");
            let (replaced, _) = set.put(7, entry(&token, known(Generation(0))), None);
            replaced.map(|entry| String::from_utf8(entry.slice.to_vec()).unwrap())
        };
        for number in 0..WAYS {
            assert_eq!(put(number), None);
        }
        assert_eq!(put(3).as_deref(), Some("token-3"));
        assert_eq!(put(WAYS).as_deref(), Some("token-0"));
        assert_eq!(put(WAYS + 1).as_deref(), Some("token-1"));
        assert_eq!(put(WAYS).as_deref(), Some(format!("token-{WAYS}").as_str()));
    }

    /// A session that is asked nothing but whether it is outdated.
    struct Kept(bool);

    impl LiveSession for Kept {
        fn accepted(self: Arc<Self>, _: TokenId, _: Timestamp) -> Result<Option<Accepted>, Outdated> {
            Err(Outdated)
        }

        fn is_outdated(&self) -> bool {
            self.0
        }
    }

    #[tokio::test]
    async fn nothing_is_kept_that_has_run_out_or_whose_keys_were_replaced_nor_a_session_that_is_outdated() {
        let cache = VerifiedTokens::new(100_000);
        let (present, outdated) = (Arc::new(Kept(false)), Arc::new(Kept(true)));
        let forever = |cache: &VerifiedTokens| Known {
            good_until: LATER.plus(Duration::from_hours(1)),
            ..known(cache.generation())
        };
        let asks = |token: &str| cache.find(token.as_bytes(), NOW, |_, session| session.is_some());
        cache.put(
            b"short",
            known(cache.generation()),
            Some(Arc::clone(&present) as _),
        );
        cache.put(b"long", forever(&cache), Some(Arc::clone(&present) as _));
        cache.put(b"passed on", forever(&cache), Some(Arc::clone(&outdated) as _));
        cache.tidy(NOW).await;
        assert_eq!(
            ["short", "long", "passed on"].map(asks),
            [Some(true), Some(true), Some(false)]
        );
        assert_eq!(
            (Arc::strong_count(&present), Arc::strong_count(&outdated)),
            (3, 1)
        );
        cache.tidy(LATER).await;
        assert_eq!(["short", "long"].map(asks), [None, Some(true)]);
        assert_eq!(Arc::strong_count(&present), 2);
        cache.begin_anew();
        cache.tidy(NOW).await;
        assert_eq!(Arc::strong_count(&present), 1);
    }

    #[test]
    fn a_place_that_is_free_is_taken_before_anybody_is_forgotten() {
        let mut set = Places::default();
        for number in 0..WAYS {
            let _ = set.put(7, entry(&format!("token-{number}"), known(Generation(0))), None);
        }
        set.entries[5] = None;
        assert!(set.put(7, entry("new", known(Generation(0))), None).0.is_none());
        assert_eq!(set.find(7, b"new"), Some(5));
    }

    #[test]
    fn a_place_takes_no_more_memory_than_it_has_to() {
        assert!(size_of::<Set>() <= 28 * WAYS);
        assert_eq!(size_of::<Option<Entry>>(), size_of::<usize>());
    }
}

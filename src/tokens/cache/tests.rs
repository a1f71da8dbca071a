//! The cache by itself.

use std::time::Duration;

use super::{set::Places, *};
use crate::{
    domain::{SessionId, TokenId, TokenRecord, UserId},
    store::{Accepted, Outdated},
    tokens::claims::VerifiedClaims,
};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const LATER: Timestamp = Timestamp::from_secs(1_800_000_300);

fn said() -> VerifiedClaims {
    VerifiedClaims {
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

fn put(cache: &VerifiedTokens, token: &str) -> VerifiedClaims {
    let known = known(cache.generation());
    cache.put(token.as_bytes(), known, None);
    known.said
}

fn find(cache: &VerifiedTokens, token: &str, now: Timestamp) -> Option<VerifiedClaims> {
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
fn a_token_verified_with_replaced_keys_is_never_found() {
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
fn the_cache_is_bounded_and_finds_the_newest_tokens() {
    for room in [1, 64, (BLOCK + 1) * WAYS] {
        let cache = VerifiedTokens::new(room);
        assert!(cache.blocks.iter().all(|block| block.get().is_none()));
        for n in 0..3000 {
            let token = format!("token-{n}");
            put(&cache, &token);
            assert!(find(&cache, &token, NOW).is_some());
        }
        let sets = cache.blocks.iter().filter_map(OnceLock::get).flatten();
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
fn tokens_with_the_same_hash_are_told_apart() {
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
fn a_full_set_evicts_the_token_that_got_in_first() {
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
async fn tidying_releases_what_can_no_longer_be_found() {
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
fn a_free_place_is_taken_before_a_token_is_evicted() {
    let mut set = Places::default();
    for number in 0..WAYS {
        let _ = set.put(7, entry(&format!("token-{number}"), known(Generation(0))), None);
    }
    set.entries[5] = None;
    assert!(set.put(7, entry("new", known(Generation(0))), None).0.is_none());
    assert_eq!(set.find(7, b"new"), Some(5));
}

#[test]
fn a_place_takes_28_bytes() {
    assert!(size_of::<Set>() <= 28 * WAYS);
    assert_eq!(size_of::<Option<Entry>>(), size_of::<usize>());
}

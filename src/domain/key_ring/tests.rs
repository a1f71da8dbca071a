//! The rules of key rotation, with plain numbers for times.

use super::*;

const LIFETIME: Duration = Duration::from_mins(5);

fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(secs)
}

fn add(ring: &mut KeyRing<()>, id: &str, signs_from: u64, now: u64) {
    let key = (id.to_owned(), Algorithm::EdDsa, ());
    ring.add(key, at(signs_from), LIFETIME, at(now));
}

/// A key `a` that signs from 0, and its successor `b`, added at 1000 to sign from 1900.
fn rotated() -> KeyRing<()> {
    let mut ring = KeyRing::default();
    add(&mut ring, "a", 0, 0);
    add(&mut ring, "b", 1900, 1000);
    ring
}

fn published(ring: &KeyRing<()>, now: u64) -> Vec<&str> {
    ring.published(at(now)).map(|key| key.id.as_str()).collect()
}

#[test]
fn an_old_key_verifies_until_its_last_token_expires() {
    let ring = rotated();
    let signing = |now| ring.signing(at(now)).map(|key| key.id.as_str());
    let verifies = |id, now| ring.verifying(id, at(now)).is_some();
    for (now, signer, old_verifies) in [
        (1000, "a", true),
        (1899, "a", true),
        (1900, "b", true),
        (2199, "b", true),
        (2200, "b", false),
    ] {
        assert_eq!(signing(now), Some(signer), "{now}");
        assert_eq!(verifies("a", now), old_verifies, "{now}");
        assert!(verifies("b", now), "{now}");
        let known: &[&str] = if old_verifies { &["a", "b"] } else { &["b"] };
        assert_eq!(published(&ring, now), known, "{now}");
    }
    assert!(!verifies("c", 1000));
}

#[test]
fn each_key_has_the_state_of_its_time() {
    let ring = rotated();
    let states = |now| ring.keys().iter().map(move |key| key.state(at(now)));
    assert!(states(1899).eq([KeyState::Signing, KeyState::Next]));
    assert!(states(1900).eq([KeyState::Verifying, KeyState::Signing]));
    assert_eq!(ring.next(at(1899)).unwrap().id, "b");
    assert_eq!(ring.next(at(1900)), None);
}

#[test]
fn a_key_is_dropped_when_its_last_token_has_expired() {
    let mut ring = rotated();
    assert_eq!(ring.drop_over(at(2199)), 0);
    assert_eq!(ring.drop_over(at(2200)), 1);
    assert_eq!(ring.drop_over(at(u64::MAX)), 0);
    assert_eq!(ring.keys().len(), 1);
}

#[test]
fn a_shared_secret_is_never_published() {
    let mut ring = rotated();
    ring.add(("h".into(), Algorithm::Hs256, ()), at(2000), LIFETIME, at(2000));
    assert_eq!(published(&ring, 2000), ["a", "b"]);
}

#[test]
fn a_shorter_lifetime_leaves_older_tokens_their_own() {
    let mut ring = rotated();
    // A restart at 1500, while `a` signs and `b` waits: tokens now last a minute, and those from before another 300 s.
    assert!(ring.tokens_last(Duration::from_mins(1), at(1500)));
    assert!(!ring.tokens_last(Duration::from_mins(1), at(1600)));
    let old = &ring.keys()[0];
    assert_eq!(old.verifies_until(), Some(at(1960)));

    let mut ring = rotated();
    assert!(ring.tokens_last(Duration::from_mins(1), at(1899)));
    assert_eq!(ring.keys()[0].verifies_until(), Some(at(2199)));

    // The reverse: what `a` signs until 1900 may last an hour.
    assert!(ring.tokens_last(Duration::from_hours(1), at(1899)));
    assert_eq!(ring.keys()[0].verifies_until(), Some(at(5500)));
    // A key that no longer signs has signed nothing that lasts longer.
    assert!(ring.tokens_last(Duration::from_hours(2), at(1900)));
    assert_eq!(ring.keys()[0].verifies_until(), Some(at(5500)));
}

#[test]
fn a_token_that_a_successor_signs_again_lasts_to_its_end() {
    let mut ring = rotated();
    ring.tokens_last(Duration::from_hours(1), at(1000));
    add(&mut ring, "c", 2000, 2000);
    // `b` may have signed a token of an hour at 1999.
    assert_eq!(ring.keys()[1].verifies_until(), Some(at(5600)));
    ring.tokens_last(Duration::from_secs(1), at(2000));
    add(&mut ring, "d", 2001, 2001);
    assert_eq!(ring.keys()[2].verifies_until(), Some(at(5600)));
}

#[test]
fn only_a_key_that_has_not_signed_can_be_withdrawn() {
    let mut ring = rotated();
    assert!(ring.clone().withdraw_next(at(1899)));
    assert!(!ring.withdraw_next(at(1900)), "it signs");
    let mut ring = rotated();
    add(&mut ring, "c", 2500, 1600);
    assert_eq!(published(&ring, 1600), ["a", "c"]);
    assert_eq!(ring.keys()[0].signs_until, Some(at(2500)));
    ring.withdraw_next(at(1700));
    assert_eq!(ring.keys()[0].signs_until, None);
    assert!(
        !ring.withdraw_next(at(0)),
        "the only key signs, whatever the clock says"
    );
    assert_eq!(ring.signing(at(0)).unwrap().id, "a");
}

#[test]
fn the_moments_of_a_wrong_clock_go_back_and_the_others_stay() {
    let year = 365 * 24 * 3600;
    let mut ring = KeyRing::default();
    add(&mut ring, "a", 0, 0);
    add(&mut ring, "b", year + 900, year);
    let before = ring.clone();
    ring.go_back(at(year + 2000), at(2000));
    let signing = |now| ring.signing(at(now)).map(|key| key.id.as_str());
    assert_eq!((signing(899), signing(900)), (Some("a"), Some("b")));
    assert_eq!(ring.keys()[0].verifies_until(), Some(at(1200)));
    let once = ring.clone();
    ring.go_back(at(year + 2000), at(2000));
    assert_eq!(ring, once, "a second time changes nothing");
    assert_ne!(ring, before);
}

#[test]
fn a_waiting_key_can_be_promoted_to_sign_now() {
    let mut ring = rotated();
    assert!(ring.promote_next(at(1500)));
    assert_eq!(ring.signing(at(1500)).unwrap().id, "b");
    assert_eq!(ring.keys()[0].verifies_until(), Some(at(1800)));
    assert!(!ring.promote_next(at(1500)), "no key waits any more");
}

#[test]
fn a_key_made_while_no_server_ran_is_published_before_it_signs() {
    let ahead = Duration::from_mins(15);
    let mut ring = rotated();
    assert!(
        !ring.hold_back_unseen(ahead, at(1000)),
        "it is published early enough"
    );
    // Its time has passed, and no server has signed with it.
    assert!(ring.hold_back_unseen(ahead, at(5000)));
    assert_eq!(ring.newest().unwrap().signs_from, at(5900));
    assert_eq!(ring.keys()[0].signs_until, Some(at(5900)));

    assert!(ring.publish());
    assert!(!ring.hold_back_unseen(ahead, at(9000)), "it has been published");
    assert!(!ring.publish());

    let mut ring = rotated();
    ring.promote_next(at(1500));
    assert!(!ring.hold_back_unseen(ahead, at(1500)), "it does not wait");
    add(&mut ring, "c", 2000, 2000);
    assert!(
        !ring.hold_back_unseen(ahead, at(2000)),
        "nor is one that signs at once"
    );
}

#[test]
fn a_key_that_returns_is_in_the_ring_once() {
    let mut ring = rotated();
    add(&mut ring, "a", 2000, 2000);
    let ids: Vec<_> = ring.keys().iter().map(|key| key.id.as_str()).collect();
    assert_eq!(ids, ["b", "a"]);
    assert_eq!(ring.newest().unwrap().tokens_until, at(2300));
}

#[test]
fn a_returning_key_that_is_withdrawn_keeps_its_older_tokens() {
    let mut ring = rotated();
    add(&mut ring, "a", 2900, 2000);
    assert_eq!(published(&ring, 2000), ["a", "b"]);
    assert_eq!(ring.next(at(2000)).unwrap().id, "a");
    assert!(ring.withdraw_next(at(2100)));
    assert!(ring.verifying("a", at(2199)).is_some());
    assert!(ring.verifying("a", at(2200)).is_none());
    assert_eq!(ring.signing(at(2100)).unwrap().id, "b");
    assert_eq!(ring.newest().unwrap().signs_until, None);

    let mut ring = rotated();
    add(&mut ring, "a", 2900, 2000);
    assert_eq!(ring.drop_over(at(2200)), 1);
    assert_eq!(published(&ring, 2200), ["b", "a"]);
}

#[test]
fn a_rotation_is_due_early_enough_to_publish_the_key() {
    let (day, hour) = (Duration::from_hours(24), Duration::from_hours(1));
    let mut ring = KeyRing::default();
    assert_eq!(ring.rotation_due(day, hour, at(0)), None);
    add(&mut ring, "a", 0, 0);
    assert_eq!(ring.rotation_due(day, hour, at(23 * 3600 - 1)), None);
    let due = ring.rotation_due(day, hour, at(23 * 3600));
    assert_eq!(due, Some(at(24 * 3600)));
    // No server ran at that time.
    let late = ring.rotation_due(day, hour, at(30 * 3600));
    assert_eq!(late, Some(at(31 * 3600)));
    // A key that waits counts as the last one.
    add(&mut ring, "b", 24 * 3600, 23 * 3600);
    assert_eq!(ring.rotation_due(day, hour, at(23 * 3600 + 1)), None);
}

#[test]
fn a_ring_of_other_material_keeps_its_times() {
    let ring = rotated();
    let named = ring.map(|key| key.id.clone());
    assert_eq!(named.keys()[1].material, "b");
    let back = named.clone().filter_map(|_| Some(()));
    assert_eq!(back, ring);
    let only = named.filter_map(|id| (id == "b").then_some(()));
    assert_eq!(only.keys(), &ring.keys()[1..]);
}

#[test]
fn older_keys_can_be_dropped_at_once() {
    let mut ring = rotated();
    ring.drop_older();
    let ids: Vec<_> = ring.keys().iter().map(|key| key.id.as_str()).collect();
    assert_eq!(ids, ["b"]);
    ring.clear();
    ring.drop_older();
    assert_eq!(ring.signing(at(0)), None);
    assert!(!ring.withdraw_next(at(0)) && !ring.promote_next(at(0)));
}

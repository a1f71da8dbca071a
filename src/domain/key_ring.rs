//! The rules of rotation, as a value: a [`KeyRing`] holds the signing keys and says which of them signs at a moment, which
//! verify, which are published, which can go, and when the next one is due. It does no I/O and knows no cryptography: what
//! a key is made of is the `M` that each key carries along.
//!
//! ```text
//!            published      signs                     verifies                gone
//!   old  ───────────────────────────────┬───────────────────────────────┬─────────
//!   new            ├── publish_ahead ───┤ signs …   last token of old ──┘
//! ```
//!
//! What happens when is settled when the new key is added, so the moments pass without a write: a ring that is on the disk
//! says the same after a crash.

use std::time::Duration;

use super::Algorithm;
use crate::clock::Timestamp;

/// One key, and when it does what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RingKey<M> {
    /// Its `kid`.
    pub id: String,
    /// The one algorithm that it is for.
    pub algorithm: Algorithm,
    /// What it is made of.
    pub material: M,
    /// When it was made, or given.
    pub created_at: Timestamp,
    /// Whether a running server has shown it to others, or it signs without waiting for that.
    pub published: bool,
    /// The first second at which it signs.
    pub signs_from: Timestamp,
    /// The first second at which its successor signs instead; `None` if it has none.
    pub signs_until: Option<Timestamp>,
    /// How long a token lasts that it signs now.
    pub lifetime: Duration,
    /// The end of all tokens that it signed while they lasted another time, and of those that it has taken over.
    pub tokens_until: Timestamp,
}

impl<M> RingKey<M> {
    /// The first second at which none of its tokens is good any more; `None` as long as it has no successor.
    #[must_use]
    pub fn verifies_until(&self) -> Option<Timestamp> {
        let signs_until = self.signs_until?;
        Some(signs_until.plus(self.lifetime).max(self.tokens_until))
    }

    /// Whether it is of no use any more.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.verifies_until().is_some_and(|end| end <= now)
    }

    /// What it is doing at `now`.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> KeyState {
        if now < self.signs_from {
            KeyState::Next
        } else if self.signs_until.is_none_or(|end| now < end) {
            KeyState::Signing
        } else {
            KeyState::Verifying
        }
    }
}

/// What a key is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It is published, and does not sign yet.
    Next,
    /// It signs.
    Signing,
    /// It signs no more; its tokens are good to their end.
    Verifying,
}

/// Every key that can still be met, in the order in which they sign. The last one has no successor, and each other one's is
/// the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRing<M> {
    keys: Vec<RingKey<M>>,
}

impl<M> Default for KeyRing<M> {
    fn default() -> Self {
        Self { keys: Vec::new() }
    }
}

impl<M> KeyRing<M> {
    /// The ring of these keys, in this order.
    #[must_use]
    pub fn of(keys: Vec<RingKey<M>>) -> Self {
        Self { keys }
    }

    /// Its keys, in the order in which they sign.
    #[must_use]
    pub fn keys(&self) -> &[RingKey<M>] {
        &self.keys
    }

    /// The same ring, of other material.
    #[must_use]
    pub fn map<N>(&self, mut material: impl FnMut(&RingKey<M>) -> N) -> KeyRing<N> {
        let keys = self.keys.iter().map(|key| RingKey {
            id: key.id.clone(),
            algorithm: key.algorithm,
            material: material(key),
            created_at: key.created_at,
            published: key.published,
            signs_from: key.signs_from,
            signs_until: key.signs_until,
            lifetime: key.lifetime,
            tokens_until: key.tokens_until,
        });
        KeyRing { keys: keys.collect() }
    }

    /// The same ring without the keys for which `material` gives nothing, and of other material.
    #[must_use]
    pub fn filter_map<N>(self, mut material: impl FnMut(M) -> Option<N>) -> KeyRing<N> {
        let keys = self.keys.into_iter().filter_map(|key| {
            Some(RingKey {
                material: material(key.material)?,
                id: key.id,
                algorithm: key.algorithm,
                created_at: key.created_at,
                published: key.published,
                signs_from: key.signs_from,
                signs_until: key.signs_until,
                lifetime: key.lifetime,
                tokens_until: key.tokens_until,
            })
        });
        KeyRing { keys: keys.collect() }
    }

    /// The key that signs a token issued at `at`: the last one that had begun to. `None` only for an empty ring.
    #[must_use]
    pub fn signing(&self, at: Timestamp) -> Option<&RingKey<M>> {
        let begun = self.keys.iter().rfind(|key| key.signs_from <= at);
        begun.or(self.keys.first())
    }

    /// The key called `id`, if a token of it can be good at `now`.
    #[must_use]
    pub fn verifying(&self, id: &str, now: Timestamp) -> Option<&RingKey<M>> {
        let key = self.keys.iter().find(|key| key.id == id)?;
        (!key.is_over(now)).then_some(key)
    }

    /// The keys whose public half others may need, always in the same order.
    pub fn published(&self, now: Timestamp) -> impl Iterator<Item = &RingKey<M>> {
        let known = self.keys.iter().filter(|key| key.algorithm.has_public_keys());
        known.filter(move |key| !key.is_over(now))
    }

    /// The key that was added last: it signs, or will.
    #[must_use]
    pub fn newest(&self) -> Option<&RingKey<M>> {
        self.keys.last()
    }

    /// The key that waits to sign, if there is one.
    #[must_use]
    pub fn next(&self, now: Timestamp) -> Option<&RingKey<M>> {
        self.newest().filter(|key| key.state(now) == KeyState::Next)
    }

    /// Adds a key that signs from `signs_from` on, in place of all others. One that was still waiting is withdrawn: nothing
    /// was signed with it.
    pub fn add(
        &mut self,
        (id, algorithm, material): (String, Algorithm, M),
        signs_from: Timestamp,
        lifetime: Duration,
        now: Timestamp,
    ) {
        self.withdraw_next(now);
        if let Some(old) = self.keys.last_mut() {
            old.signs_until = Some(signs_from);
        }
        // What the others signed may be signed again by this one, when it is asked for once more.
        let tokens_until = self.keys.iter().filter_map(RingKey::verifies_until).max();
        // A key that comes back is no other key.
        self.keys.retain(|key| key.id != id);
        self.keys.push(RingKey {
            id,
            algorithm,
            material,
            created_at: now,
            published: false,
            signs_from,
            signs_until: None,
            lifetime,
            tokens_until: tokens_until.unwrap_or(now),
        });
    }

    /// Takes back the keys that have not signed yet; the one that signs goes on.
    pub fn withdraw_next(&mut self, now: Timestamp) -> bool {
        let before = self.keys.len();
        let mut place = 0;
        self.keys.retain(|key| {
            place += 1;
            // The first one signs, whatever the clock says.
            place == 1 || key.signs_from <= now
        });
        let withdrawn = self.keys.len() < before;
        if let Some(last) = self.keys.last_mut().filter(|_| withdrawn) {
            last.signs_until = None;
        }
        withdrawn
    }

    /// Lets the key that waits sign from `now` on.
    pub fn promote_next(&mut self, now: Timestamp) -> bool {
        let waits = self.next(now).is_some();
        if waits {
            self.let_next_sign_from(now);
            self.publish();
        }
        waits
    }

    /// Lets a key that no server has shown yet wait for `ahead`, counted from `now`: it has not signed, whatever its time was.
    /// Returns whether its time has changed. One that was to sign at once does not wait.
    pub fn hold_back_unseen(&mut self, ahead: Duration, now: Timestamp) -> bool {
        let unseen = self
            .newest()
            .filter(|key| !key.published && key.signs_from > key.created_at);
        let soonest = now.plus(ahead);
        let early = unseen.is_some_and(|key| key.signs_from < soonest);
        if early {
            self.let_next_sign_from(soonest);
        }
        early
    }

    /// Takes note that a running server shows the keys from now on. Returns whether that was news.
    pub fn publish(&mut self) -> bool {
        let unseen = self.keys.iter_mut().filter(|key| !key.published);
        unseen.map(|key| key.published = true).count() > 0
    }

    fn let_next_sign_from(&mut self, signs_from: Timestamp) {
        if let Some((next, others)) = self.keys.split_last_mut() {
            next.signs_from = signs_from;
            if let Some(old) = others.last_mut() {
                old.signs_until = Some(signs_from);
            }
        }
    }

    /// Drops every key.
    pub fn clear(&mut self) {
        self.keys.clear();
    }

    /// Drops every key but the newest.
    pub fn drop_older(&mut self) {
        let older = self.keys.len().saturating_sub(1);
        self.keys.drain(..older);
    }

    /// Drops the keys whose last token has run out, and returns how many.
    pub fn drop_over(&mut self, now: Timestamp) -> usize {
        let before = self.keys.len();
        self.keys.retain(|key| !key.is_over(now));
        before - self.keys.len()
    }

    /// Takes note that tokens last for `lifetime` from `now` on: those that were signed before last as long as they said.
    /// Returns whether that was news.
    pub fn tokens_last(&mut self, lifetime: Duration, now: Timestamp) -> bool {
        let mut news = false;
        for key in &mut self.keys {
            if key.lifetime == lifetime || key.state(now) == KeyState::Verifying {
                continue;
            }
            key.tokens_until = key.tokens_until.max(now.plus(key.lifetime));
            key.lifetime = lifetime;
            news = true;
        }
        news
    }

    /// When the next key should begin to sign, if it is time to publish it: `every` after the last one began, and never
    /// before it has been published for `ahead`.
    #[must_use]
    pub fn rotation_due(&self, every: Duration, ahead: Duration, now: Timestamp) -> Option<Timestamp> {
        let due = self.newest()?.signs_from.plus(every);
        (due.minus(ahead) <= now).then(|| due.max(now.plus(ahead)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIME: Duration = Duration::from_secs(300);

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
    fn a_key_is_published_before_it_signs_and_the_old_one_verifies_until_its_last_token_ends() {
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
    fn a_key_says_what_it_is_doing() {
        let ring = rotated();
        let states = |now| ring.keys().iter().map(move |key| key.state(at(now)));
        assert!(states(1899).eq([KeyState::Signing, KeyState::Next]));
        assert!(states(1900).eq([KeyState::Verifying, KeyState::Signing]));
        assert_eq!(ring.next(at(1899)).unwrap().id, "b");
        assert_eq!(ring.next(at(1900)), None);
    }

    #[test]
    fn a_key_is_dropped_when_its_last_token_has_run_out_and_the_last_one_never() {
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
    fn tokens_that_were_signed_while_they_lasted_longer_are_good_to_their_end() {
        let mut ring = rotated();
        // A restart at 1500, while `a` signs and `b` waits: tokens now last a minute, and those from before another 300 s.
        assert!(ring.tokens_last(Duration::from_mins(1), at(1500)));
        assert!(!ring.tokens_last(Duration::from_mins(1), at(1600)));
        let old = &ring.keys()[0];
        assert_eq!(old.verifies_until(), Some(at(1960)));

        let mut ring = rotated();
        assert!(ring.tokens_last(Duration::from_mins(1), at(1899)));
        assert_eq!(ring.keys()[0].verifies_until(), Some(at(2199)));

        // And the other way round: what `a` signs until 1900 may last an hour.
        assert!(ring.tokens_last(Duration::from_hours(1), at(1899)));
        assert_eq!(ring.keys()[0].verifies_until(), Some(at(5500)));
        // One that signs no more has signed nothing that lasts longer.
        assert!(ring.tokens_last(Duration::from_hours(2), at(1900)));
        assert_eq!(ring.keys()[0].verifies_until(), Some(at(5500)));
    }

    #[test]
    fn what_a_successor_signs_again_is_good_to_its_end_as_well() {
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
    fn a_key_that_has_not_signed_can_be_withdrawn_and_one_that_has_can_not() {
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
    fn a_key_that_waits_can_be_told_to_sign_now() {
        let mut ring = rotated();
        assert!(ring.promote_next(at(1500)));
        assert_eq!(ring.signing(at(1500)).unwrap().id, "b");
        assert_eq!(ring.keys()[0].verifies_until(), Some(at(1800)));
        assert!(!ring.promote_next(at(1500)), "nobody waits any more");
    }

    #[test]
    fn a_key_that_was_made_while_no_server_ran_is_still_shown_before_it_signs() {
        let ahead = Duration::from_secs(900);
        let mut ring = rotated();
        assert!(!ring.hold_back_unseen(ahead, at(1000)), "it is early enough");
        // Its time has come and gone, and nobody has signed with it.
        assert!(ring.hold_back_unseen(ahead, at(5000)));
        assert_eq!(ring.newest().unwrap().signs_from, at(5900));
        assert_eq!(ring.keys()[0].signs_until, Some(at(5900)));

        assert!(ring.publish());
        assert!(!ring.hold_back_unseen(ahead, at(9000)), "once is enough");
        assert!(!ring.publish());

        let mut ring = rotated();
        ring.promote_next(at(1500));
        assert!(!ring.hold_back_unseen(ahead, at(1500)), "it is not to wait");
        add(&mut ring, "c", 2000, 2000);
        assert!(
            !ring.hold_back_unseen(ahead, at(2000)),
            "nor is one that signs at once"
        );
    }

    #[test]
    fn a_key_that_comes_back_is_in_the_ring_once_and_its_older_tokens_stay_good() {
        let mut ring = rotated();
        add(&mut ring, "a", 2000, 2000);
        let ids: Vec<_> = ring.keys().iter().map(|key| key.id.as_str()).collect();
        assert_eq!(ids, ["b", "a"]);
        assert_eq!(ring.newest().unwrap().tokens_until, at(2300));
    }

    #[test]
    fn a_rotation_is_due_early_enough_to_publish_the_key_and_never_skips_that() {
        let (day, hour) = (Duration::from_hours(24), Duration::from_hours(1));
        let mut ring = KeyRing::default();
        assert_eq!(ring.rotation_due(day, hour, at(0)), None);
        add(&mut ring, "a", 0, 0);
        assert_eq!(ring.rotation_due(day, hour, at(23 * 3600 - 1)), None);
        let due = ring.rotation_due(day, hour, at(23 * 3600));
        assert_eq!(due, Some(at(24 * 3600)));
        // Nobody was there at that time.
        let late = ring.rotation_due(day, hour, at(30 * 3600));
        assert_eq!(late, Some(at(31 * 3600)));
        // A key that waits counts as the last one.
        add(&mut ring, "b", 24 * 3600, 23 * 3600);
        assert_eq!(ring.rotation_due(day, hour, at(23 * 3600 + 1)), None);
    }
}

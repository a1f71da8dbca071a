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
/// the next. One that is to sign again after another one is there twice.
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
        self.keys.iter().find(|key| key.id == id && !key.is_over(now))
    }

    /// The keys whose public half others may need, always in the same order, each once.
    pub fn published(&self, now: Timestamp) -> impl Iterator<Item = &RingKey<M>> {
        let known = self.keys.iter().filter(|key| key.algorithm.has_public_keys());
        known.filter(move |key| {
            let found = self.verifying(&key.id, now);
            found.is_some_and(|found| std::ptr::eq(found, *key))
        })
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
        // A key that comes back is no other key. But while it waits it may be withdrawn, and what it signed before stays good.
        self.keys.retain(|key| key.id != id || now < signs_from);
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
mod tests;

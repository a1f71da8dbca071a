//! The rules of key rotation, as a value: a [`KeyRing`] holds the signing keys. It says which of them signs at a moment, which
//! verify, which are published, which can be dropped, and when the next one is due. It does no I/O and knows no cryptography:
//! the material of each key is an opaque `M`.
//!
//! ```text
//!            published      signs                     verifies                dropped
//!   old  ───────────────────────────────┬───────────────────────────────┬────────────
//!   new            ├── publish_ahead ───┤ signs …   last token of old ──┘
//! ```
//!
//! Every moment is settled when the new key is added, so the moments pass without a write: a ring read from the disk after a
//! crash says the same.

use std::time::Duration;

use super::Algorithm;
use crate::clock::Timestamp;

/// One key, and when it signs and verifies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RingKey<M> {
    /// Its `kid`.
    pub id: String,
    /// The algorithm that it signs with.
    pub algorithm: Algorithm,
    /// Its key material.
    pub material: M,
    /// When it was generated, or read from the settings for the first time.
    pub created_at: Timestamp,
    /// Whether a running server has published it, or it signs without waiting for that.
    pub published: bool,
    /// The first second at which it signs.
    pub signs_from: Timestamp,
    /// The first second at which its successor signs instead; `None` if it has no successor.
    pub signs_until: Option<Timestamp>,
    /// The lifetime of the tokens that it signs now.
    pub lifetime: Duration,
    /// When the last of its other tokens expires: those that it signed under another lifetime, and those that it took over.
    pub tokens_until: Timestamp,
}

impl<M> RingKey<M> {
    /// The first second at which all of its tokens have expired; `None` as long as it has no successor.
    #[must_use]
    pub fn verifies_until(&self) -> Option<Timestamp> {
        let signs_until = self.signs_until?;
        Some(signs_until.plus(self.lifetime).max(self.tokens_until))
    }

    /// Whether all of its tokens have expired, so that it can be dropped.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.verifies_until().is_some_and(|end| end <= now)
    }

    /// What it is used for at `now`.
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

/// What a key is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It is published, and does not sign yet.
    Next,
    /// It signs.
    Signing,
    /// It no longer signs. Its tokens are accepted until they expire.
    Verifying,
}

/// Every key of which a token may still be accepted, in the order in which they sign. The last one has no successor; the
/// successor of each other one is the next. A key that is to sign again after another one is in the ring twice.
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

    /// The same ring with other material.
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

    /// The same ring with other material, without the keys for which `material` returns `None`.
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

    /// The key that signs a token issued at `at`: the last one that signs from then or earlier, else the first. Returns `None`
    /// only for an empty ring.
    #[must_use]
    pub fn signing(&self, at: Timestamp) -> Option<&RingKey<M>> {
        let begun = self.keys.iter().rfind(|key| key.signs_from <= at);
        begun.or(self.keys.first())
    }

    /// The key named `id`. Returns `None` if there is none, or if all of its tokens have expired at `now`.
    #[must_use]
    pub fn verifying(&self, id: &str, now: Timestamp) -> Option<&RingKey<M>> {
        self.keys.iter().find(|key| key.id == id && !key.is_over(now))
    }

    /// The keys whose public half other services need, in a fixed order, each once.
    pub fn published(&self, now: Timestamp) -> impl Iterator<Item = &RingKey<M>> {
        let known = self.keys.iter().filter(|key| key.algorithm.has_public_keys());
        known.filter(move |key| {
            let found = self.verifying(&key.id, now);
            found.is_some_and(|found| std::ptr::eq(found, *key))
        })
    }

    /// The key that was added last: it signs, or will sign.
    #[must_use]
    pub fn newest(&self) -> Option<&RingKey<M>> {
        self.keys.last()
    }

    /// The key that waits to sign. Returns `None` if no key waits.
    #[must_use]
    pub fn next(&self, now: Timestamp) -> Option<&RingKey<M>> {
        self.newest().filter(|key| key.state(now) == KeyState::Next)
    }

    /// Adds a key that signs from `signs_from` on, instead of every other. A key that still waits is withdrawn: it has signed
    /// nothing.
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
        // A refresh may return a token of another key again, and this key then signs it.
        let tokens_until = self.keys.iter().filter_map(RingKey::verifies_until).max();
        // A key that returns is the same key. But while it waits it may be withdrawn, and what it signed before stays valid.
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

    /// Withdraws the keys that have not signed yet; the key that signs goes on. Returns whether there were any.
    pub fn withdraw_next(&mut self, now: Timestamp) -> bool {
        let before = self.keys.len();
        let mut place = 0;
        self.keys.retain(|key| {
            place += 1;
            // The first key signs, whatever the clock says.
            place == 1 || key.signs_from <= now
        });
        let withdrawn = self.keys.len() < before;
        if let Some(last) = self.keys.last_mut().filter(|_| withdrawn) {
            last.signs_until = None;
        }
        withdrawn
    }

    /// Lets the key that waits sign from `now` on. Returns whether a key waited.
    pub fn promote_next(&mut self, now: Timestamp) -> bool {
        let waits = self.next(now).is_some();
        if waits {
            self.let_next_sign_from(now);
            self.publish();
        }
        waits
    }

    /// Lets a key that no server has published yet wait for `ahead`, counted from `now`. It has not signed, even if its time
    /// has come. A key that was to sign at once does not wait. Returns whether the key's time has changed.
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

    /// Notes that a running server publishes the keys. Returns whether that was new for any of them.
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

    /// Moves the moments that a wrong clock showed back: it was at `from` when the right time was `to`. Those are the moments that
    /// are nearer to `from`.
    pub fn go_back(&mut self, from: Timestamp, to: Timestamp) {
        let by = from.since(to);
        let middle = to.plus(by / 2);
        let move_back = |moment: &mut Timestamp| {
            if *moment > middle {
                *moment = moment.minus(by);
            }
        };
        for key in &mut self.keys {
            for moment in [&mut key.created_at, &mut key.signs_from, &mut key.tokens_until] {
                move_back(moment);
            }
            key.signs_until.as_mut().map(move_back);
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

    /// Drops the keys whose last token has expired, and returns how many.
    pub fn drop_over(&mut self, now: Timestamp) -> usize {
        let before = self.keys.len();
        self.keys.retain(|key| !key.is_over(now));
        before - self.keys.len()
    }

    /// Notes that tokens last for `lifetime` from `now` on. A token that was signed before lasts as long as it says. Returns
    /// whether that was new.
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

    /// When the next key should begin to sign: `every` after the last one began, and never before it has been published for
    /// `ahead`. Returns `None` until it is time to publish the next key.
    #[must_use]
    pub fn rotation_due(&self, every: Duration, ahead: Duration, now: Timestamp) -> Option<Timestamp> {
        let due = self.newest()?.signs_from.plus(every);
        (due.minus(ahead) <= now).then(|| due.max(now.plus(ahead)))
    }
}

#[cfg(test)]
mod tests;

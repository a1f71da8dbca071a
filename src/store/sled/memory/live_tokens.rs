//! The API tokens in memory, by the hash of their text. As the [index](super::index), they change after a write has reached the disk
//! and before that write is answered. Only the last use of a token is known here first.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use dashmap::DashMap;

use crate::{
    clock::Timestamp,
    domain::{ApiToken, ApiTokenHash},
};

/// How far the last use on the disk may be behind. A token in constant use costs a write an hour.
const KEEP_USE_EVERY: Duration = Duration::from_hours(1);

#[derive(Default)]
pub(crate) struct LiveApiTokens {
    by_hash: DashMap<ApiTokenHash, LiveApiToken>,
    /// When each expires, soonest first. Only writes take this lock, never the token check.
    expiries: Mutex<BTreeSet<(Timestamp, ApiTokenHash)>>,
}

struct LiveApiToken {
    token: Arc<ApiToken>,
    /// The last use in seconds; 0 if there was none.
    used_at: AtomicU64,
    /// The last use that the disk has.
    kept: AtomicU64,
}

impl LiveApiTokens {
    /// Returns the token if it has not expired at `now`.
    pub(crate) fn good(&self, hash: ApiTokenHash, now: Timestamp) -> Option<Arc<ApiToken>> {
        let live = self.by_hash.get(&hash)?;
        (now < live.token.expires_at).then(|| Arc::clone(&live.token))
    }

    /// Notes a use.
    pub(crate) fn use_at(&self, hash: ApiTokenHash, now: Timestamp) {
        // It is written at most once a second, though it is read at every request.
        if let Some(live) = self.by_hash.get(&hash)
            && live.used_at.load(Ordering::Relaxed) < now.as_secs()
        {
            live.used_at.fetch_max(now.as_secs(), Ordering::Relaxed);
        }
    }

    /// Returns the token, expired or not.
    pub(crate) fn get(&self, hash: ApiTokenHash) -> Option<Arc<ApiToken>> {
        self.by_hash.get(&hash).map(|live| Arc::clone(&live.token))
    }

    /// Returns the token with its last use.
    pub(crate) fn as_used(&self, hash: ApiTokenHash) -> Option<ApiToken> {
        self.by_hash.get(&hash).map(|live| live.as_used())
    }

    /// Returns every token with its last use.
    pub(crate) fn all(&self) -> Vec<ApiToken> {
        self.by_hash.iter().map(|live| live.as_used()).collect()
    }

    /// Returns up to `at_most` tokens that have expired by `now`, soonest first.
    pub(crate) fn expired(&self, now: Timestamp, at_most: usize) -> Vec<Arc<ApiToken>> {
        let due: Vec<_> = self
            .expiries()
            .iter()
            .take_while(|(expires_at, _)| *expires_at <= now)
            .take(at_most)
            .map(|(_, hash)| *hash)
            .collect();
        due.into_iter().filter_map(|hash| self.get(hash)).collect()
    }

    /// Returns up to `at_most` tokens.
    pub(crate) fn any(&self, at_most: usize) -> Vec<Arc<ApiToken>> {
        let some: Vec<_> = self
            .expiries()
            .iter()
            .take(at_most)
            .map(|(_, hash)| *hash)
            .collect();
        some.into_iter().filter_map(|hash| self.get(hash)).collect()
    }

    /// Returns up to `at_most` tokens whose last use is so much later than the one on the disk that it is worth a write.
    pub(crate) fn uses_to_keep(&self, at_most: usize) -> Vec<ApiToken> {
        let due = self.by_hash.iter().filter(|live| {
            let (used, kept) = (&live.used_at, &live.kept);
            let behind = used.load(Ordering::Relaxed) - kept.load(Ordering::Relaxed);
            behind >= KEEP_USE_EVERY.as_secs()
        });
        due.take(at_most).map(|live| live.as_used()).collect()
    }

    /// Notes that the disk has these last uses.
    pub(crate) fn kept(&self, tokens: &[ApiToken]) {
        for token in tokens {
            if let (Some(live), Some(used_at)) = (self.by_hash.get(&token.hash), token.used_at) {
                live.kept.fetch_max(used_at.as_secs(), Ordering::Relaxed);
            }
        }
    }

    pub(crate) fn insert(&self, token: Arc<ApiToken>) {
        self.expiries().insert((token.expires_at, token.hash));
        let used_at = token.used_at.map_or(0, Timestamp::as_secs);
        let live = LiveApiToken {
            used_at: AtomicU64::new(used_at),
            kept: AtomicU64::new(used_at),
            token,
        };
        self.by_hash.insert(live.token.hash, live);
    }

    /// Gives a token other moments.
    pub(crate) fn replace(&self, token: Arc<ApiToken>) {
        if let Some(before) = self.get(token.hash) {
            self.expiries().remove(&(before.expires_at, before.hash));
            self.insert(token);
        }
    }

    /// No use was later than `now`.
    pub(crate) fn go_back(&self, now: Timestamp) {
        for live in &self.by_hash {
            live.used_at.fetch_min(now.as_secs(), Ordering::Relaxed);
            live.kept.fetch_min(now.as_secs(), Ordering::Relaxed);
        }
    }

    pub(crate) fn remove(&self, token: &ApiToken) {
        self.by_hash.remove(&token.hash);
        self.expiries().remove(&(token.expires_at, token.hash));
    }

    fn expiries(&self) -> MutexGuard<'_, BTreeSet<(Timestamp, ApiTokenHash)>> {
        // Each use leaves the set whole, so a panic of its holder has broken nothing.
        self.expiries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LiveApiToken {
    fn as_used(&self) -> ApiToken {
        let used_at = self.used_at.load(Ordering::Relaxed);
        ApiToken {
            used_at: (used_at > 0).then(|| Timestamp::from_secs(used_at)),
            ..ApiToken::clone(&self.token)
        }
    }
}

//! The API tokens in memory, by the hash of their text. The rules of the [index](super::index) hold here too: it changes
//! after a write has reached the disk and before that write is answered. Only when a token was used last is known here first.

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

/// How far the last use on the disk may be behind: nobody waits for it, and a token that is used all day long costs a write
/// an hour.
const KEEP_USE_EVERY: Duration = Duration::from_hours(1);

#[derive(Default)]
pub(crate) struct LiveApiTokens {
    by_hash: DashMap<ApiTokenHash, LiveApiToken>,
    /// When each expires, soonest first. Only writes take this lock, never the token check.
    expiries: Mutex<BTreeSet<(Timestamp, ApiTokenHash)>>,
}

struct LiveApiToken {
    token: Arc<ApiToken>,
    /// When it was used last, in seconds; 0 if never.
    used_at: AtomicU64,
    /// The last use that the disk knows.
    kept: AtomicU64,
}

impl LiveApiTokens {
    /// The token, if it is good at `now`.
    pub(crate) fn good(&self, hash: ApiTokenHash, now: Timestamp) -> Option<Arc<ApiToken>> {
        let live = self.by_hash.get(&hash)?;
        (now < live.token.expires_at).then(|| Arc::clone(&live.token))
    }

    /// Takes note of a use.
    pub(crate) fn use_at(&self, hash: ApiTokenHash, now: Timestamp) {
        // Written once a second at the most, though it is read at every request.
        if let Some(live) = self.by_hash.get(&hash)
            && live.used_at.load(Ordering::Relaxed) < now.as_secs()
        {
            live.used_at.fetch_max(now.as_secs(), Ordering::Relaxed);
        }
    }

    /// The token, whether it is good or not.
    pub(crate) fn get(&self, hash: ApiTokenHash) -> Option<Arc<ApiToken>> {
        self.by_hash.get(&hash).map(|live| Arc::clone(&live.token))
    }

    /// The token with the moment of its last use.
    pub(crate) fn as_used(&self, hash: ApiTokenHash) -> Option<ApiToken> {
        self.by_hash.get(&hash).map(|live| live.as_used())
    }

    /// All of them, with the moments of their last use.
    pub(crate) fn all(&self) -> Vec<ApiToken> {
        self.by_hash.iter().map(|live| live.as_used()).collect()
    }

    /// Up to `at_most` that have expired by `now`, soonest first.
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

    /// Up to `at_most` whose last use the disk does not know, or only one that was long before.
    pub(crate) fn uses_to_keep(&self, at_most: usize) -> Vec<ApiToken> {
        let due = self.by_hash.iter().filter(|live| {
            let (used, kept) = (&live.used_at, &live.kept);
            let behind = used.load(Ordering::Relaxed) - kept.load(Ordering::Relaxed);
            behind >= KEEP_USE_EVERY.as_secs()
        });
        due.take(at_most).map(|live| live.as_used()).collect()
    }

    /// The disk knows these last uses.
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

    pub(crate) fn remove(&self, token: &ApiToken) {
        self.by_hash.remove(&token.hash);
        self.expiries().remove(&(token.expires_at, token.hash));
    }

    fn expiries(&self) -> MutexGuard<'_, BTreeSet<(Timestamp, ApiTokenHash)>> {
        // Each use leaves the set whole, so a panic while it was held has broken nothing.
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

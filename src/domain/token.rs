//! What is remembered of the tokens of a session: the access tokens that are accepted, the refresh token that is good, and
//! how long they last. What a refresh makes of them is not here: see [`Session`](super::Session).

use std::time::Duration;

use smallvec::SmallVec;

use super::TokenId;
use crate::clock::Timestamp;

/// What an access token says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenRecord {
    /// Its `jti`.
    pub id: TokenId,
    /// Its `iat`.
    pub issued_at: Timestamp,
    /// Its `exp`: the first second at which it has expired.
    pub expires_at: Timestamp,
}

impl TokenRecord {
    /// A new token, which lasts from `now` for `lifetime`, but not past `end`.
    #[must_use]
    pub fn issue(now: Timestamp, lifetime: Duration, end: Timestamp) -> Self {
        Self {
            id: TokenId::generate(),
            issued_at: now,
            expires_at: now.plus(lifetime).min(end),
        }
    }
}

impl TokenRecord {
    /// Whether `shown` is what this token says of itself. The clock that it shows may have been set since it was issued: then both of
    /// its moments are moved.
    #[must_use]
    pub fn is_shown_by(&self, shown: &Self) -> bool {
        let lifetime = |token: &Self| token.expires_at.since(token.issued_at);
        self.id == shown.id && lifetime(self) == lifetime(shown)
    }
}

/// An access token that is accepted, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WhitelistEntry {
    /// The token.
    pub token: TokenRecord,
    /// The first second at which it is refused: its `exp`, or the end of the grace once it has a successor.
    pub accepted_until: Timestamp,
}

impl WhitelistEntry {
    /// A token that has no successor yet.
    #[must_use]
    pub const fn fresh(token: TokenRecord) -> Self {
        Self {
            token,
            accepted_until: token.expires_at,
        }
    }
}

/// The tokens of a session that are accepted. It is nearly always one, which then lies within the session: memory holds many
/// sessions, and each further place to read costs the token check time.
pub type Whitelist = SmallVec<[WhitelistEntry; 1]>;

/// The refresh token of a session that is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshGrant {
    /// How many refresh tokens of the session were spent before it.
    pub generation: u32,
    /// When the one before it was spent, or when the session got its first one.
    pub granted_at: Timestamp,
    /// The first second at which it is refused.
    pub expires_at: Timestamp,
}

/// How long tokens last, and when they can be refreshed. Whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenPolicy {
    /// From `iat` to `exp`.
    pub lifetime: Duration,
    /// The last part of a token's life, in which a refresh mints its successor.
    pub refresh_window: Duration,
    /// How long a token is still accepted once it has a successor.
    pub refresh_grace: Duration,
}

impl TokenPolicy {
    /// The first second at which a refresh of `token` mints its successor. A successor would not outlast a token that lasts
    /// to the end of its session: the window of such a token never opens, and this is its `exp`.
    #[must_use]
    pub fn window_opens(&self, token: TokenRecord, session_ends_at: Timestamp) -> Timestamp {
        if token.expires_at >= session_ends_at {
            return token.expires_at;
        }
        token.expires_at.minus(self.refresh_window)
    }
}

//! The refresh and whitelist rules, as a value: a [`Session`] holds the token ids that are accepted now, and decides what
//! a refresh of one of them gives. It does no I/O, so a store runs it inside its own transaction.
//!
//! The tokens of a session are a chain, oldest first: the successor of each is the next one. Only the last token can get a
//! new successor, so two refreshes of one token can't mint two.
//!
//! ```text
//!   t0 ──refresh──▶ t1 ──refresh──▶ t2
//!   until its grace  until its grace  until its exp
//! ```

use std::time::Duration;

use smallvec::smallvec;

use super::{
    Client, RefreshGrant, SessionId, TokenId, TokenPolicy, TokenRecord, UserId, Whitelist, WhitelistEntry,
};
use crate::clock::Timestamp;

/// The most tokens of one session that are accepted at a time. Only a client that refreshes many times within one grace
/// reaches it, and then gets the same token back until the oldest one has expired.
pub const MAX_ACCEPTED: usize = 32;

/// How long a session counts as confirmed after its user has given their password.
pub const CONFIRMED_FOR: Duration = Duration::from_mins(15);

/// Whether a session whose user last gave their password at `confirmed_at` counts as confirmed at `now`. A moment that a clock
/// noted that was ahead confirms nothing.
#[must_use]
pub fn is_confirmed(confirmed_at: Timestamp, now: Timestamp) -> bool {
    confirmed_at <= now && now < confirmed_at.plus(CONFIRMED_FOR)
}

/// One sign-in, and those of its tokens that are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Names the session.
    pub id: SessionId,
    /// The user who signed in.
    pub user: UserId,
    /// When the user signed in.
    pub created_at: Timestamp,
    /// The first second at which the session has ended, whatever is refreshed.
    pub ends_at: Timestamp,
    /// The whitelist of this session: a chain, oldest first.
    pub tokens: Whitelist,
    /// The refresh token that is accepted; `None` if the session has none.
    pub refresh: Option<RefreshGrant>,
    /// The client that signed in.
    pub client: Client,
    /// When one of its tokens was used last; it may have been used later than this.
    pub used_at: Timestamp,
}

/// What a refresh gives. A caller must handle each case, so the set is closed.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresh {
    /// A new token, now the session's newest.
    Minted(TokenRecord),
    /// An existing token: the presented one itself outside its window, or the successor that an earlier refresh of it gave.
    Stands(TokenRecord),
    /// The presented token is not accepted, or no longer accepted.
    Refused,
}

impl Session {
    /// A session that starts at `now` and lasts for `max_lifetime`, and its first token.
    #[must_use]
    pub fn start(
        user: UserId,
        lifetime: Duration,
        max_lifetime: Duration,
        now: Timestamp,
    ) -> (Self, TokenRecord) {
        let ends_at = now.plus(max_lifetime);
        let token = TokenRecord::issue(now, lifetime, ends_at);
        let session = Self {
            id: SessionId::generate(now),
            user,
            created_at: now,
            ends_at,
            tokens: smallvec![WhitelistEntry::fresh(token)],
            refresh: None,
            client: Client::default(),
            used_at: now,
        };
        (session, token)
    }

    /// The token named `id`. Returns `None` if it is not accepted at `now`.
    #[must_use]
    pub fn accepts(&self, id: TokenId, now: Timestamp) -> Option<TokenRecord> {
        let entry = self.tokens.iter().find(|entry| entry.token.id == id)?;
        (now < entry.accepted_until).then_some(entry.token)
    }

    /// The first second at which none of its tokens is accepted.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        let access = self.tokens.last().map(|entry| entry.accepted_until);
        let refresh = self.refresh.map(|grant| grant.expires_at);
        access.max(refresh).unwrap_or_default()
    }

    /// Exchanges the token named `presented` at `now`. Inside its window it gets a successor, and stays accepted itself for
    /// the grace, but never past its own `exp`. A second refresh of the same token gives the same successor.
    pub fn refresh(&mut self, presented: TokenId, policy: &TokenPolicy, now: Timestamp) -> Refresh {
        self.tokens.retain(|entry| now < entry.accepted_until);
        let Some(place) = self.tokens.iter().position(|entry| entry.token.id == presented) else {
            return Refresh::Refused;
        };
        if let Some(successor) = self.tokens.get(place + 1) {
            return Refresh::Stands(successor.token);
        }
        let newest = self.tokens[place].token;
        if self.is_full() || now < policy.window_opens(newest, self.ends_at) {
            return Refresh::Stands(newest);
        }
        Refresh::Minted(self.mint(policy, now))
    }

    /// Whether the session accepts as many tokens as it can.
    pub(super) fn is_full(&self) -> bool {
        self.tokens.len() >= MAX_ACCEPTED
    }

    /// Mints the successor of the newest token. That one stays accepted for the grace, and never past its own `exp`.
    pub(super) fn mint(&mut self, policy: &TokenPolicy, now: Timestamp) -> TokenRecord {
        if let Some(newest) = self.tokens.last_mut() {
            newest.accepted_until = newest.token.expires_at.min(now.plus(policy.refresh_grace));
        }
        let successor = TokenRecord::issue(now, policy.lifetime, self.ends_at);
        self.tokens.push(WhitelistEntry::fresh(successor));
        self.used_at = self.used_at.max(now);
        successor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: TokenPolicy = TokenPolicy {
        lifetime: Duration::from_mins(5),
        refresh_window: Duration::from_secs(30),
        refresh_grace: Duration::from_secs(10),
    };

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    fn session() -> (Session, TokenRecord) {
        Session::start(
            UserId::generate(at(0)),
            POLICY.lifetime,
            Duration::from_secs(1000),
            at(0),
        )
    }

    fn mint(session: &mut Session, presented: TokenRecord, now: u64) -> TokenRecord {
        match session.refresh(presented.id, &POLICY, at(now)) {
            Refresh::Minted(token) => token,
            other => panic!("at {now}: {other:?}"),
        }
    }

    #[test]
    fn a_token_is_accepted_to_the_last_second_of_its_life() {
        let (session, first) = session();
        assert_eq!(session.accepts(first.id, at(299)), Some(first));
        assert_eq!(session.accepts(first.id, at(300)), None);
        assert_eq!(session.accepts(TokenId::generate(), at(0)), None);
    }

    #[test]
    fn a_session_is_confirmed_for_a_quarter_of_an_hour() {
        assert!(is_confirmed(at(50), at(50)) && is_confirmed(at(50), at(949)));
        assert!(!is_confirmed(at(50), at(950)));
        assert!(!is_confirmed(at(50), at(49)), "a clock noted it that was ahead");
    }

    #[test]
    fn the_window_opens_to_the_second() {
        let (mut session, first) = session();
        assert_eq!(
            session.refresh(first.id, &POLICY, at(269)),
            Refresh::Stands(first)
        );
        assert_eq!(mint(&mut session, first, 270).expires_at, at(570));
    }

    #[test]
    fn a_second_refresh_gets_the_same_successor_within_the_grace() {
        let (mut session, first) = session();
        let second = mint(&mut session, first, 280);

        assert_eq!(
            session.refresh(first.id, &POLICY, at(289)),
            Refresh::Stands(second)
        );
        assert_eq!(session.accepts(first.id, at(289)), Some(first));

        assert_eq!(session.accepts(first.id, at(290)), None);
        assert_eq!(session.refresh(first.id, &POLICY, at(290)), Refresh::Refused);
        assert_eq!(session.accepts(second.id, at(579)), Some(second));
        assert_eq!(session.expires_at(), at(580));
    }

    #[test]
    fn the_grace_never_outlives_the_token() {
        let (mut session, first) = session();
        mint(&mut session, first, 295);
        assert_eq!(session.accepts(first.id, at(299)), Some(first));
        assert_eq!(session.accepts(first.id, at(300)), None);
    }

    #[test]
    fn a_token_that_lasts_as_long_as_its_session_has_no_successor() {
        let (mut session, mut token) = session();
        for now in [270, 540, 810] {
            token = mint(&mut session, token, now);
        }
        assert_eq!(token.expires_at, at(1000), "cut from 1110");
        assert_eq!(POLICY.window_opens(token, session.ends_at), at(1000));
        assert_eq!(
            session.refresh(token.id, &POLICY, at(999)),
            Refresh::Stands(token)
        );
        assert_eq!(session.refresh(token.id, &POLICY, at(1000)), Refresh::Refused);
    }

    #[test]
    fn in_an_always_open_window_each_token_keeps_its_successor() {
        let eager = TokenPolicy {
            refresh_window: POLICY.lifetime,
            ..POLICY
        };
        let (mut session, first) = session();
        let mut chain = vec![first];
        for now in 0..3 {
            let newest = chain[chain.len() - 1];
            let Refresh::Minted(next) = session.refresh(newest.id, &eager, at(now)) else {
                panic!()
            };
            chain.push(next);
        }
        for pair in chain.windows(2) {
            assert_eq!(
                session.refresh(pair[0].id, &eager, at(5)),
                Refresh::Stands(pair[1])
            );
        }
    }

    #[test]
    fn a_session_never_accepts_more_than_its_bound() {
        let eager = TokenPolicy {
            refresh_window: POLICY.lifetime,
            ..POLICY
        };
        let (mut session, mut newest) = session();
        for _ in 1..MAX_ACCEPTED {
            let Refresh::Minted(next) = session.refresh(newest.id, &eager, at(0)) else {
                panic!()
            };
            newest = next;
        }
        assert_eq!(session.refresh(newest.id, &eager, at(9)), Refresh::Stands(newest));
        assert_eq!(session.tokens.len(), MAX_ACCEPTED);

        assert!(matches!(
            session.refresh(newest.id, &eager, at(10)),
            Refresh::Minted(_)
        ));
        assert_eq!(session.tokens.len(), 2, "the grace of all other tokens has ended");
    }
}

//! The rules of refresh tokens (RFC 9700, section 4.14.2), as part of a [`Session`]: each use spends one refresh token and
//! gives the next. They are numbered within their session, so a session knows which were spent without keeping them.
//!
//! ```text
//!   generation 0 ──use──▶ 1 ──use──▶ 2
//!   reuse: over           the same    good until it is used, for
//!                         pair, for   its lifetime at most
//!                         the grace
//! ```
//!
//! A client that presents the token before the last one, within the grace, has lost an answer or has two tabs open: it gets
//! the same pair. A client that presents an older one, or presents it later, has a copy. One of the two holders is a thief,
//! and the server can't tell which, so the session ends.

use std::time::Duration;

use super::{RefreshGrant, Session, TokenPolicy, TokenRecord, UserId};
use crate::clock::Timestamp;

/// What the use of a refresh token gives. A caller must handle each case, so the set is closed.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshTokenOutcome {
    /// An access token and the next refresh token.
    Minted(TokenRecord, RefreshGrant),
    /// The pair that an earlier use of the same refresh token gave.
    Stands(TokenRecord, RefreshGrant),
    /// The refresh token was spent before, outside the grace: the session, of this user, must end.
    Reused(UserId),
    /// The refresh token was never granted, or it has expired.
    Refused,
}

impl Session {
    /// Gives the session its first refresh token. Unused, it lasts for `lifetime`, but never past the session's end.
    pub fn grant_refresh(&mut self, lifetime: Duration, now: Timestamp) -> RefreshGrant {
        let grant = RefreshGrant {
            generation: 0,
            granted_at: now,
            expires_at: now.plus(lifetime).min(self.ends_at),
        };
        self.refresh = Some(grant);
        grant
    }

    /// Uses the refresh token of this `generation` at `now`. The access token that comes with the next refresh token is the
    /// successor of the session's newest access token, which stays accepted for the grace.
    pub fn rotate(
        &mut self,
        generation: u32,
        policy: &TokenPolicy,
        lifetime: Duration,
        now: Timestamp,
    ) -> RefreshTokenOutcome {
        let Some(grant) = self.refresh.filter(|grant| now < grant.expires_at) else {
            return RefreshTokenOutcome::Refused;
        };
        if generation > grant.generation {
            return RefreshTokenOutcome::Refused;
        }
        let spent = generation < grant.generation;
        let in_grace =
            generation + 1 == grant.generation && now < grant.granted_at.plus(policy.refresh_grace);
        if spent && !in_grace {
            return RefreshTokenOutcome::Reused(self.user);
        }
        self.tokens.retain(|entry| now < entry.accepted_until);
        let newest = self.tokens.last().map(|entry| entry.token);
        if let Some(token) = newest
            && (self.is_full() || (spent && token.issued_at >= grant.granted_at))
        {
            return RefreshTokenOutcome::Stands(token, grant);
        }
        let token = self.mint(policy, now);
        if spent {
            // Its access token expired within the grace. The refresh token that came with it stays valid.
            return RefreshTokenOutcome::Minted(token, grant);
        }
        let next = RefreshGrant {
            generation: generation + 1,
            granted_at: now,
            expires_at: now.plus(lifetime).min(self.ends_at),
        };
        self.refresh = Some(next);
        RefreshTokenOutcome::Minted(token, next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{MAX_ACCEPTED, Refresh, UserId};

    const POLICY: TokenPolicy = TokenPolicy {
        lifetime: Duration::from_mins(5),
        refresh_window: Duration::from_secs(30),
        refresh_grace: Duration::from_secs(10),
    };
    const DAY: Duration = Duration::from_hours(24);
    const WEEK: Duration = Duration::from_hours(7 * 24);

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    fn session() -> (Session, TokenRecord) {
        let (mut session, token) = Session::start(UserId::generate(at(0)), POLICY.lifetime, 30 * DAY, at(0));
        let _ = session.grant_refresh(WEEK, at(0));
        (session, token)
    }

    fn rotate(session: &mut Session, generation: u32, now: u64) -> RefreshTokenOutcome {
        session.rotate(generation, &POLICY, WEEK, at(now))
    }

    #[track_caller]
    fn minted(rotation: RefreshTokenOutcome) -> (TokenRecord, RefreshGrant) {
        match rotation {
            RefreshTokenOutcome::Minted(token, grant) => (token, grant),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_use_gives_a_pair_and_the_old_access_token_the_grace() {
        let (mut session, first) = session();
        let (second, grant) = minted(rotate(&mut session, 0, 100));
        assert_eq!((grant.generation, grant.expires_at), (1, at(100).plus(WEEK)));
        assert_eq!(second.expires_at, at(400));
        assert_eq!(session.accepts(first.id, at(109)), Some(first));
        assert_eq!(session.accepts(first.id, at(110)), None);
        // Days later, when no access token is accepted.
        let (third, grant) = minted(rotate(&mut session, 1, 400_000));
        assert_eq!(grant.generation, 2);
        assert_eq!(session.accepts(third.id, at(400_001)), Some(third));
    }

    #[test]
    fn a_second_use_within_the_grace_gets_the_same_pair() {
        let (mut session, _) = session();
        let user = session.user;
        let (token, grant) = minted(rotate(&mut session, 0, 100));
        for now in [100, 109] {
            assert_eq!(
                rotate(&mut session, 0, now),
                RefreshTokenOutcome::Stands(token, grant)
            );
        }
        assert_eq!(rotate(&mut session, 0, 110), RefreshTokenOutcome::Reused(user));
    }

    #[test]
    fn the_grace_accepts_only_the_last_spent_refresh_token() {
        let (mut session, _) = session();
        let user = session.user;
        let _ = minted(rotate(&mut session, 0, 100));
        let (token, grant) = minted(rotate(&mut session, 1, 101));
        assert_eq!(
            rotate(&mut session, 1, 102),
            RefreshTokenOutcome::Stands(token, grant)
        );
        assert_eq!(rotate(&mut session, 0, 102), RefreshTokenOutcome::Reused(user));
    }

    #[test]
    fn a_refresh_token_expires_unused_and_with_its_session() {
        let (mut session, _) = session();
        let week = WEEK.as_secs();
        assert_eq!(session.expires_at(), at(week));
        assert_eq!(
            rotate(&mut session.clone(), 0, week),
            RefreshTokenOutcome::Refused
        );
        let (mut now, mut generation) = (0, 0);
        while now < 28 * DAY.as_secs() {
            now += 6 * DAY.as_secs();
            let (_, grant) = minted(rotate(&mut session, generation, now));
            generation = grant.generation;
            assert_eq!(grant.expires_at, at(now).plus(WEEK).min(session.ends_at));
            if session.ends_at <= grant.expires_at {
                break;
            }
        }
        let last = 30 * DAY.as_secs() - 1;
        let (token, _) = minted(rotate(&mut session, generation, last));
        assert_eq!(token.expires_at, session.ends_at);
        assert_eq!(
            rotate(&mut session, generation + 1, last + 1),
            RefreshTokenOutcome::Refused
        );
        assert_eq!(session.expires_at(), session.ends_at);
    }

    #[test]
    fn an_expired_or_unknown_refresh_token_is_no_reuse() {
        let (mut session, _) = session();
        let _ = minted(rotate(&mut session, 0, 100));
        assert_eq!(rotate(&mut session, 7, 101), RefreshTokenOutcome::Refused);
        assert_eq!(rotate(&mut session, u32::MAX, 101), RefreshTokenOutcome::Refused);
        assert_eq!(
            rotate(&mut session, 0, 100 + WEEK.as_secs()),
            RefreshTokenOutcome::Refused
        );
        let (mut without, _) = Session::start(UserId::generate(at(0)), POLICY.lifetime, DAY, at(0));
        assert_eq!(rotate(&mut without, 0, 1), RefreshTokenOutcome::Refused);
    }

    #[test]
    fn both_forms_of_refresh_extend_one_chain() {
        let (mut session, first) = session();
        let Refresh::Minted(second) = session.refresh(first.id, &POLICY, at(280)) else {
            panic!()
        };
        let (third, _) = minted(rotate(&mut session, 0, 285));
        assert_eq!(
            session.refresh(first.id, &POLICY, at(286)),
            Refresh::Stands(second)
        );
        assert_eq!(
            session.refresh(second.id, &POLICY, at(286)),
            Refresh::Stands(third)
        );
    }

    #[test]
    fn many_uses_within_one_grace_never_exceed_the_bound() {
        let (mut session, _) = session();
        for generation in 0..100 {
            let expected = u32::try_from(MAX_ACCEPTED - 1).unwrap();
            match rotate(&mut session, generation.min(expected), 1) {
                RefreshTokenOutcome::Minted(..) => assert!(generation < expected),
                RefreshTokenOutcome::Stands(_, grant) => assert_eq!(grant.generation, expected),
                other => panic!("{other:?}"),
            }
            assert!(session.tokens.len() <= MAX_ACCEPTED);
        }
    }

    #[test]
    fn an_access_token_that_expired_in_the_grace_is_minted_again() {
        let short = TokenPolicy {
            lifetime: Duration::from_secs(2),
            ..POLICY
        };
        let (mut session, _) = session();
        let (first, grant) = minted(session.rotate(0, &short, WEEK, at(100)));
        let (second, same) = minted(session.rotate(0, &short, WEEK, at(103)));
        assert_eq!(grant, same);
        assert_ne!(first.id, second.id);
    }
}

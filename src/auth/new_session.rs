//! A session as it begins, at a sign-in or with a new password: with its first access token and, if the settings say so, its
//! first refresh token.

use super::{Auth, AuthError, IssuedToken, issue::Of};
use crate::domain::{RefreshGrant, RequestContext, Session, TokenRecord, User, UserId};

/// What is issued of a new session once the store has it.
#[derive(Clone, Copy)]
pub(super) struct FirstTokens {
    pub(super) of: Of,
    token: TokenRecord,
    grant: Option<RefreshGrant>,
}

impl Auth {
    /// A session that begins now, for a client that has shown that it is `user`.
    pub(super) fn new_session(&self, user: UserId, context: &RequestContext) -> (Session, FirstTokens) {
        let (now, rules) = (self.now(), self.limits().session);
        let (mut session, token) = Session::start(user, self.0.policy.lifetime, rules.max_lifetime, now);
        session.client = context.client.clone();
        let grant = rules
            .refresh_tokens
            .map(|lifetime| session.grant_refresh(lifetime, now));
        let of = Of {
            session: session.id,
            ends_at: session.ends_at,
        };
        (session, FirstTokens { of, token, grant })
    }

    /// Issues the `first` tokens of a session of `user`, which the store has.
    pub(super) fn issue_first(&self, user: &User, first: FirstTokens) -> Result<IssuedToken, AuthError> {
        let FirstTokens { of, token, grant } = first;
        let mut issued = self.issue(user, of, token, true)?;
        issued.refresh = grant.map(|grant| self.issue_refresh(of.session, grant));
        Ok(issued)
    }
}

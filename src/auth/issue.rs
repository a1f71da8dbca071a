//! Access tokens and refresh tokens as they are issued, with their times.

use std::time::Duration;

use secrecy::SecretString;

use super::{Auth, AuthError};
use crate::{
    clock::Timestamp,
    domain::{RefreshGrant, SessionId, TokenRecord, User, UserId},
};

/// An issued access token.
#[derive(Debug)]
pub struct IssuedToken {
    /// The token itself.
    pub token: SecretString,
    /// How long it is valid.
    pub expires_in: Duration,
    /// How long until its refresh window opens; zero inside it. It never opens for a token that lasts to the end of its
    /// session: then this is `expires_in`.
    pub refresh_in: Duration,
    /// Whether this answer minted the token.
    pub refreshed: bool,
    /// The refresh token that comes with it. `None` if there is none.
    pub refresh: Option<IssuedRefreshToken>,
    /// The device token that the client may present at its next sign-in. `None` if it is given none.
    pub device_token: Option<SecretString>,
    /// The user whose token it is.
    pub user: UserId,
}

/// An issued refresh token.
#[derive(Debug)]
pub struct IssuedRefreshToken {
    /// The token itself.
    pub token: SecretString,
    /// How long it is valid if it is not used.
    pub expires_in: Duration,
}

/// The session that tokens are issued of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Of {
    pub(super) session: SessionId,
    pub(super) ends_at: Timestamp,
}

impl Auth {
    /// Signs `token` of `user`.
    pub(super) fn issue(
        &self,
        user: &User,
        of: Of,
        token: TokenRecord,
        refreshed: bool,
    ) -> Result<IssuedToken, AuthError> {
        let text = self
            .0
            .tokens
            .sign(user, of.session, token, self.ahead_of_tokens())?;
        Ok(self.describe(user.id, text, of, token, refreshed))
    }

    /// Describes a `token` that has been signed as `text`.
    pub(super) fn describe(
        &self,
        user: UserId,
        text: SecretString,
        of: Of,
        token: TokenRecord,
        refreshed: bool,
    ) -> IssuedToken {
        let now = self.now();
        IssuedToken {
            token: text,
            expires_in: token.expires_at.since(now),
            refresh_in: self.0.policy.window_opens(token, of.ends_at).since(now),
            refreshed,
            refresh: None,
            device_token: None,
            user,
        }
    }

    pub(super) fn issue_refresh(&self, session: SessionId, grant: RefreshGrant) -> IssuedRefreshToken {
        IssuedRefreshToken {
            token: self.0.refresh_tokens.write(session, grant.generation),
            expires_in: grant.expires_at.since(self.now()),
        }
    }
}

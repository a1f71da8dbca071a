//! A session from sign-in to log-out. The rules of refreshing are [`Session::refresh`](crate::domain::Session::refresh).

use std::time::Duration;

use secrecy::SecretString;

use super::{Auth, AuthError, CredentialsRefusal, Principal, TokenRefusal, password_check::Claimant};
use crate::{
    clock::Timestamp,
    domain::{
        BearerToken, ClientAddress, Password, Refresh, Session, SessionId, TokenRecord, User, UserId,
        Username,
    },
};

/// What a sign-in claims. A name or a password that can't be anybody's is kept as nothing, so that it costs the same
/// work and gets the same answer as a wrong one.
#[derive(Debug)]
pub struct Credentials {
    username: Option<Username>,
    password: Option<Password>,
}

impl Credentials {
    /// What `username` and `password` claim.
    #[must_use]
    pub fn new(username: &str, password: SecretString) -> Self {
        Self {
            username: Username::parse(username).ok(),
            password: Password::parse(password).ok(),
        }
    }
}

/// A token, ready to be handed out.
#[derive(Debug)]
pub struct IssuedToken {
    /// The token itself.
    pub token: SecretString,
    /// How long it is good.
    pub expires_in: Duration,
    /// How long until its refresh window opens; zero inside it. It never opens for a token that lasts to the end of its
    /// session: then this is `expires_in`.
    pub refresh_in: Duration,
    /// Whether this answer made the token.
    pub refreshed: bool,
    /// Who it speaks for.
    pub user: UserId,
}

impl Auth {
    /// Starts a session for who knows the password. `from` is where they are, if that is known: unless it is, the attempts
    /// of one address are not counted, and everybody is a stranger.
    ///
    /// # Errors
    /// [`AuthError::InvalidCredentials`], the same and after the same work whatever was wrong;
    /// [`AccountDisabled`](AuthError::AccountDisabled), only after the right password;
    /// [`TooManyAttempts`](AuthError::TooManyAttempts) after too many wrong ones; [`Busy`](AuthError::Busy), or a failure
    /// of the server.
    pub async fn sign_in(
        &self,
        claimed: Credentials,
        from: Option<ClientAddress>,
    ) -> Result<IssuedToken, AuthError> {
        let name = claimed.username.as_ref();
        let user = match name {
            Some(name) => self.0.accounts.store.user_by_name(name).await?,
            None => None,
        };
        let claimant = Claimant { name, user, from };
        let user = self.check_password(claimant, claimed.password).await?;
        let now = self.now();
        let (session, token) = Session::start(user.id, self.0.policy.lifetime, self.0.session_lifetime, now);
        let (id, ends_at) = (session.id, session.ends_at);
        let user = self
            .0
            .accounts
            .store
            .open_session(session, user.password_version)
            .await?;
        let user = user.ok_or(AuthError::InvalidCredentials(
            CredentialsRefusal::ChangedMeanwhile,
        ))?;
        self.issue(&user, id, ends_at, token, true)
    }

    /// Who `token` speaks for: its signature, its claims and the whitelist must all say so, and the user must not be
    /// disabled.
    ///
    /// # Errors
    /// [`AuthError::TokenRefused`], or a failure of the server.
    pub async fn authenticate(&self, token: &BearerToken) -> Result<Principal, AuthError> {
        let now = self.now();
        let claims = self
            .0
            .tokens
            .verify(token, now)
            .map_err(AuthError::TokenRefused)?;
        let accepted = self
            .0
            .accounts
            .store
            .accepted(claims.session, claims.token.id, now)
            .await?;
        let accepted = accepted.ok_or(AuthError::TokenRefused(TokenRefusal::NotOnTheWhitelist))?;
        if accepted.user.id != claims.user || accepted.token != claims.token {
            return Err(AuthError::TokenRefused(TokenRefusal::NotOnTheWhitelist));
        }
        if accepted.user.disabled {
            return Err(AuthError::TokenRefused(TokenRefusal::AccountDisabled));
        }
        Ok(Principal::new(
            accepted.user,
            claims.session,
            accepted.session_ends_at,
            accepted.token,
        ))
    }

    /// Inside its refresh window, exchanges `token` for its successor; earlier, gives the same one back. A second refresh of
    /// the same token gives the same successor.
    ///
    /// # Errors
    /// As [`authenticate`](Self::authenticate).
    pub async fn refresh(&self, token: &BearerToken) -> Result<IssuedToken, AuthError> {
        let principal = self.authenticate(token).await?;
        let (session, presented) = (principal.session_id(), principal.token());
        let store = &self.0.accounts.store;
        let (successor, minted) = match store
            .refresh(session, presented.id, self.0.policy, self.now())
            .await?
        {
            Refresh::Minted(successor) => (successor, true),
            Refresh::Stands(standing) => (standing, false),
            Refresh::Refused => return Err(AuthError::TokenRefused(TokenRefusal::NotOnTheWhitelist)),
        };
        if successor == presented {
            return Ok(self.describe(
                principal.id(),
                token.expose().into(),
                principal.session_ends_at(),
                presented,
                false,
            ));
        }
        self.issue(
            principal.user(),
            session,
            principal.session_ends_at(),
            successor,
            minted,
        )
    }

    /// Ends the session of `token` and returns whose it was: this token, its predecessor and its successor are dead when
    /// this has returned.
    ///
    /// # Errors
    /// As [`authenticate`](Self::authenticate).
    pub async fn log_out(&self, token: &BearerToken) -> Result<UserId, AuthError> {
        let principal = self.authenticate(token).await?;
        self.0
            .accounts
            .store
            .close_session(principal.session_id())
            .await?;
        Ok(principal.id())
    }

    fn issue(
        &self,
        user: &User,
        session: SessionId,
        session_ends_at: Timestamp,
        token: TokenRecord,
        refreshed: bool,
    ) -> Result<IssuedToken, AuthError> {
        let text = self.0.tokens.sign(user, session, token)?;
        Ok(self.describe(user.id, text, session_ends_at, token, refreshed))
    }

    fn describe(
        &self,
        user: UserId,
        text: SecretString,
        session_ends_at: Timestamp,
        token: TokenRecord,
        refreshed: bool,
    ) -> IssuedToken {
        let now = self.now();
        IssuedToken {
            token: text,
            expires_in: token.expires_at.since(now),
            refresh_in: self.0.policy.window_opens(token, session_ends_at).since(now),
            refreshed,
            user,
        }
    }
}

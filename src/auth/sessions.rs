//! A session from sign-in to log-out, and the check of its tokens.

use std::sync::Arc;

use secrecy::SecretString;

use super::{
    Auth, AuthError, CredentialsRefusal, DeviceClaim, IssuedToken, Principal, SignedIn, TokenRefusal,
    issue::Of, parts::to_its_end, password_check::Claimant,
};
use crate::{
    clock::Timestamp,
    domain::{BearerToken, Password, RequestContext, SessionId, User, UserId, Username},
    event::{Actor, EventKind, SignInFailure},
    store::Accepted,
    tokens::{VerifiedClaims, api_token},
};

/// What a sign-in claims. A name or a password that no user can have becomes `None`: it costs the same work and gets the same
/// answer as a wrong one.
#[derive(Debug)]
pub struct Credentials {
    username: Option<Username>,
    password: Option<Password>,
    device: DeviceClaim,
}

impl Credentials {
    /// What `username` and `password` claim, by a client that has nothing to do with device tokens.
    #[must_use]
    pub fn new(username: &str, password: SecretString) -> Self {
        Self {
            username: Username::parse(username).ok(),
            password: Password::parse(password).ok(),
            device: DeviceClaim::default(),
        }
    }

    /// The same, by a client that also claims `device`.
    #[must_use]
    pub fn with_device(self, device: DeviceClaim) -> Self {
        Self { device, ..self }
    }
}

impl Auth {
    /// Starts a session for a client that knows the password. Unless `context` says where the client is, it is a stranger, and
    /// the attempts of its address are not counted.
    ///
    /// # Errors
    /// [`AuthError::InvalidCredentials`], the same and after the same work for every cause;
    /// [`AccountDisabled`](AuthError::AccountDisabled) and [`PasswordChangeRequired`](AuthError::PasswordChangeRequired), only
    /// after the right password;
    /// [`TooManyAttempts`](AuthError::TooManyAttempts) after too many wrong ones; [`Busy`](AuthError::Busy), or a failure
    /// of the server.
    pub async fn sign_in(
        &self,
        claimed: Credentials,
        context: &RequestContext,
    ) -> Result<IssuedToken, AuthError> {
        let name = claimed.username.as_ref();
        let user = match name {
            Some(name) => self.store().user_by_name(name).await?,
            None => None,
        };
        let subject = user.as_ref().map(|user| user.id);
        let signed_in = self.sign_in_as(user, claimed, context).await;
        if let Err(error) = &signed_in
            && let Some(reason) = failure(error)
        {
            let kind = EventKind::SignInFailed { reason };
            self.emit(kind, subject, Actor::Anonymous, context);
        }
        signed_in
    }

    /// Starts a session for `user`, whose name is the claimed one, if the claimed password is theirs.
    async fn sign_in_as(
        &self,
        user: Option<Arc<User>>,
        claimed: Credentials,
        context: &RequestContext,
    ) -> Result<IssuedToken, AuthError> {
        let claimant = Claimant {
            name: claimed.username.as_ref(),
            user,
            actor: Actor::Anonymous,
            device: claimed.device.hash(),
            context,
        };
        let checked = self.check_password(claimant, claimed.password).await?;
        let id = checked.user.id;
        let changed_meanwhile =
            move || AuthError::InvalidCredentials(CredentialsRefusal::ChangedMeanwhile(id));
        if checked.user.must_change_password {
            let refusal = self.require_password_change(&checked.user).await?;
            return Err(refusal.unwrap_or_else(changed_meanwhile));
        }
        let (user, device) = (checked.user, claimed.device.settle(checked.device_is_known));
        let (auth, context) = (self.clone(), context.clone());
        let opening = async move {
            let _minting = auth.0.accounts.minting.read().await;
            let (session, first) = auth.new_session(user.id, &context);
            let at_most = auth.limits().session.max_per_user;
            let (device_token, noted) = device.unzip();
            let opened = auth
                .store()
                .open_session(session, user.password_version, at_most, noted);
            let user = opened.await?.ok_or_else(changed_meanwhile)?;
            let session = first.of.session;
            let kind = EventKind::SignedIn { session };
            auth.emit(kind, Some(user.id), session_of(user.id, session), &context);
            let mut issued = auth.issue_first(&user, first)?;
            issued.device_token = device_token;
            Ok(issued)
        };
        to_its_end(opening).await
    }

    /// The principal of `token`. The signature and the claims of an access token must be valid and the whitelist must have it; an
    /// API token must be known. The user must not be disabled.
    ///
    /// # Errors
    /// [`AuthError::TokenRefused`], or a failure of the server.
    pub async fn authenticate(&self, token: &BearerToken) -> Result<Principal, AuthError> {
        match self.recognise(token.expose().as_bytes()) {
            Some(known) => known,
            None => self.authenticate_anew(token).await,
        }
    }

    /// What [`authenticate`](Self::authenticate) returns for `text`, if it is at hand: exactly that text was accepted before, and
    /// its session in memory is not outdated.
    pub(crate) fn recognise(&self, text: &[u8]) -> Option<Result<Principal, AuthError>> {
        let now = self.now();
        let (claims, accepted) = self.0.tokens.recognise(text, now)?;
        Some(admit(claims, accepted, now))
    }

    /// What [`authenticate`](Self::authenticate) returns for a token that is not recognised.
    ///
    /// # Errors
    /// As [`authenticate`](Self::authenticate).
    pub(crate) async fn authenticate_anew(&self, token: &BearerToken) -> Result<Principal, AuthError> {
        if token.expose().starts_with(api_token::PREFIX) {
            return self.authenticate_api_token(token).await;
        }
        let (now, store, tokens) = (self.now(), self.store(), &self.0.tokens);
        let found = tokens
            .verify(token, now, self.ahead_of_tokens())
            .map_err(AuthError::TokenRefused)?;
        let said = found.said();
        let asked = store.live_session(said.session).and_then(|session| {
            let accepted = Arc::clone(&session).accepted(said.token.id, now).ok()?;
            Some((Some(session), accepted))
        });
        let (session, accepted) = match asked {
            Some(answered) => answered,
            None => (None, store.accepted(said.session, said.token.id, now).await?),
        };
        let principal = admit(said, accepted, now)?;
        tokens.remember(&found, session);
        Ok(principal)
    }

    /// Ends the session. When this has returned, the token that was presented, its predecessor and its successor are refused.
    ///
    /// # Errors
    /// A failure of the store, after which the session may or may not have ended.
    pub async fn log_out(&self, user: &SignedIn, context: &RequestContext) -> Result<(), AuthError> {
        let session = user.session_id();
        let kind = EventKind::LoggedOut { session };
        self.close_session(session, kind, None, context).await?;
        Ok(())
    }

    /// Ends `session` and returns whose it was, after an event of this `kind`. The `actor` is the user by that session, unless
    /// it is given. Returns `None` if there is no such session.
    pub(super) async fn close_session(
        &self,
        session: SessionId,
        kind: EventKind,
        actor: Option<Actor>,
        context: &RequestContext,
    ) -> Result<Option<UserId>, AuthError> {
        let (parts, context) = (self.0.parts.clone(), context.clone());
        let ending = async move {
            let whose = parts.store.close_session(session).await?;
            if let Some(user) = whose {
                let actor = actor.unwrap_or_else(|| session_of(user, session));
                parts.emit(kind, Some(user), actor, &context);
            }
            Ok(whose)
        };
        to_its_end(ending).await
    }
}

/// The user, by this session.
pub(super) fn session_of(user: UserId, session: SessionId) -> Actor {
    Actor::User {
        id: user,
        session: Some(session),
        api_token: None,
    }
}

/// What a failed sign-in is to the listeners. Returns `None` if the server failed, or if the throttle refused: that is an event
/// of its own.
fn failure(error: &AuthError) -> Option<SignInFailure> {
    match error {
        AuthError::InvalidCredentials(why) => Some(match why {
            CredentialsRefusal::Malformed(_) => SignInFailure::Malformed,
            CredentialsRefusal::NoSuchUser => SignInFailure::NoSuchUser,
            CredentialsRefusal::WrongPassword(_) => SignInFailure::WrongPassword,
            CredentialsRefusal::ChangedMeanwhile(_) => SignInFailure::ChangedMeanwhile,
        }),
        AuthError::AccountDisabled(_) => Some(SignInFailure::AccountDisabled),
        AuthError::PasswordChangeRequired { .. } => Some(SignInFailure::PasswordChangeRequired),
        AuthError::Busy { .. } => Some(SignInFailure::Busy),
        _ => None,
    }
}

/// The principal of a verified token at `now`, if the whitelist accepts it.
fn admit(claims: VerifiedClaims, accepted: Option<Accepted>, now: Timestamp) -> Result<Principal, AuthError> {
    let accepted = accepted.ok_or(AuthError::TokenRefused(TokenRefusal::NotOnTheWhitelist))?;
    let user: &User = &accepted.user;
    if user.id != claims.user || !accepted.token.is_shown_by(&claims.token) {
        return Err(AuthError::TokenRefused(TokenRefusal::NotOnTheWhitelist));
    }
    if user.disabled {
        return Err(AuthError::TokenRefused(TokenRefusal::AccountDisabled));
    }
    let of = Of {
        session: claims.session,
        ends_at: accepted.session_ends_at,
    };
    Ok(Principal::of_session(accepted.user, of, accepted.token, now))
}

//! A user who has signed in: the proof that a person asks, and no API token.

use super::{AuthError, Principal, issue::Of};
use crate::{
    domain::{Roles, SessionId, SharedUser, TokenRecord, User, UserId, Username},
    event::Actor,
};

/// A [`Principal`] that presented a session. Every verb that only a person may use takes one.
///
/// An API token yields none: else a client that finds one could make another that outlives it, or shut its owner out.
#[derive(Clone, Debug)]
pub struct SignedIn {
    user: SharedUser,
    token: TokenRecord,
    of: Of,
}

impl SignedIn {
    pub(super) fn new(user: SharedUser, token: TokenRecord, of: Of) -> Self {
        Self { user, token, of }
    }

    /// Names the user for ever.
    #[must_use]
    pub fn id(&self) -> UserId {
        self.user.id
    }

    /// What the user signs in with.
    #[must_use]
    pub fn username(&self) -> &Username {
        &self.user.username
    }

    /// The user's roles.
    #[must_use]
    pub fn roles(&self) -> &Roles {
        // Those that hold at the moment of the request: a principal has no others.
        self.user.roles.lasting()
    }

    /// The session that they presented.
    #[must_use]
    pub fn session_id(&self) -> SessionId {
        self.of.session
    }

    pub(super) fn user(&self) -> &User {
        &self.user
    }

    /// The access token that they presented.
    pub(super) fn token(&self) -> TokenRecord {
        self.token
    }

    /// The session, with its end.
    pub(super) fn of(&self) -> Of {
        self.of
    }

    pub(super) fn actor(&self) -> Actor {
        Actor::User {
            id: self.id(),
            session: Some(self.session_id()),
            api_token: None,
        }
    }
}

impl Principal {
    /// The user who has signed in, if this is one.
    ///
    /// # Errors
    /// [`AuthError::SessionRequired`] for an API token.
    pub fn signed_in(&self) -> Result<SignedIn, AuthError> {
        let (token, of) = self.session().ok_or(AuthError::SessionRequired(self.id()))?;
        Ok(SignedIn::new(self.shared_user(), token, of))
    }
}

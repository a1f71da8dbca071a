//! Who a verified token speaks for.

use std::sync::Arc;

use super::AuthError;
use crate::{
    clock::Timestamp,
    domain::{DisplayName, Role, Roles, SessionId, TokenRecord, User, UserId, Username},
};

/// Who a verified token speaks for. Only `auth` makes one, and only from a token that its signature, its claims, the
/// whitelist and the user's state all vouch for: holding one is the proof.
#[derive(Clone, Debug)]
pub struct Principal {
    user: Arc<User>,
    session: SessionId,
    session_ends_at: Timestamp,
    token: TokenRecord,
}

impl Principal {
    pub(super) fn new(
        user: Arc<User>,
        session: SessionId,
        session_ends_at: Timestamp,
        token: TokenRecord,
    ) -> Self {
        Self {
            user,
            session,
            session_ends_at,
            token,
        }
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

    /// What the user may be, as of this request.
    #[must_use]
    pub fn roles(&self) -> &Roles {
        &self.user.roles
    }

    /// Whether the user has any of these roles.
    #[must_use]
    pub fn has_any(&self, roles: &[Role]) -> bool {
        roles.iter().any(|role| self.user.roles.contains(role))
    }

    /// Lets pass only who has any of these roles.
    ///
    /// # Errors
    /// [`AuthError::MissingRole`].
    pub(crate) fn require_any(&self, roles: &[Role]) -> Result<(), AuthError> {
        if self.has_any(roles) {
            Ok(())
        } else {
            Err(AuthError::MissingRole(roles.to_vec()))
        }
    }

    /// What to call the user, if they said.
    #[must_use]
    pub fn display_name(&self) -> Option<&DisplayName> {
        self.user.display_name.as_ref()
    }

    /// When the user signed up.
    #[must_use]
    pub fn created_at(&self) -> Timestamp {
        self.user.created_at
    }

    /// Names the sign-in that the token came from.
    #[must_use]
    pub fn session_id(&self) -> SessionId {
        self.session
    }

    /// The first second at which the token is no longer good.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.token.expires_at
    }

    pub(super) fn user(&self) -> &User {
        &self.user
    }

    pub(super) fn token(&self) -> TokenRecord {
        self.token
    }

    pub(super) fn session_ends_at(&self) -> Timestamp {
        self.session_ends_at
    }
}

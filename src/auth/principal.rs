//! The user and the token of a request that was authenticated.

use std::sync::Arc;

use super::{AuthError, issue::Of};
use crate::{
    clock::Timestamp,
    domain::{
        ApiToken, ApiTokenId, Attributes, DisplayName, Role, Roles, SessionId, SharedUser, TokenRecord, User,
        UserId, Username,
    },
    event::Actor,
};

/// The user and the token of a request that was authenticated. Only `auth` makes one: from an access token whose signature and
/// claims are valid, which the whitelist has and whose user is not disabled; or from a known API token whose user is not
/// disabled. Holding one is the proof.
#[derive(Clone, Debug)]
pub struct Principal {
    user: SharedUser,
    proof: Proof,
}

/// What was presented.
#[derive(Clone, Debug)]
enum Proof {
    AccessToken(TokenRecord, Of),
    /// With those of the user's roles that it was made for.
    ApiToken(Arc<ApiToken>, Roles),
}

impl Principal {
    /// The principal of an access token of a session, at `now`.
    pub(super) fn of_session(user: SharedUser, of: Of, token: TokenRecord, now: Timestamp) -> Self {
        Self {
            user: as_of(user, now),
            proof: Proof::AccessToken(token, of),
        }
    }

    /// The principal of an API token of `user`, at `now`.
    pub(super) fn of_api_token(user: SharedUser, token: Arc<ApiToken>, now: Timestamp) -> Self {
        let roles = token.roles_as_of(&user, now);
        Self {
            user: as_of(user, now),
            proof: Proof::ApiToken(token, roles),
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

    /// The roles of this request: the user's present roles, and for an API token those of them that it was made for.
    #[must_use]
    pub fn roles(&self) -> &Roles {
        match &self.proof {
            // Those that hold at the moment of the request: see `as_of`.
            Proof::AccessToken(..) => self.user.roles.lasting(),
            Proof::ApiToken(_, roles) => roles,
        }
    }

    /// Whether it has any of these roles.
    #[must_use]
    pub fn has_any(&self, roles: &[Role]) -> bool {
        roles.iter().any(|role| self.roles().contains(role))
    }

    /// Requires any of these roles.
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

    /// Requires one that may use the administration: the role ADMIN, and for an API token the scope `admin` as well.
    ///
    /// # Errors
    /// [`AuthError::MissingRole`], or [`MissingScope`](AuthError::MissingScope).
    pub(crate) fn require_administrator(&self) -> Result<(), AuthError> {
        self.require_any(&[Role::ADMIN])?;
        match &self.proof {
            Proof::ApiToken(token, _) if !token.may_administer => Err(AuthError::MissingScope(self.id())),
            Proof::ApiToken(..) | Proof::AccessToken(..) => Ok(()),
        }
    }

    /// The user's display name, if they have one.
    #[must_use]
    pub fn display_name(&self) -> Option<&DisplayName> {
        self.user.display_name.as_ref()
    }

    /// All attributes that the user has at the moment.
    #[must_use]
    pub fn attributes(&self) -> &Attributes {
        &self.user.attributes
    }

    /// When the user signed up.
    #[must_use]
    pub fn created_at(&self) -> Timestamp {
        self.user.created_at
    }

    /// The session of the token. Returns `None` for an API token.
    #[must_use]
    pub fn session_id(&self) -> Option<SessionId> {
        match &self.proof {
            Proof::AccessToken(_, of) => Some(of.session),
            Proof::ApiToken(..) => None,
        }
    }

    /// The id of the token: the `jti` of an access token, the id of an API token.
    #[must_use]
    pub fn token_id(&self) -> String {
        match &self.proof {
            Proof::AccessToken(token, _) => token.id.to_string(),
            Proof::ApiToken(token, _) => token.id.to_string(),
        }
    }

    /// The id of the API token. Returns `None` for an access token.
    #[must_use]
    pub fn api_token_id(&self) -> Option<ApiTokenId> {
        match &self.proof {
            Proof::AccessToken(..) => None,
            Proof::ApiToken(token, _) => Some(token.id),
        }
    }

    /// When the token was made.
    #[must_use]
    pub fn issued_at(&self) -> Timestamp {
        match &self.proof {
            Proof::AccessToken(token, _) => token.issued_at,
            Proof::ApiToken(token, _) => token.created_at,
        }
    }

    /// The first second at which the token is expired.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        match &self.proof {
            Proof::AccessToken(token, _) => token.expires_at,
            Proof::ApiToken(token, _) => token.expires_at,
        }
    }

    pub(super) fn user(&self) -> &User {
        &self.user
    }

    pub(super) fn shared_user(&self) -> SharedUser {
        self.user.clone()
    }

    /// The access token and its session. Returns `None` if it is an API token.
    pub(super) fn session(&self) -> Option<(TokenRecord, Of)> {
        match &self.proof {
            Proof::AccessToken(token, of) => Some((*token, *of)),
            Proof::ApiToken(..) => None,
        }
    }

    /// This principal, as the listeners of events see it.
    pub(crate) fn actor(&self) -> Actor {
        Actor::User {
            id: self.id(),
            session: self.session_id(),
            api_token: self.api_token_id(),
        }
    }
}

/// The user with the roles that hold at `now`. A user whose roles have no end is shared, and not copied.
fn as_of(user: SharedUser, now: Timestamp) -> SharedUser {
    if user.roles.ending().is_empty() {
        return user;
    }
    Arc::new(user.at(now)).into()
}

//! API tokens, for services: a user who has signed in makes one, and a service presents it like an access token. It ends when
//! it is revoked, when it expires, or with its user.

use std::time::Duration;

use secrecy::SecretString;

use super::{
    Auth, AuthError, Principal, SignedIn, TokenRefusal, error::ApiTokenRejection, parts::to_its_end,
};
use crate::{
    domain::{ApiToken, ApiTokenId, ApiTokenName, BearerToken, RequestContext, Role, Roles, UserId},
    event::{Actor, EventKind},
    store::{AcceptedApiToken, ApiTokenCreation},
    tokens::api_token,
};

/// What a user wants an API token to be.
#[derive(Clone, Debug)]
pub struct NewApiToken {
    /// Its name.
    pub name: ApiTokenName,
    /// Its roles: some of the user's own.
    pub roles: Roles,
    /// Whether it has the scope `admin`: it may use the administration. It needs the role ADMIN then.
    pub may_administer: bool,
    /// How long it is valid, in whole seconds. None is valid for ever: a forgotten token must expire.
    pub lifetime: Duration,
}

/// A new API token. The server can't show its text again.
#[derive(Debug)]
pub struct IssuedApiToken {
    /// The token itself.
    pub text: SecretString,
    /// What the store keeps of it.
    pub record: ApiToken,
}

impl Auth {
    /// Makes an API token that speaks for the user. One that may administer needs a
    /// [recent password](super::Accounts::confirmed_recently): it does without one all that asks a session for one.
    ///
    /// # Errors
    /// [`AuthError::ApiTokenRejected`] with every reason, [`ConfirmationRequired`](AuthError::ConfirmationRequired),
    /// [`TooManyApiTokens`](AuthError::TooManyApiTokens), [`TooManyAttempts`](AuthError::TooManyAttempts) after too many changes,
    /// [`TokenRefused`](AuthError::TokenRefused) if the session has ended
    /// meanwhile, or a failure of the server.
    pub async fn create_api_token(
        &self,
        user: &SignedIn,
        wanted: NewApiToken,
        context: &RequestContext,
    ) -> Result<IssuedApiToken, AuthError> {
        let rules = self.limits().api_tokens;
        let rejections = reject(&wanted, user.roles(), rules.max_lifetime);
        if !rejections.is_empty() {
            return Err(AuthError::ApiTokenRejected(rejections));
        }
        if wanted.may_administer {
            let accounts = &self.0.accounts;
            accounts.require_confirmed(user.session_id(), user.id()).await?;
        }
        self.admit_change(user, context)?;
        let (text, hash) = api_token::fresh();
        let now = self.now();
        let record = ApiToken {
            id: ApiTokenId::generate(now),
            user: user.id(),
            hash,
            name: wanted.name,
            roles: wanted.roles,
            may_administer: wanted.may_administer,
            created_at: now,
            expires_at: now.plus(wanted.lifetime),
            used_at: None,
        };
        let (parts, context) = (self.0.parts.clone(), context.clone());
        let (session, actor, at_most) = (user.session_id(), user.actor(), rules.max_per_user);
        let creation = async move {
            let created = parts.store.create_api_token(record.clone(), session, at_most);
            match created.await? {
                ApiTokenCreation::Created => {
                    let kind = EventKind::ApiTokenCreated { api_token: record.id };
                    parts.emit(kind, Some(record.user), actor, &context);
                    Ok(IssuedApiToken { text, record })
                }
                ApiTokenCreation::TooMany => Err(AuthError::TooManyApiTokens { at_most }),
                ApiTokenCreation::SessionOver => {
                    Err(AuthError::TokenRefused(TokenRefusal::NotOnTheWhitelist))
                }
            }
        };
        to_its_end(creation).await
    }

    /// The user's valid API tokens, oldest first.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn api_tokens(&self, user: &SignedIn) -> Result<Vec<ApiToken>, AuthError> {
        Ok(self.store().api_tokens(user.id(), self.now()).await?)
    }

    /// Revokes one of the user's API tokens. Returns `false` if they have no such token.
    ///
    /// # Errors
    /// [`AuthError::TooManyAttempts`] after too many changes, or a failure of the store.
    pub async fn end_api_token(
        &self,
        user: &SignedIn,
        id: ApiTokenId,
        context: &RequestContext,
    ) -> Result<bool, AuthError> {
        self.admit_change(user, context)?;
        let accounts = &self.0.accounts;
        accounts
            .revoke_api_token(user.id(), id, user.actor(), context)
            .await
    }

    /// Revokes the API token `token` and returns whose it was. Returns `None` if it is no valid one.
    pub(super) async fn revoke_api_token(
        &self,
        token: &BearerToken,
        context: &RequestContext,
    ) -> Result<Option<UserId>, AuthError> {
        match self.look_up(token).await {
            Ok(AcceptedApiToken { user, token }) => {
                let actor = Actor::User {
                    id: user.id,
                    session: None,
                    api_token: Some(token.id),
                };
                let accounts = &self.0.accounts;
                let removed = accounts.revoke_api_token(user.id, token.id, actor, context);
                Ok(removed.await?.then_some(user.id))
            }
            Err(AuthError::TokenRefused(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn authenticate_api_token(&self, token: &BearerToken) -> Result<Principal, AuthError> {
        let AcceptedApiToken { user, token } = self.look_up(token).await?;
        if user.disabled {
            return Err(AuthError::TokenRefused(TokenRefusal::AccountDisabled));
        }
        Ok(Principal::of_api_token(user, token, self.now()))
    }

    async fn look_up(&self, token: &BearerToken) -> Result<AcceptedApiToken, AuthError> {
        let refused = AuthError::TokenRefused;
        let hash = api_token::hash(token.expose()).ok_or(refused(TokenRefusal::NotAnApiToken))?;
        let accepted = self.store().api_token_accepted(hash, self.now()).await?;
        accepted.ok_or(refused(TokenRefusal::UnknownApiToken))
    }
}

/// Every reason to reject `wanted`, for a user with `own` roles.
fn reject(wanted: &NewApiToken, own: &Roles, longest: Duration) -> Vec<ApiTokenRejection> {
    let mut rejections = Vec::new();
    if wanted.roles.is_empty() {
        rejections.push(ApiTokenRejection::NoRole);
    }
    if !wanted.roles.are_among(own) {
        rejections.push(ApiTokenRejection::NotTheirRole);
    }
    if wanted.may_administer && !wanted.roles.contains(&Role::ADMIN) {
        rejections.push(ApiTokenRejection::NoAdministrator);
    }
    // Lifetimes are whole seconds: a shorter token would have expired when it is made.
    if wanted.lifetime.as_secs() == 0 || wanted.lifetime > longest {
        rejections.push(ApiTokenRejection::Lifetime {
            longest: longest.as_secs(),
        });
    }
    rejections
}

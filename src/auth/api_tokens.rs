//! Tokens for services: made by a user who has signed in, presented like any other, and gone when they are revoked, when
//! they expire, or with their user.

use std::time::Duration;

use secrecy::SecretString;

use super::{Auth, AuthError, Principal, TokenRefusal, error::ApiTokenRejection};
use crate::{
    domain::{ApiToken, ApiTokenId, ApiTokenName, BearerToken, Roles, UserId},
    store::{AcceptedApiToken, ApiTokenCreation},
    tokens::api_token,
};

/// What a user wants an API token to be.
#[derive(Clone, Debug)]
pub struct NewApiToken {
    /// What they call it.
    pub name: ApiTokenName,
    /// What it may be: some of what they are themselves.
    pub roles: Roles,
    /// How long it is good, in whole seconds. None is good for ever: one that is forgotten somewhere must end some day.
    pub lifetime: Duration,
}

/// An API token, ready to be handed out: nobody can be shown its text again.
#[derive(Debug)]
pub struct IssuedApiToken {
    /// The token itself.
    pub text: SecretString,
    /// What is remembered of it.
    pub record: ApiToken,
}

impl Auth {
    /// Makes an API token that speaks for the user.
    ///
    /// # Errors
    /// [`AuthError::SessionRequired`], [`ApiTokenRejected`](AuthError::ApiTokenRejected) with all that is wrong,
    /// [`TooManyApiTokens`](AuthError::TooManyApiTokens), [`TokenRefused`](AuthError::TokenRefused) if the session has ended
    /// meanwhile, or a failure of the server.
    pub async fn create_api_token(
        &self,
        principal: &Principal,
        wanted: NewApiToken,
    ) -> Result<IssuedApiToken, AuthError> {
        let (_, of) = principal.session()?;
        let rules = self.0.api_tokens;
        let rejections = reject(&wanted, principal.roles(), rules.max_lifetime);
        if !rejections.is_empty() {
            return Err(AuthError::ApiTokenRejected(rejections));
        }
        let (text, hash) = api_token::fresh();
        let now = self.now();
        let record = ApiToken {
            id: ApiTokenId::generate(now),
            user: principal.id(),
            hash,
            name: wanted.name,
            roles: wanted.roles,
            created_at: now,
            expires_at: now.plus(wanted.lifetime),
            used_at: None,
        };
        let store = &self.0.accounts.store;
        let created = store.create_api_token(record.clone(), of.session, rules.max_per_user);
        match created.await? {
            ApiTokenCreation::Created => Ok(IssuedApiToken { text, record }),
            ApiTokenCreation::TooMany => Err(AuthError::TooManyApiTokens {
                at_most: rules.max_per_user,
            }),
            ApiTokenCreation::SessionOver => Err(AuthError::TokenRefused(TokenRefusal::NotOnTheWhitelist)),
        }
    }

    /// The user's API tokens that are good, oldest first.
    ///
    /// # Errors
    /// [`AuthError::SessionRequired`], or a failure of the server.
    pub async fn api_tokens(&self, principal: &Principal) -> Result<Vec<ApiToken>, AuthError> {
        principal.session()?;
        let store = &self.0.accounts.store;
        Ok(store.api_tokens(principal.id(), self.now()).await?)
    }

    /// Revokes one of the user's API tokens; `false` if they have no such token.
    ///
    /// # Errors
    /// As [`api_tokens`](Self::api_tokens).
    pub async fn end_api_token(&self, principal: &Principal, id: ApiTokenId) -> Result<bool, AuthError> {
        principal.session()?;
        Ok(self.0.accounts.store.remove_api_token(principal.id(), id).await?)
    }

    /// Revokes the API token `token` and returns whose it was; `None` if it is none that is good.
    pub(super) async fn revoke_api_token(&self, token: &BearerToken) -> Result<Option<UserId>, AuthError> {
        match self.look_up(token).await {
            Ok(AcceptedApiToken { user, token }) => {
                let removed = self.0.accounts.store.remove_api_token(user.id, token.id);
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
        Ok(Principal::service(user, token))
    }

    async fn look_up(&self, token: &BearerToken) -> Result<AcceptedApiToken, AuthError> {
        let refused = AuthError::TokenRefused;
        let hash = api_token::hash(token.expose()).ok_or(refused(TokenRefusal::NotAnApiToken))?;
        let store = &self.0.accounts.store;
        let accepted = store.api_token_accepted(hash, self.now()).await?;
        accepted.ok_or(refused(TokenRefusal::UnknownApiToken))
    }
}

/// All that is wrong with what was asked for, by somebody who has `own` roles.
fn reject(wanted: &NewApiToken, own: &Roles, longest: Duration) -> Vec<ApiTokenRejection> {
    let mut rejections = Vec::new();
    if wanted.roles.is_empty() {
        rejections.push(ApiTokenRejection::NoRole);
    }
    if !wanted.roles.are_among(own) {
        rejections.push(ApiTokenRejection::NotTheirRole);
    }
    // Whole seconds: a shorter one would be over when it begins.
    if wanted.lifetime.as_secs() == 0 || wanted.lifetime > longest {
        rejections.push(ApiTokenRejection::Lifetime {
            longest: longest.as_secs(),
        });
    }
    rejections
}

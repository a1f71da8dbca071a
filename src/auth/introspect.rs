//! Introspection (RFC 7662): what a token is worth at this moment, for a service that does not check it itself.

use super::{Auth, AuthError, Principal, TokenRefusal};
use crate::{
    domain::{BearerToken, RequestContext},
    tokens::{Audience, Tokens},
};

/// What a live access token or API token says, and what its user may be as of now.
#[derive(Clone, Debug)]
pub struct Introspection {
    /// Who it speaks for.
    pub principal: Principal,
    /// Who made it.
    pub issuer: String,
    /// Who it is meant for, if it says so.
    pub audience: Option<Audience>,
}

impl Auth {
    /// What `token` is worth, by everything that [`authenticate`](Self::authenticate) checks; `None` if that is nothing, a
    /// refresh token included. `caller` must have one of the `introspection.roles`.
    ///
    /// Only tokens that this server can't ever have issued are counted: a service asks about expired and revoked ones in all
    /// innocence. And they are the only ones that have to wait: who floods a service with made-up tokens must not keep it
    /// from asking about good ones.
    ///
    /// # Errors
    /// [`AuthError::MissingRole`]; [`TooManyAttempts`](AuthError::TooManyAttempts) after too many tokens of another make; or
    /// a failure of the server.
    pub async fn introspect(
        &self,
        caller: &Principal,
        token: &str,
        context: &RequestContext,
    ) -> Result<Option<Introspection>, AuthError> {
        caller.require_any(&self.limits().introspection.roles)?;
        let live = match BearerToken::parse(token) {
            Some(token) => self.authenticate(&token).await.map(|of| (of, token)),
            None => Err(AuthError::TokenRefused(TokenRefusal::Malformed)),
        };
        match live {
            Ok((principal, token)) => Ok(Some(Introspection {
                principal,
                issuer: self.issuer().to_owned(),
                audience: Tokens::audience(&token),
            })),
            Err(AuthError::TokenRefused(why)) => {
                if why.is_foreign() && self.0.refresh_tokens.read(token).is_none() {
                    let admitted = self.0.throttle.admit_foreign_token(caller.id());
                    admitted
                        .map_err(|error| self.throttled(error, Some(caller.id()), caller.actor(), context))?;
                }
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Who this server says that it is: the `iss` of its tokens.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.0.tokens.issuer()
    }
}

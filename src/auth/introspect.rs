//! Introspection (RFC 7662): whether a token is accepted now, for a service that does not verify it itself.

use super::{Auth, AuthError, Principal, TokenRefusal};
use crate::{
    clock::Timestamp,
    domain::{Attributes, BearerToken, RequestContext},
    tokens::{Audience, Tokens},
};

/// What an accepted access token or API token says, with its user's present roles.
#[derive(Clone, Debug)]
pub struct Introspection {
    /// The principal of the token.
    pub principal: Principal,
    /// Its issuer.
    pub issuer: String,
    /// The user's present attributes, of those that become claims.
    pub attributes: Attributes,
    /// Its audience, if it names one.
    pub audience: Option<Audience>,
    /// When it was issued, by the machine's clock.
    pub issued_at: Timestamp,
    /// When it expires, by the machine's clock.
    pub expires_at: Timestamp,
}

impl Auth {
    /// Checks `token` as [`authenticate`](Self::authenticate) does. Returns `None` if it is not accepted, as every refresh token.
    /// `caller` must have one of the `introspection.roles`.
    ///
    /// The throttle counts only tokens that this server can never have issued: expired and revoked ones are an ordinary question.
    /// And it refuses only those: a client that floods a service with made-up tokens must not keep the service from asking about
    /// accepted ones.
    ///
    /// # Errors
    /// [`AuthError::MissingRole`]; [`TooManyAttempts`](AuthError::TooManyAttempts) after too many foreign tokens; or
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
                issued_at: principal.issued_at().minus(self.ahead_of_tokens()),
                expires_at: principal.expires_at().minus(self.ahead_of_tokens()),
                attributes: self.shown_attributes(&principal),
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

    /// The user's present attributes, of those that become claims of their tokens.
    #[must_use]
    pub fn shown_attributes(&self, principal: &Principal) -> Attributes {
        self.0.tokens.shown(principal.user())
    }

    /// The issuer: the `iss` of its tokens.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.0.tokens.issuer()
    }
}

//! What a client presents: access tokens (JSON Web Tokens), refresh tokens, API tokens and one-time codes, how each is written, and what it
//! says. It remembers which access tokens it has verified. It signs and verifies with the keys that it is given, does not know
//! where they come from, and leaves it to the store whether a token is revoked.

pub(crate) mod api_token;
mod cache;
mod checked_text;
mod claims;
pub(crate) mod device_token;
mod encoding;
mod error;
mod jws;
mod jwt;
mod key;
pub(crate) mod one_time_code;
pub(crate) mod refresh_token;

pub use self::{claims::Audience, error::TokenRefusal};
pub(crate) use self::{
    claims::VerifiedClaims, error::SigningError, jwt::Tokens, key::TokenKey, refresh_token::RefreshTokens,
};

#[cfg(test)]
mod tests;

//! Why a token is refused, or can't be signed.

/// Why an access token can't be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SigningError {
    /// The ring has no key with its private half.
    #[error("no key can sign")]
    NoKey,
    /// The signature can't be made.
    #[error("a token could not be signed")]
    Failed,
}

/// Why a token is refused.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    /// It is not three parts of strict base64url, or they are not the JSON of a header and claims.
    #[error("malformed")]
    Malformed,
    /// Its header is not one that this server writes: another algorithm or type, an unknown key, or an extension.
    #[error("not a header of this server")]
    ForeignHeader,
    /// The signature is not that of the key.
    #[error("bad signature")]
    BadSignature,
    /// The claims are incomplete, of the wrong type, or not this server's.
    #[error("claims are missing or wrong")]
    BadClaims,
    /// Another issuer made it.
    #[error("another issuer")]
    WrongIssuer,
    /// It is meant for another audience.
    #[error("another audience")]
    WrongAudience,
    /// It says that it was issued in the future.
    #[error("issued in the future")]
    NotYetValid,
    /// It has expired.
    #[error("expired")]
    Expired,
    /// It was revoked, refreshed longer ago than the grace, or never issued.
    #[error("not on the whitelist")]
    NotOnTheWhitelist,
    /// This server issues no refresh tokens.
    #[error("there are no refresh tokens here")]
    NoRefreshTokens,
    /// This server did not issue it as a refresh token.
    #[error("not a refresh token of this server")]
    NotARefreshToken,
    /// It is a refresh token that was spent before. Its session has ended.
    #[error("a spent refresh token was used again")]
    Reused,
    /// It begins as an API token does, and is none: a typing error, or a forgery.
    #[error("not an API token of this server")]
    NotAnApiToken,
    /// It is an API token that was revoked, has expired or was never made.
    #[error("an unknown, expired or revoked API token")]
    UnknownApiToken,
    /// Its user is disabled.
    #[error("the account is disabled")]
    AccountDisabled,
}

impl TokenRefusal {
    /// Whether its signature was verified and is wrong: the server had the cost of that.
    pub(crate) fn is_forged(self) -> bool {
        matches!(self, Self::BadSignature | Self::NotARefreshToken)
    }

    /// Whether this server can never have issued it: the client guesses, or asks the wrong server.
    pub(crate) fn is_foreign(self) -> bool {
        match self {
            Self::Malformed
            | Self::ForeignHeader
            | Self::BadSignature
            | Self::NoRefreshTokens
            | Self::NotARefreshToken
            | Self::NotAnApiToken => true,
            // Checked only after the signature has been verified.
            Self::BadClaims
            | Self::WrongIssuer
            | Self::WrongAudience
            | Self::NotYetValid
            | Self::Expired
            | Self::NotOnTheWhitelist
            | Self::Reused
            // Its form is right, so it may have been revoked. It can't be guessed.
            | Self::UnknownApiToken
            | Self::AccountDisabled => false,
        }
    }
}

//! JSON Web Tokens: written, and read back with nothing taken on trust. The only file that names jsonwebtoken.
//!
//! | part | holds |
//! |---|---|
//! | header | `alg` (`HS256`), `typ` (`JWT`), `kid`: these three and no others |
//! | claims | `iss`, `sub` (user id), `username`, `roles`, `iat`, `exp`, `jti`, `sid` (session id), and `aud` when configured |
//! | signature | HMAC-SHA-256, RFC 7518, section 3.2 |
//!
//! This server reads only what it wrote itself, so it is stricter than RFC 7519 asks: a header or claim that it does
//! not write is refused rather than ignored, which settles `crit`, `b64`, `zip`, `jwk`, `jku`, `x5u`, `x5c` and `nbf` by
//! one rule. The check reads neither the store nor the system's clock.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, crypto};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::error::{AuthError, TokenRefusal};
use crate::{
    clock::Timestamp,
    config::TokenConfig,
    domain::{BearerToken, SessionId, TokenId, TokenRecord, User, UserId},
    store::StoreError,
};

const ALGORITHM: &str = "HS256";
const TYPE: &str = "JWT";

/// The key that signs and verifies: one algorithm, one `kid`.
pub(super) struct SigningKey {
    id: String,
    encoding: EncodingKey,
    decoding: DecodingKey,
}

impl SigningKey {
    pub(super) fn hs256(id: String, secret: &SecretSlice<u8>) -> Self {
        let secret = secret.expose_secret();
        Self {
            id,
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
        }
    }

    /// What the key makes of a fixed text: the same for the same key, and no help in finding it. The text has no dot, so no
    /// token's signature is ever this.
    pub(super) fn check(&self) -> Result<String, StoreError> {
        crypto::sign(b"jwt-server signing key check", &self.encoding, Algorithm::HS256)
            .map_err(StoreError::failed)
    }
}

/// Signs and verifies access tokens.
pub(super) struct Tokens {
    key: SigningKey,
    issuer: String,
    audience: Vec<String>,
}

/// What a token that passed says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verified {
    pub(super) user: UserId,
    pub(super) session: SessionId,
    pub(super) token: TokenRecord,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    iss: String,
    sub: String,
    username: String,
    roles: Vec<String>,
    iat: Timestamp,
    exp: Timestamp,
    jti: String,
    sid: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    aud: Option<Audience>,
}

/// One name or several: RFC 7519, section 4.1.3.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JoseHeader {
    alg: String,
    kid: String,
    #[serde(default)]
    typ: Option<String>,
}

impl Tokens {
    pub(super) fn new(key: SigningKey, config: &TokenConfig) -> Self {
        Self {
            key,
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
        }
    }

    /// The token that says what `token` does, for `user` in `session`.
    pub(super) fn sign(
        &self,
        user: &User,
        session: SessionId,
        token: TokenRecord,
    ) -> Result<SecretString, AuthError> {
        let claims = Claims {
            iss: self.issuer.clone(),
            sub: user.id.to_string(),
            username: user.username.to_string(),
            roles: user.roles.iter().map(ToString::to_string).collect(),
            iat: token.issued_at,
            exp: token.expires_at,
            jti: token.id.to_string(),
            sid: session.to_string(),
            aud: match self.audience.as_slice() {
                [] => None,
                [one] => Some(Audience::One(one.clone())),
                several => Some(Audience::Several(several.to_vec())),
            },
        };
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(self.key.id.clone());
        let text = jsonwebtoken::encode(&header, &claims, &self.key.encoding);
        text.map(SecretString::from)
            .map_err(|error| AuthError::Internal(format!("a token could not be signed: {error}")))
    }

    /// What `token` says, if this server signed it and it is good at `now`. Whether it has been revoked is not asked here.
    pub(super) fn verify(&self, token: &BearerToken, now: Timestamp) -> Result<Verified, TokenRefusal> {
        let (header, payload) = verify_jws(token.expose(), &self.key)?;
        if header.typ.as_deref() != Some(TYPE) {
            return Err(TokenRefusal::ForeignHeader);
        }
        let claims: Claims = strict_json(&payload).ok_or(TokenRefusal::BadClaims)?;
        if claims.iss != self.issuer {
            return Err(TokenRefusal::WrongIssuer);
        }
        if !self.is_meant_for_us(claims.aud.as_ref()) {
            return Err(TokenRefusal::WrongAudience);
        }
        if claims.exp <= claims.iat {
            return Err(TokenRefusal::BadClaims);
        }
        if now < claims.iat {
            return Err(TokenRefusal::NotYetValid);
        }
        if now >= claims.exp {
            return Err(TokenRefusal::Expired);
        }
        let bad = |_| TokenRefusal::BadClaims;
        Ok(Verified {
            user: UserId::parse(&claims.sub).map_err(bad)?,
            session: SessionId::parse(&claims.sid).map_err(bad)?,
            token: TokenRecord {
                id: TokenId::parse(&claims.jti).map_err(bad)?,
                issued_at: claims.iat,
                expires_at: claims.exp,
            },
        })
    }

    /// RFC 7519, section 4.1.3: who finds `aud` must find themselves in it.
    fn is_meant_for_us(&self, audience: Option<&Audience>) -> bool {
        match audience {
            None => self.audience.is_empty(),
            Some(Audience::One(name)) => self.audience.contains(name),
            Some(Audience::Several(names)) => names.iter().any(|name| self.audience.contains(name)),
        }
    }
}

/// The header and the payload of a JWS in compact serialisation (RFC 7515), if `key` signed it: the signature comes
/// first, nothing of the payload is looked at before.
fn verify_jws(token: &str, key: &SigningKey) -> Result<(JoseHeader, Vec<u8>), TokenRefusal> {
    let mut parts = token.split('.');
    let (Some(head), Some(payload), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(TokenRefusal::Malformed);
    };
    let header = base64url(head).ok_or(TokenRefusal::Malformed)?;
    let header: JoseHeader = strict_json(&header).ok_or(TokenRefusal::ForeignHeader)?;
    if header.alg != ALGORITHM || header.kid != key.id {
        return Err(TokenRefusal::ForeignHeader);
    }
    let signed = &token.as_bytes()[..head.len() + 1 + payload.len()];
    match crypto::verify(signature, signed, &key.decoding, Algorithm::HS256) {
        Ok(true) => {}
        Ok(false) | Err(_) => return Err(TokenRefusal::BadSignature),
    }
    let payload = base64url(payload).ok_or(TokenRefusal::Malformed)?;
    Ok((header, payload))
}

/// RFC 4648, section 5, with one spelling for each value: no padding, no white space, no unused bits.
fn base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// A JSON object with the members of `T` and no others, each once. Without the look at the first byte, an array of the
/// members' values would do as well.
fn strict_json<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let object = bytes.trim_ascii_start().starts_with(b"{");
    object.then(|| serde_json::from_slice(bytes).ok()).flatten()
}

#[cfg(test)]
mod tests;

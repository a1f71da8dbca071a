//! JSON Web Tokens: written, and read back with nothing taken on trust. With `tokens/key.rs` the only file that names
//! jsonwebtoken.
//!
//! | part | holds |
//! |---|---|
//! | header | `alg`, `typ` (`JWT`), `kid`: these three and no others |
//! | claims | `iss`, `sub` (user id), `username`, `roles`, `iat`, `exp`, `jti`, `sid` (session id), and `aud` when configured |
//! | signature | by the key that `kid` names, with that key's own algorithm: RFC 7518, sections 3.2 to 3.4, and RFC 8037 |
//!
//! This server reads only what it wrote itself, so it is stricter than RFC 7519 asks: a header or claim that it does
//! not write is refused rather than ignored, which settles `crit`, `b64`, `zip`, `jwk`, `jku`, `x5u`, `x5c` and `nbf` by
//! one rule. The check asks neither the database nor the system's clock.

mod cache;
mod key;

use std::{
    borrow::Cow,
    ptr,
    sync::{Arc, PoisonError, RwLock},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use self::cache::{Known, VerifiedTokens};
pub(super) use self::key::TokenKey;
use super::error::{AuthError, TokenRefusal};
use crate::{
    clock::Timestamp,
    config::TokenConfig,
    domain::{BearerToken, KeyRing, RingKey, SessionId, TokenId, TokenRecord, User, UserId},
    store::{Accepted, LiveSession},
};

const TYPE: &str = "JWT";

/// Signs and verifies access tokens.
pub(super) struct Tokens {
    /// Replaced as a whole, a few times a year: whoever reads takes the lock for as long as it takes to count one more reader.
    keys: RwLock<Arc<KeyRing<TokenKey>>>,
    issuer: String,
    audience: Vec<String>,
    verified: VerifiedTokens,
}

/// What a token that passed says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verified {
    pub(super) user: UserId,
    pub(super) session: SessionId,
    pub(super) token: TokenRecord,
}

/// A token that was verified, to be remembered if it is accepted.
#[derive(Debug)]
pub(super) struct Found<'a> {
    text: &'a str,
    known: Known,
    /// Whether it was verified before.
    is_remembered: bool,
}

impl Found<'_> {
    /// What it says.
    pub(super) fn said(&self) -> Verified {
        self.known.said
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims<'a> {
    #[serde(borrow)]
    iss: Text<'a>,
    sub: Text<'a>,
    username: Text<'a>,
    roles: Vec<Text<'a>>,
    iat: Timestamp,
    exp: Timestamp,
    jti: Text<'a>,
    sid: Text<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    aud: Option<Audience>,
}

/// Part of the JSON that it was read from, unless that has it with escapes.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Who a token is meant for (RFC 7519, section 4.1.3), as the token has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    /// One name.
    One(String),
    /// Several.
    Several(Vec<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JoseHeader<'a> {
    #[serde(borrow)]
    alg: Text<'a>,
    kid: Text<'a>,
    #[serde(default)]
    typ: Option<Text<'a>>,
}

impl<'a> Text<'a> {
    fn of(text: &'a str) -> Self {
        Self(text.into())
    }
}

impl Tokens {
    pub(super) fn new(keys: &KeyRing<TokenKey>, config: &TokenConfig) -> Self {
        Self {
            keys: RwLock::new(Arc::new(named(keys))),
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
            verified: VerifiedTokens::new(config.cache),
        }
    }

    /// The keys in use.
    pub(super) fn keys(&self) -> Arc<KeyRing<TokenKey>> {
        // Nobody panics while holding it: it is held for an assignment.
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Uses other keys from now on. They must be durable: a token of theirs may leave the server at once.
    pub(super) fn use_keys(&self, keys: &KeyRing<TokenKey>) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(named(keys));
        self.verified.begin_anew();
    }

    /// The token that says what `token` does, for `user` in `session`. Its key is the one that signed when it was issued, so
    /// that no token outlives its key; if that one can't sign any more, the newest that can.
    pub(super) fn sign(
        &self,
        user: &User,
        session: SessionId,
        token: TokenRecord,
    ) -> Result<SecretString, AuthError> {
        let claims = Claims {
            iss: Text::of(&self.issuer),
            sub: Text(user.id.to_string().into()),
            username: Text::of(user.username.as_str()),
            roles: user.roles.iter().map(|role| Text::of(role.as_str())).collect(),
            iat: token.issued_at,
            exp: token.expires_at,
            jti: Text(token.id.to_string().into()),
            sid: Text(session.to_string().into()),
            aud: match self.audience.as_slice() {
                [] => None,
                [one] => Some(Audience::One(one.clone())),
                several => Some(Audience::Several(several.to_vec())),
            },
        };
        let keys = self.keys();
        let key = keys
            .signing(token.issued_at)
            .filter(|key| key.material.can_sign());
        let key = key.or_else(|| keys.keys().iter().rfind(|key| key.material.can_sign()));
        let key = key.ok_or_else(|| AuthError::Internal("no key can sign".into()))?;
        let message = key.material.header().zip(json_base64url(&claims));
        let message = message.map(|(header, claims)| format!("{header}.{claims}"));
        let signed = message.and_then(|message| {
            let signature = key.material.sign(message.as_bytes())?;
            Some(format!("{message}.{signature}"))
        });
        signed
            .map(SecretString::from)
            .ok_or_else(|| AuthError::Internal("a token could not be signed".into()))
    }

    /// What `text` says as a token and whether it is accepted at `now`, if it is known and so is its session as it is now.
    pub(super) fn recognise(&self, text: &[u8], now: Timestamp) -> Option<(Verified, Option<Accepted>)> {
        let ask = |known: &Known, session: Option<&Arc<dyn LiveSession>>| {
            let accepted = Arc::clone(session?).accepted(known.said.token.id, now);
            Some((known.said, accepted.ok()?))
        };
        self.verified.find(text, now, ask)?
    }

    /// What `token` says, if this server signed it and it is good at `now`. Whether it has been revoked is not asked here.
    pub(super) fn verify<'a>(
        &self,
        token: &'a BearerToken,
        now: Timestamp,
    ) -> Result<Found<'a>, TokenRefusal> {
        let text = token.expose();
        if let Some(known) = self.verified.find(text.as_bytes(), now, |known, _| *known) {
            return Ok(Found {
                text,
                known,
                is_remembered: true,
            });
        }
        let generation = self.verified.generation();
        let keys = self.keys();
        let (said, key) = self.verify_anew(token, &keys, now)?;
        let expires_at = said.token.expires_at;
        let good_until = key.verifies_until().map_or(expires_at, |end| expires_at.min(end));
        let known = Known {
            said,
            good_until,
            generation,
        };
        Ok(Found {
            text,
            known,
            is_remembered: false,
        })
    }

    /// Remembers a token that is accepted, and its session, so that it is recognised. To be called only after it was not: if it
    /// is remembered all the same, then without its session, or with one that is outdated.
    pub(super) fn remember(&self, found: &Found, session: Option<Arc<dyn LiveSession>>) {
        if session.is_some() || !found.is_remembered {
            self.verified.put(found.text.as_bytes(), found.known, session);
        }
    }

    /// Gives back the memory of what was remembered and is of no use any more at `now`.
    pub(super) async fn tidy(&self, now: Timestamp) {
        self.verified.tidy(now).await;
    }

    fn verify_anew<'a>(
        &self,
        token: &BearerToken,
        keys: &'a KeyRing<TokenKey>,
        now: Timestamp,
    ) -> Result<(Verified, &'a RingKey<TokenKey>), TokenRefusal> {
        let (is_jwt, payload, key) = verify_jws(token.expose(), keys, now)?;
        if !is_jwt {
            return Err(TokenRefusal::ForeignHeader);
        }
        let claims: Claims = strict_json(&payload).ok_or(TokenRefusal::BadClaims)?;
        if claims.iss.0 != self.issuer {
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
        let said = Verified {
            user: UserId::parse(&claims.sub.0).map_err(bad)?,
            session: SessionId::parse(&claims.sid.0).map_err(bad)?,
            token: TokenRecord {
                id: TokenId::parse(&claims.jti.0).map_err(bad)?,
                issued_at: claims.iat,
                expires_at: claims.exp,
            },
        };
        Ok((said, key))
    }

    /// Their `iss`.
    pub(super) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The `aud` of a `token` that has been verified.
    pub(super) fn audience(token: &BearerToken) -> Option<Audience> {
        let payload = base64url(token.expose().split('.').nth(1)?)?;
        strict_json::<Claims>(&payload)?.aud
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

/// Whether its header says that it is a JWT, and the payload, of a JWS in compact serialisation (RFC 7515), if one of `keys` signed it: the one that its
/// `kid` names, with the algorithm that is that key's own. The signature comes first, nothing of the payload is looked at
/// before.
fn verify_jws<'a>(
    token: &str,
    keys: &'a KeyRing<TokenKey>,
    now: Timestamp,
) -> Result<(bool, Vec<u8>, &'a RingKey<TokenKey>), TokenRefusal> {
    let mut parts = token.split('.');
    let (Some(head), Some(payload), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(TokenRefusal::Malformed);
    };
    let (is_jwt, key) = key_of(head, keys, now)?;
    let signed = &token.as_bytes()[..head.len() + 1 + payload.len()];
    if !key.material.verifies(signature, signed) {
        return Err(TokenRefusal::BadSignature);
    }
    let payload = base64url(payload).ok_or(TokenRefusal::Malformed)?;
    Ok((is_jwt, payload, key))
}

/// Whether a header, in base64url, says that it is of a JWT, and the key that it names.
fn key_of<'a>(
    header: &str,
    keys: &'a KeyRing<TokenKey>,
    now: Timestamp,
) -> Result<(bool, &'a RingKey<TokenKey>), TokenRefusal> {
    let ours = keys
        .keys()
        .iter()
        .find(|key| key.material.header() == Some(header));
    if let Some(key) = ours.and_then(|ours| keys.verifying(&ours.id, now).filter(|key| ptr::eq(*key, ours))) {
        // The very header that this server writes: there is nothing to take apart.
        return Ok((true, key));
    }
    let header = base64url(header).ok_or(TokenRefusal::Malformed)?;
    let header: JoseHeader = strict_json(&header).ok_or(TokenRefusal::ForeignHeader)?;
    let key = keys
        .verifying(&header.kid.0, now)
        .ok_or(TokenRefusal::ForeignHeader)?;
    if !key.material.is_for(&header.alg.0) {
        return Err(TokenRefusal::ForeignHeader);
    }
    Ok((header.typ.is_some_and(|typ| typ.0 == TYPE), key))
}

/// The same keys, each called as it is in the ring.
fn named(keys: &KeyRing<TokenKey>) -> KeyRing<TokenKey> {
    keys.map(|key| key.material.clone().named(&key.id))
}

/// RFC 4648, section 5, with one spelling for each value: no padding, no white space, no unused bits.
fn base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

fn json_base64url(value: &impl Serialize) -> Option<String> {
    let json = serde_json::to_vec(value).ok()?;
    Some(URL_SAFE_NO_PAD.encode(json))
}

/// A JSON object with the members of `T` and no others, each once. Without the look at the first byte, an array of the
/// members' values would do as well.
fn strict_json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    let text = str::from_utf8(bytes).ok()?;
    let object = text.trim_ascii_start().starts_with('{');
    object.then(|| serde_json::from_str(text).ok()).flatten()
}

#[cfg(test)]
mod tests;

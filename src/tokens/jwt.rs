//! JSON Web Tokens: written, and read back with nothing taken on trust. `claims.rs` has a table of what one holds.
//!
//! This server reads only what it wrote itself, so it is stricter than RFC 7519 asks: a header or claim that it does
//! not write is refused rather than ignored, which settles `crit`, `b64`, `zip`, `jwk`, `jku`, `x5u`, `x5c` and `nbf` by
//! one rule. The check asks neither the database nor the system's clock.

use std::sync::{Arc, PoisonError, RwLock};

use secrecy::SecretString;

use super::{
    cache::{Known, VerifiedTokens},
    claims::{Audience, Claims, Text, VerifiedClaims},
    encoding::{base64url, json_base64url, strict_json},
    error::{SigningError, TokenRefusal},
    jws::verify_jws,
    key::TokenKey,
};
use crate::{
    clock::Timestamp,
    config::TokenConfig,
    domain::{BearerToken, KeyRing, RingKey, SessionId, TokenId, TokenRecord, User, UserId},
    store::{Accepted, LiveSession},
};

/// Signs and verifies access tokens.
pub(crate) struct Tokens {
    /// Replaced as a whole, a few times a year: whoever reads takes the lock for as long as it takes to count one more reader.
    keys: RwLock<Arc<KeyRing<TokenKey>>>,
    issuer: String,
    audience: Vec<String>,
    verified: VerifiedTokens,
}

/// A token that was verified, to be remembered if it is accepted.
#[derive(Debug)]
pub(crate) struct Found<'a> {
    text: &'a str,
    known: Known,
    /// Whether it was verified before.
    pub(super) is_remembered: bool,
}

impl Found<'_> {
    /// What it says.
    pub(crate) fn said(&self) -> VerifiedClaims {
        self.known.said
    }
}

impl Tokens {
    pub(crate) fn new(keys: &KeyRing<TokenKey>, config: &TokenConfig) -> Self {
        Self {
            keys: RwLock::new(Arc::new(named(keys))),
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
            verified: VerifiedTokens::new(config.cache),
        }
    }

    /// The keys in use.
    pub(crate) fn keys(&self) -> Arc<KeyRing<TokenKey>> {
        // Nobody panics while holding it: it is held for an assignment.
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Uses other keys from now on. They must be durable: a token of theirs may leave the server at once.
    pub(crate) fn use_keys(&self, keys: &KeyRing<TokenKey>) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(named(keys));
        self.verified.begin_anew();
    }

    /// The token that says what `token` does, for `user` in `session`. Its key is the one that signed when it was issued, so
    /// that no token outlives its key; if that one can't sign any more, the newest that can.
    pub(crate) fn sign(
        &self,
        user: &User,
        session: SessionId,
        token: TokenRecord,
    ) -> Result<SecretString, SigningError> {
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
        let key = key.ok_or(SigningError::NoKey)?;
        let message = key.material.header().zip(json_base64url(&claims));
        let message = message.map(|(header, claims)| format!("{header}.{claims}"));
        let signed = message.and_then(|message| {
            let signature = key.material.sign(message.as_bytes())?;
            Some(format!("{message}.{signature}"))
        });
        signed.map(SecretString::from).ok_or(SigningError::Failed)
    }

    /// What `text` says as a token and whether it is accepted at `now`, if it is known and so is its session as it is now.
    pub(crate) fn recognise(
        &self,
        text: &[u8],
        now: Timestamp,
    ) -> Option<(VerifiedClaims, Option<Accepted>)> {
        let ask = |known: &Known, session: Option<&Arc<dyn LiveSession>>| {
            let accepted = Arc::clone(session?).accepted(known.said.token.id, now);
            Some((known.said, accepted.ok()?))
        };
        self.verified.find(text, now, ask)?
    }

    /// What `token` says, if this server signed it and it is good at `now`. Whether it has been revoked is not asked here.
    pub(crate) fn verify<'a>(
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
    pub(crate) fn remember(&self, found: &Found, session: Option<Arc<dyn LiveSession>>) {
        if session.is_some() || !found.is_remembered {
            self.verified.put(found.text.as_bytes(), found.known, session);
        }
    }

    /// Gives back the memory of what was remembered and is of no use any more at `now`.
    pub(crate) async fn tidy(&self, now: Timestamp) {
        self.verified.tidy(now).await;
    }

    fn verify_anew<'a>(
        &self,
        token: &BearerToken,
        keys: &'a KeyRing<TokenKey>,
        now: Timestamp,
    ) -> Result<(VerifiedClaims, &'a RingKey<TokenKey>), TokenRefusal> {
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
        let said = VerifiedClaims {
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
    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The `aud` of a `token` that has been verified.
    pub(crate) fn audience(token: &BearerToken) -> Option<Audience> {
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

/// The same keys, each called as it is in the ring.
fn named(keys: &KeyRing<TokenKey>) -> KeyRing<TokenKey> {
    keys.map(|key| key.material.clone().named(&key.id))
}

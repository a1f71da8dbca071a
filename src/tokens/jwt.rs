//! JSON Web Tokens: signed, and verified in full. `claims.rs` has a table of what one holds.
//!
//! This server reads only what it wrote itself, so it is stricter than RFC 7519 asks: a header or claim that it can
//! not have written is refused rather than ignored, which settles `crit`, `b64`, `zip`, `jwk`, `jku`, `x5u`, `x5c` and `nbf` by
//! one rule. The check uses neither the database nor the system's clock.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use secrecy::SecretString;

use super::{
    cache::{Known, VerifiedTokens},
    claims::{AttributeClaims, Audience, Claims, Text, VerifiedClaims},
    encoding::{base64url, json_base64url, strict_json},
    error::{SigningError, TokenRefusal},
    jws::verify_jws,
    key::TokenKey,
};
use crate::{
    clock::Timestamp,
    config::TokenConfig,
    domain::{Attributes, BearerToken, KeyRing, RingKey, SessionId, TokenId, TokenRecord, User, UserId},
    store::{Accepted, LiveSession},
};

/// Signs and verifies access tokens.
pub(crate) struct Tokens {
    /// Replaced as a whole, a few times a year. A reader holds the lock only while it clones the pointer.
    keys: RwLock<Arc<KeyRing<TokenKey>>>,
    issuer: String,
    audience: Vec<String>,
    /// The names of the attributes that become claims.
    attributes: Vec<String>,
    verified: VerifiedTokens,
}

/// A verified token, to be remembered if the whitelist accepts it.
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
            attributes: config.attributes.clone(),
            verified: VerifiedTokens::new(config.cache),
        }
    }

    /// The keys in use.
    pub(crate) fn keys(&self) -> Arc<KeyRing<TokenKey>> {
        // A panic cannot leave the pointer half replaced.
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Uses other keys from now on. The store must have them already: a client may get a token of theirs at once.
    pub(crate) fn use_keys(&self, keys: &KeyRing<TokenKey>) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(named(keys));
        self.verified.begin_anew();
    }

    /// Signs `token` for `user` in `session`, with the roles that hold when it is issued. The key is the one that signed when the token was issued, so that no token outlives
    /// its key; if that one can no longer sign, the newest that can.
    ///
    /// # Errors
    /// [`SigningError::NoKey`] if no key can sign, [`Failed`](SigningError::Failed) if the signature can't be made.
    pub(crate) fn sign(
        &self,
        user: &User,
        session: SessionId,
        token: TokenRecord,
        ahead: Duration,
    ) -> Result<SecretString, SigningError> {
        let roles = user.roles.at(token.issued_at);
        let claims = Claims {
            iss: Text::of(&self.issuer),
            sub: Text(user.id.to_string().into()),
            username: Text::of(user.username.as_str()),
            roles: roles.iter().map(|role| Text::of(role.as_str())).collect(),
            iat: token.issued_at.minus(ahead),
            exp: token.expires_at.minus(ahead),
            jti: Text(token.id.to_string().into()),
            sid: Text(session.to_string().into()),
            aud: match self.audience.as_slice() {
                [] => None,
                [one] => Some(Audience::One(one.clone())),
                several => Some(Audience::Several(several.to_vec())),
            },
            attributes: AttributeClaims(self.shown(user)),
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

    /// What the token `text` says and whether it is accepted at `now`. Returns `None` unless it was verified before and its
    /// session is at hand.
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

    /// Verifies that this server signed `token` and that its claims are valid at `now`, but not whether it has been revoked.
    ///
    /// # Errors
    /// [`TokenRefusal`], which says what is wrong.
    pub(crate) fn verify<'a>(
        &self,
        token: &'a BearerToken,
        now: Timestamp,
        ahead: Duration,
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
        let (said, key) = self.verify_anew(token, &keys, now, ahead)?;
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

    /// Remembers an accepted token and its session, so that it is recognised. A caller calls it only after
    /// [`recognise`](Self::recognise) returned `None`: an entry that is there has no session, or an outdated one.
    pub(crate) fn remember(&self, found: &Found, session: Option<Arc<dyn LiveSession>>) {
        if session.is_some() || !found.is_remembered {
            self.verified.put(found.text.as_bytes(), found.known, session);
        }
    }

    /// Releases the memory of tokens that can no longer be recognised at `now`.
    pub(crate) async fn tidy(&self, now: Timestamp) {
        self.verified.tidy(now).await;
    }

    fn verify_anew<'a>(
        &self,
        token: &BearerToken,
        keys: &'a KeyRing<TokenKey>,
        now: Timestamp,
        ahead: Duration,
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
        let expires_at = claims.exp.plus(ahead);
        if now >= expires_at {
            return Err(TokenRefusal::Expired);
        }
        let bad = |_| TokenRefusal::BadClaims;
        let said = VerifiedClaims {
            user: UserId::parse_canonical(&claims.sub.0).map_err(bad)?,
            session: SessionId::parse_canonical(&claims.sid.0).map_err(bad)?,
            token: TokenRecord {
                id: TokenId::parse(&claims.jti.0).map_err(bad)?,
                issued_at: claims.iat.plus(ahead),
                expires_at,
            },
        };
        Ok((said, key))
    }

    /// The attributes of `user` that become claims.
    pub(crate) fn shown(&self, user: &User) -> Attributes {
        user.attributes.only(&self.attributes)
    }

    /// The `iss` of each token.
    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The `aud` of a verified `token`.
    pub(crate) fn audience(token: &BearerToken) -> Option<Audience> {
        let payload = base64url(token.expose().split('.').nth(1)?)?;
        strict_json::<Claims>(&payload)?.aud
    }

    /// RFC 7519, section 4.1.3: a recipient must find itself in `aud` if there is one.
    fn is_meant_for_us(&self, audience: Option<&Audience>) -> bool {
        match audience {
            None => self.audience.is_empty(),
            Some(Audience::One(name)) => self.audience.contains(name),
            Some(Audience::Several(names)) => names.iter().any(|name| self.audience.contains(name)),
        }
    }
}

/// The same keys, each with its name in the ring.
fn named(keys: &KeyRing<TokenKey>) -> KeyRing<TokenKey> {
    keys.map(|key| key.material.clone().named(&key.id))
}

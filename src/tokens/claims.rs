//! The claims of an access token, as its JSON holds them and as this server uses them.
//!
//! | part | holds |
//! |---|---|
//! | header | `alg`, `typ` (`JWT`), `kid`: these three and no others |
//! | claims | `iss`, `sub` (user id), `username`, `roles`, `iat`, `exp`, `jti`, `sid` (session id), `aud` when configured, and the user's attributes that are configured |
//! | signature | by the key that `kid` names, with that key's own algorithm: RFC 7518, sections 3.2 to 3.4, and RFC 8037 |

use std::{borrow::Cow, collections::BTreeSet, fmt};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, MapAccess, Visitor},
};
use serde_json::Value;

use crate::{
    clock::Timestamp,
    domain::{Attributes, SessionId, TokenRecord, UserId},
};

/// What a token says whose signature and claims were verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VerifiedClaims {
    pub(crate) user: UserId,
    pub(crate) session: SessionId,
    pub(crate) token: TokenRecord,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Claims<'a> {
    #[serde(borrow)]
    pub(super) iss: Text<'a>,
    pub(super) sub: Text<'a>,
    pub(super) username: Text<'a>,
    pub(super) roles: Vec<Text<'a>>,
    pub(super) iat: Timestamp,
    pub(super) exp: Timestamp,
    pub(super) jti: Text<'a>,
    pub(super) sid: Text<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) aud: Option<Audience>,
    /// Every other claim.
    #[serde(flatten)]
    pub(super) attributes: AttributeClaims,
}

/// The attributes of the user when the token was issued. The server reads them only to refuse a claim that is none: their user
/// has the present ones.
#[derive(Serialize)]
#[serde(transparent)]
pub(super) struct AttributeClaims(pub(super) Attributes);

impl<'de> Deserialize<'de> for AttributeClaims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EachIsAnAttribute)
    }
}

struct EachIsAnAttribute;

impl<'de> Visitor<'de> for EachIsAnAttribute {
    type Value = AttributeClaims;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("attributes, each of them once")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut claims: A) -> Result<Self::Value, A::Error> {
        let mut names = BTreeSet::new();
        while let Some((name, value)) = claims.next_entry::<String, Value>()? {
            Attributes::check(&name, &value).map_err(A::Error::custom)?;
            if !names.insert(name) {
                return Err(A::Error::custom("a claim stands twice"));
            }
        }
        Ok(AttributeClaims(Attributes::default()))
    }
}

/// Borrowed from the JSON that it was read from, unless that has escapes in it.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// Who a token is meant for (RFC 7519, section 4.1.3), as the token has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    /// One name.
    One(String),
    /// Several names.
    Several(Vec<String>),
}

impl<'a> Text<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self(text.into())
    }
}

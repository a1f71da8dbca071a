//! The claims of an access token, as its JSON holds them and as this server uses them.
//!
//! | part | holds |
//! |---|---|
//! | header | `alg`, `typ` (`JWT`), `kid`: these three and no others |
//! | claims | `iss`, `sub` (user id), `username`, `roles`, `iat`, `exp`, `jti`, `sid` (session id), and `aud` when configured |
//! | signature | by the key that `kid` names, with that key's own algorithm: RFC 7518, sections 3.2 to 3.4, and RFC 8037 |

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::{
    clock::Timestamp,
    domain::{SessionId, TokenRecord, UserId},
};

/// What a token says whose signature and claims were verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VerifiedClaims {
    pub(crate) user: UserId,
    pub(crate) session: SessionId,
    pub(crate) token: TokenRecord,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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

//! A JWS in compact serialisation (RFC 7515): which key its header names, and whether that key signed it.

use std::ptr;

use serde::Deserialize;

use super::{
    claims::Text,
    encoding::{base64url, strict_json},
    error::TokenRefusal,
    key::TokenKey,
};
use crate::{
    clock::Timestamp,
    domain::{KeyRing, RingKey},
};

const TYPE: &str = "JWT";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JoseHeader<'a> {
    #[serde(borrow)]
    alg: Text<'a>,
    kid: Text<'a>,
    #[serde(default)]
    typ: Option<Text<'a>>,
}

/// Verifies the signature of `token`: by the key that its `kid` names, with that key's own algorithm. Returns whether the header
/// says that it is a JWT, the payload, and the key. The payload is not decoded before the signature has been verified.
pub(super) fn verify_jws<'a>(
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

/// Whether `header`, in base64url, says that it is of a JWT, and the key that it names.
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
        // Exactly the header that this server writes: it need not be decoded.
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

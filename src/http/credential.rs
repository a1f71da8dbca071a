//! The token in a request's `Authorization` header (RFC 6750, section 2.1), and in no other place.

use std::convert::Infallible;

use warp::{
    Filter,
    http::{HeaderMap, HeaderValue, header},
};

use super::error::ApiError;
use crate::domain::BearerToken;

/// The token in the request's `Authorization` header, or why there is none.
pub(super) fn bearer() -> impl Filter<Extract = (Result<BearerToken, ApiError>,), Error = Infallible> + Clone
{
    warp::header::headers_cloned().map(|headers: HeaderMap| read_bearer(&headers))
}

/// The text that the request presents as a token, if it is written as most clients write it.
pub(super) fn presented(headers: &HeaderMap) -> Option<&[u8]> {
    let value = authorization(headers).ok()?;
    value.as_bytes().strip_prefix(b"Bearer ")
}

/// The token in `headers`, or why there is none.
pub(super) fn read_bearer(headers: &HeaderMap) -> Result<BearerToken, ApiError> {
    let value = authorization(headers)?;
    let value = value.to_str().map_err(|_| ApiError::MalformedAuthorization)?;
    let (scheme, token) = value.split_once([' ', '\t']).unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        // The server reads no other scheme: it answers with the challenge that it can read.
        return Err(if scheme.is_empty() {
            ApiError::MalformedAuthorization
        } else {
            ApiError::NoCredentials
        });
    }
    BearerToken::parse(token.trim_matches(' ')).ok_or(ApiError::MalformedAuthorization)
}

/// The only `Authorization` header.
fn authorization(headers: &HeaderMap) -> Result<&HeaderValue, ApiError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or(ApiError::NoCredentials)?;
    if values.next().is_some() {
        return Err(ApiError::MalformedAuthorization);
    }
    Ok(value)
}

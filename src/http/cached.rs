//! Answers that a client may keep for a while, and those that it must not keep. One that has not changed is not sent again (RFC
//! 9110, section 13.1.2).

use std::time::Duration;

use siphasher::sip::SipHasher13;
use warp::{
    Reply,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    reply::Response,
};

/// `text`, of the media type `kind`, which a client may keep for `max_age`; or 304 if the client has it already.
pub(super) fn cached(asked: &HeaderMap, kind: HeaderValue, text: String, max_age: Duration) -> Response {
    let etag = format!("\"{:016x}\"", SipHasher13::new().hash(text.as_bytes()));
    let mut response = if has_it(asked, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut response = text.into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    };
    let caching = format!("public, max-age={}", max_age.as_secs());
    for (name, value) in [(header::ETAG, etag), (header::CACHE_CONTROL, caching)] {
        // Digits always fit a header.
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// An answer that no cache may keep, because it has a secret or depends on one.
pub(super) fn no_store(answer: impl Reply) -> Response {
    let mut response = answer.into_response();
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(header::CACHE_CONTROL, no_store);
    response
}

/// Whether the client says that it has the text with this `etag`. For a `GET` a weak tag counts as a strong one.
fn has_it(asked: &HeaderMap, etag: &str) -> bool {
    let lists = asked.get_all(header::IF_NONE_MATCH).iter();
    let tags = lists
        .filter_map(|list| list.to_str().ok())
        .flat_map(|list| list.split(','))
        .map(str::trim);
    // No tag of this server contains a comma.
    let mut tags = tags.map(|tag| tag.strip_prefix("W/").unwrap_or(tag));
    tags.any(|tag| tag == "*" || tag == etag)
}

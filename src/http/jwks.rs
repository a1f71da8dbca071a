//! `GET /.well-known/jwks.json`: the public keys, for services that check tokens themselves. They ask again and again, so
//! the answer may be kept for a while, and one that has not changed is not sent again (RFC 9110, section 13.1.2).

use warp::{
    Filter, Reply,
    filters::BoxedFilter,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    reply::Response,
};

use super::{method::GET, trace::note, with};
use crate::auth::Auth;

/// RFC 7517, section 8.5.2.
const JWK_SET: HeaderValue = HeaderValue::from_static("application/jwk-set+json");

pub(super) fn routes(auth: &Auth) -> BoxedFilter<(Response,)> {
    let route = GET
        .pass()
        .and(with(auth))
        .and(warp::header::headers_cloned())
        .map(|auth, headers| jwks(&auth, &headers));
    warp::path!(".well-known" / "jwks.json")
        .and(route.or(GET.refuse_others()).unify())
        .map(|response| note(response, |trace| trace.route = Some("/.well-known/jwks.json")))
        .boxed()
}

fn jwks(auth: &Auth, asked: &HeaderMap) -> Response {
    let jwks = auth.jwks();
    let etag = format!("\"{}\"", jwks.fingerprint);
    let mut response = if has_it(asked, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut response = jwks.json.into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, JWK_SET);
        response
    };
    let caching = format!("public, max-age={}", jwks.max_age.as_secs());
    for (name, value) in [(header::ETAG, etag), (header::CACHE_CONTROL, caching)] {
        // Base64url and digits always fit a header.
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Whether the client says that it has the text that `etag` stands for. For a `GET` a weak tag does as well as a strong one.
fn has_it(asked: &HeaderMap, etag: &str) -> bool {
    let lists = asked.get_all(header::IF_NONE_MATCH).iter();
    let tags = lists
        .filter_map(|list| list.to_str().ok())
        .flat_map(|list| list.split(','))
        .map(str::trim);
    // No tag of ours has a comma in it.
    let mut tags = tags.map(|tag| tag.strip_prefix("W/").unwrap_or(tag));
    tags.any(|tag| tag == "*" || tag == etag)
}

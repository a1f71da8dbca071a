//! `GET /.well-known/jwks.json`: the public keys, for services that check tokens themselves.

use warp::{
    Filter,
    http::{HeaderMap, HeaderValue},
    reply::Response,
};

use crate::{
    auth::Auth,
    http::{
        cached::cached,
        endpoint::{Endpoint, endpoint, on, with},
        method::GET,
        settings::Api,
    },
};

/// RFC 7517, section 8.5.2.
const JWK_SET: HeaderValue = HeaderValue::from_static("application/jwk-set+json");

pub(super) fn route(api: &Api) -> impl Endpoint + use<> {
    let jwks = with(api)
        .and(warp::header::headers_cloned())
        .map(|auth, headers| jwks(&auth, &headers));
    endpoint("/.well-known/jwks.json", on(GET, jwks))
}

fn jwks(auth: &Auth, asked: &HeaderMap) -> Response {
    let jwks = auth.jwks();
    cached(asked, JWK_SET, jwks.json, jwks.max_age)
}

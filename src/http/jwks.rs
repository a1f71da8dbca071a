//! `GET /.well-known/jwks.json`: the public keys, for services that check tokens themselves.

use warp::{
    Filter,
    filters::BoxedFilter,
    http::{HeaderMap, HeaderValue},
    reply::Response,
};

use super::{cached::cached, method::GET, settings::Api, trace::note, with};
use crate::auth::Auth;

/// RFC 7517, section 8.5.2.
const JWK_SET: HeaderValue = HeaderValue::from_static("application/jwk-set+json");

pub(super) fn routes(api: &Api) -> BoxedFilter<(Response,)> {
    let route = GET
        .pass()
        .and(with(api))
        .and(warp::header::headers_cloned())
        .map(|auth, headers| jwks(&auth, &headers));
    warp::path!(".well-known" / "jwks.json")
        .and(route.or(GET.refuse_others()).unify())
        .map(|response| note(response, |trace| trace.route = Some("/.well-known/jwks.json")))
        .boxed()
}

fn jwks(auth: &Auth, asked: &HeaderMap) -> Response {
    let jwks = auth.jwks();
    cached(asked, JWK_SET, jwks.json, jwks.max_age)
}

//! `GET /.well-known/oauth-authorization-server`: where the endpoints are that OAuth has a name for (RFC 8414).

use serde::Serialize;
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
        error::ApiError,
        method::GET,
        settings::{Api, ApiSettings},
    },
};

const JSON: HeaderValue = HeaderValue::from_static("application/json");

pub(super) fn route(api: &Api) -> impl Endpoint + use<> {
    let settings = api.clone();
    let metadata = with(api)
        .and(warp::header::headers_cloned())
        .map(move |auth, headers| metadata(&auth, &settings.settings(), &headers));
    endpoint("/.well-known/oauth-authorization-server", on(GET, metadata))
}

/// The URL is never taken from the request's `Host`: through a cache, one client could give its own URL to another one.
fn metadata(auth: &Auth, settings: &ApiSettings, asked: &HeaderMap) -> Result<Response, ApiError> {
    let url = settings.public_url.as_deref().ok_or(ApiError::NoMetadata)?;
    let keys = auth.jwks();
    let metadata = Metadata {
        issuer: auth.issuer(),
        jwks_uri: (!keys.is_empty).then(|| format!("{url}/.well-known/jwks.json")),
        introspection_endpoint: format!("{url}/introspect"),
        introspection_endpoint_auth_methods_supported: ["Bearer"],
        revocation_endpoint: format!("{url}/revoke"),
        revocation_endpoint_auth_methods_supported: ["none"],
        response_types_supported: [],
        grant_types_supported: [],
    };
    let text = serde_json::to_string(&metadata).map_err(|_| ApiError::Internal)?;
    Ok(cached(asked, JSON, text, keys.max_age))
}

/// RFC 8414, section 2. There is no `token_endpoint` and no `authorization_endpoint`, because no route implements a grant of
/// OAuth. Section 3.2 would omit the empty lists, but the first is required, and without the second a client assumes the grants
/// `authorization_code` and `implicit`.
#[derive(Serialize)]
struct Metadata<'a> {
    issuer: &'a str,
    /// `None` if no key is published: with HS256 no other service can check a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks_uri: Option<String>,
    introspection_endpoint: String,
    /// The type of the access token that authenticates the caller.
    introspection_endpoint_auth_methods_supported: [&'static str; 1],
    revocation_endpoint: String,
    revocation_endpoint_auth_methods_supported: [&'static str; 1],
    response_types_supported: [&'static str; 0],
    grant_types_supported: [&'static str; 0],
}

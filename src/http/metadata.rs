//! `GET /.well-known/oauth-authorization-server`: where the endpoints are that OAuth has a name for (RFC 8414).

use serde::Serialize;
use warp::{
    Filter, Reply,
    filters::BoxedFilter,
    http::{HeaderMap, HeaderValue},
    reply::Response,
};

use super::{cached::cached, error::ApiError, method::GET, settings::Api, trace::note};

const JSON: HeaderValue = HeaderValue::from_static("application/json");

pub(super) fn routes(api: &Api) -> BoxedFilter<(Response,)> {
    let route = GET.pass().and(warp::header::headers_cloned()).map({
        let api = api.clone();
        move |headers| metadata(&api, &headers).into_response()
    });
    let name = "/.well-known/oauth-authorization-server";
    warp::path!(".well-known" / "oauth-authorization-server")
        .and(route.or(GET.refuse_others()).unify())
        .map(move |response| note(response, |trace| trace.route = Some(name)))
        .boxed()
}

/// Never from the request's `Host`: whoever sends it could have the next one believe theirs.
fn metadata(api: &Api, asked: &HeaderMap) -> Result<Response, ApiError> {
    let (auth, settings) = (api.auth(), api.settings());
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

/// RFC 8414, section 2. There is no `token_endpoint` and no `authorization_endpoint`, because no route here speaks a grant of
/// OAuth. The empty lists say so, though section 3.2 would leave them out: the first is required, and without the second
/// the grants `authorization_code` and `implicit` would be meant.
#[derive(Serialize)]
struct Metadata<'a> {
    issuer: &'a str,
    /// Only if there is a key in it: with HS256 nobody else can check a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks_uri: Option<String>,
    introspection_endpoint: String,
    /// The type of the access token that authenticates who asks.
    introspection_endpoint_auth_methods_supported: [&'static str; 1],
    revocation_endpoint: String,
    revocation_endpoint_auth_methods_supported: [&'static str; 1],
    response_types_supported: [&'static str; 0],
    grant_types_supported: [&'static str; 0],
}

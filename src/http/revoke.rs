//! `POST /revoke`: log-out by whoever holds a token, an access token or a refresh token (RFC 7009). It asks for no other
//! credentials: its clients are public ones (section 2.1), and who holds a token could use it for worse.

use warp::{
    Filter, Reply,
    filters::BoxedFilter,
    http::{HeaderValue, StatusCode, header},
    reply::Response,
};

use super::{
    error::ApiError,
    form::{Form, form},
    method::POST,
    settings::Api,
    trace::note,
    with,
};
use crate::auth::Auth;

pub(super) fn routes(api: &Api) -> BoxedFilter<(Response,)> {
    let route = POST
        .pass()
        .and(with(api))
        .and(form(api))
        .then(revoke)
        .map(Reply::into_response);
    warp::path!("revoke")
        .and(route.or(POST.refuse_others()).unify())
        .map(|response| note(response, |trace| trace.route = Some("/revoke")))
        .boxed()
}

/// Section 2.2: an unknown token is as good as revoked. `token_type_hint` is ignored, because a token shows its type.
async fn revoke(auth: Auth, form: Result<Form, ApiError>) -> Result<Response, ApiError> {
    let whose = auth.revoke(&form?.require("token")?).await?;
    let mut response = StatusCode::OK.into_response();
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(header::CACHE_CONTROL, no_store);
    Ok(note(response, |trace| {
        trace.user = whose;
        trace.changed = whose.is_some();
    }))
}

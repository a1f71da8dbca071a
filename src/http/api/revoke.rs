//! `POST /revoke`: log-out by the holder of an access token or a refresh token (RFC 7009). It needs no other credentials: its
//! clients are public ones (section 2.1), and the holder of a token could do more with it than end its session.

use warp::{Filter, http::StatusCode, reply::Response};

use crate::{
    auth::Auth,
    domain::RequestContext,
    http::{
        cached::no_store,
        context::context,
        endpoint::{Endpoint, endpoint, on, with},
        error::ApiError,
        form::{Form, form},
        method::POST,
        settings::Api,
        trace::note,
    },
};

pub(super) fn route(api: &Api) -> impl Endpoint + use<> {
    let revoke = with(api).and(form(api.current())).and(context()).then(revoke);
    endpoint("/revoke", on(POST, revoke))
}

/// Section 2.2: an unknown token is as good as revoked. `token_type_hint` is ignored, because a token shows its type.
async fn revoke(
    auth: Auth,
    form: Result<Form, ApiError>,
    context: RequestContext,
) -> Result<Response, ApiError> {
    let whose = auth.revoke(&form?.require("token")?, &context).await?;
    Ok(note(no_store(StatusCode::OK), |trace| {
        trace.user = whose;
        trace.changed = whose.is_some();
    }))
}

//! `POST /me/confirm`: the user gives their password again, for what can't be undone.

use secrecy::SecretString;
use serde::Serialize;
use warp::{Filter, Reply, reply::Response};

use crate::{
    auth::{Auth, DeviceClaim, Principal},
    domain::{CONFIRMED_FOR, RequestContext},
    http::{
        context::context,
        endpoint::{Endpoint, endpoint, on, with},
        error::ApiError,
        fields::{Fields, fields},
        guard::principal,
        method::POST,
        settings::Api,
        trace::changed,
    },
};

pub(super) fn route(api: &Api) -> impl Endpoint + use<> {
    let confirm = with(api)
        .and(principal(api.auth()))
        .and(fields(api.current()))
        .and(context())
        .then(confirm);
    endpoint("/me/confirm", on(POST, confirm))
}

#[derive(Serialize)]
struct Confirmed {
    /// In seconds.
    expires_in: u64,
}

async fn confirm(
    auth: Auth,
    principal: Result<Principal, ApiError>,
    fields: Result<Fields, ApiError>,
    context: RequestContext,
) -> Result<Response, ApiError> {
    let (principal, mut fields) = (principal?, fields?);
    let password = fields.take_text("password").map(SecretString::from);
    let device_token = fields.take_optional_text("device_token");
    let password = fields.finish(password)?;
    let device = DeviceClaim::presenting(device_token.map(Into::into));
    auth.confirm(&principal.signed_in()?, password, &device, &context)
        .await?;
    let confirmed = Confirmed {
        expires_in: CONFIRMED_FOR.as_secs(),
    };
    Ok(changed(
        warp::reply::json(&confirmed).into_response(),
        principal.id(),
    ))
}

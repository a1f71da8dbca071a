//! `POST /signin`, `/refresh` and `/logout`: they mint, exchange and end a token.

use secrecy::SecretString;
use warp::{Filter, Reply, http::StatusCode, reply::Response};

use super::token_answer::{accepts_text, device, token_answer};
use crate::{
    auth::{Auth, Credentials, Principal},
    domain::{BearerToken, RequestContext},
    http::{
        context::context,
        credential::bearer,
        endpoint::{Endpoint, endpoint, on, only_if, with},
        error::ApiError,
        fields::{Fields, fields},
        guard::principal,
        method::{GET, POST},
        settings::Api,
        trace::changed,
    },
};

pub(super) fn sign_in_route(api: &Api) -> impl Endpoint + use<> {
    let sign_in = with(api)
        .and(fields(api.current()))
        .and(context())
        .and(accepts_text())
        .then(sign_in);
    endpoint("/signin", on(POST, sign_in))
}

pub(super) fn refresh_route(api: &Api) -> impl Endpoint + use<> {
    let refresh = with(api)
        .and(bearer())
        .and(context())
        .and(accepts_text())
        .then(refresh);
    let auth = api.auth().clone();
    let refresh_with = only_if(move || auth.has_refresh_tokens())
        .and(with(api))
        .and(bearer())
        .and(fields(api.current()))
        .and(context())
        .and(accepts_text())
        .then(refresh_with);
    endpoint("/refresh", on(POST, refresh_with).or(GET | POST, refresh))
}

pub(super) fn log_out_route(api: &Api) -> impl Endpoint + use<> {
    let log_out = with(api).and(principal(api.auth())).and(context()).then(log_out);
    endpoint("/logout", on(GET | POST, log_out))
}

async fn sign_in(
    auth: Auth,
    fields: Result<Fields, ApiError>,
    context: RequestContext,
    as_text: bool,
) -> Result<Response, ApiError> {
    let mut fields = fields?;
    let username = fields.take_text("username");
    let password = fields.take_text("password");
    let device_token = fields.take_optional_text("device_token");
    let (username, password) = fields.finish(username.zip(password))?;
    let credentials = Credentials::new(&username, password.into()).with_device(device(device_token, as_text));
    Ok(token_answer(&auth.sign_in(credentials, &context).await?, as_text))
}

async fn refresh(
    auth: Auth,
    token: Result<BearerToken, ApiError>,
    context: RequestContext,
    as_text: bool,
) -> Result<Response, ApiError> {
    let issued = auth.refresh(&token?).await;
    let issued = issued.map_err(|refused| auth.count_forged(refused, &context))?;
    Ok(token_answer(&issued, as_text))
}

/// Refreshes with the refresh token in the body; without one as [`refresh`] does.
async fn refresh_with(
    auth: Auth,
    token: Result<BearerToken, ApiError>,
    fields: Result<Fields, ApiError>,
    context: RequestContext,
    as_text: bool,
) -> Result<Response, ApiError> {
    let no_bearer = matches!(token, Err(ApiError::NoCredentials));
    match fields {
        Ok(mut fields) if no_bearer || fields.has("refresh_token") => {
            let refresh_token = fields.take_text("refresh_token");
            let refresh_token: SecretString = fields.finish(refresh_token)?.into();
            let issued = auth.refresh_with(&refresh_token, &context).await;
            let issued = issued.map_err(|refused| auth.count_forged(refused, &context))?;
            Ok(token_answer(&issued, as_text))
        }
        // The body does not claim to be JSON.
        Ok(_) | Err(ApiError::UnsupportedMediaType { .. }) => refresh(auth, token, context, as_text).await,
        Err(error) if no_bearer => Err(error),
        Err(_) => refresh(auth, token, context, as_text).await,
    }
}

async fn log_out(
    auth: Auth,
    principal: Result<Principal, ApiError>,
    context: RequestContext,
) -> Result<Response, ApiError> {
    let user = principal?.signed_in()?;
    auth.log_out(&user, &context).await?;
    Ok(changed(StatusCode::NO_CONTENT.into_response(), user.id()))
}

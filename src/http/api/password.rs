//! `POST /me/password`: another password, and another session, for the user who is signed in.

use secrecy::SecretString;
use warp::{Filter, reply::Response};

use super::token_answer::{accepts_text, device, token_answer};
use crate::{
    auth::{Auth, AuthError, PasswordChange, Principal},
    domain::{Password, RequestContext},
    http::{
        context::context,
        endpoint::{Endpoint, endpoint, on, with},
        error::ApiError,
        field::FieldError,
        fields::{Fields, fields},
        guard::principal,
        method::POST,
        settings::Api,
    },
};

pub(super) fn route(api: &Api) -> impl Endpoint + use<> {
    let change = with(api)
        .and(principal(api.auth()))
        .and(fields(api.current()))
        .and(context())
        .and(accepts_text())
        .then(change_password);
    endpoint("/me/password", on(POST, change))
}

async fn change_password(
    auth: Auth,
    principal: Result<Principal, ApiError>,
    fields: Result<Fields, ApiError>,
    context: RequestContext,
    as_text: bool,
) -> Result<Response, ApiError> {
    let (principal, mut fields) = (principal?, fields?);
    let current = fields.take_text("current_password").map(SecretString::from);
    let new = fields.take("new_password", |text| Password::parse(text.into()));
    let refusal = new.as_ref().and_then(|new| auth.check_length(new).err());
    fields.expect_refusal("new_password", refusal.as_ref());
    let keeps_api_tokens = fields.take_flag("keep_api_tokens");
    let device_token = fields.take_optional_text("device_token");
    let change = current.zip(new).zip(keeps_api_tokens);
    let change = change.map(|((current, new), keeps_api_tokens)| PasswordChange {
        current,
        new,
        keeps_api_tokens,
        device: device(device_token, as_text),
    });
    let change = fields.finish(change)?;
    let issued = auth
        .change_password(&principal.signed_in()?, change, &context)
        .await;
    let issued = issued.map_err(|error| match error {
        AuthError::PasswordRejected(why) => {
            ApiError::InvalidFields(vec![FieldError::new("new_password", &why)])
        }
        other => other.into(),
    })?;
    Ok(token_answer(&issued, as_text))
}

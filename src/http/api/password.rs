//! `POST /me/password`: another password for the user who is signed in.

use secrecy::SecretString;
use warp::{Filter, Reply, http::StatusCode, reply::Response};

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
        trace::note,
    },
};

pub(super) fn route(api: &Api) -> impl Endpoint + use<> {
    let change = with(api)
        .and(principal(api.auth()))
        .and(fields(api))
        .and(context())
        .then(change_password);
    endpoint("/me/password", on(POST, change))
}

async fn change_password(
    auth: Auth,
    principal: Result<Principal, ApiError>,
    fields: Result<Fields, ApiError>,
    context: RequestContext,
) -> Result<Response, ApiError> {
    let (principal, mut fields) = (principal?, fields?);
    let current = fields.take_text("current_password").map(SecretString::from);
    let new = fields.take("new_password", |text| Password::parse(text.into()));
    let keeps_api_tokens = fields.take_flag("keep_api_tokens");
    let change = current.zip(new).zip(keeps_api_tokens);
    let change = change.map(|((current, new), keeps_api_tokens)| PasswordChange {
        current,
        new,
        keeps_api_tokens,
    });
    let change = fields.finish(change)?;
    let done = auth
        .change_password(&principal.signed_in()?, change, &context)
        .await;
    done.map_err(|error| match error {
        AuthError::PasswordRejected(why) => {
            ApiError::InvalidFields(vec![FieldError::new("new_password", &why)])
        }
        other => other.into(),
    })?;
    Ok(note(StatusCode::NO_CONTENT.into_response(), |trace| {
        trace.user = Some(principal.id());
        trace.changed = true;
    }))
}

//! `PATCH /me`, `DELETE /me` and `POST /me/password`: what a user does with their own account.

use secrecy::SecretString;
use warp::{Filter, Rejection, Reply, filters::BoxedFilter, http::StatusCode, reply::Response};

use super::{
    body::{self, Fields},
    client::client,
    error::ApiError,
    field::FieldError,
    guard, me,
    method::{DELETE, PATCH, POST},
    settings::Api,
    trace::note,
    with,
};
use crate::{
    auth::{Auth, AuthError, PasswordChange, Principal},
    domain::{Client, DisplayName, Password, UserId},
};

pub(super) fn routes(api: &Api) -> BoxedFilter<(Response,)> {
    let password_route = POST
        .pass()
        .and(with(api))
        .and(guard::principal(api.auth()))
        .and(body::fields(api))
        .and(client())
        .then(change_password)
        .map(Reply::into_response);
    warp::path!("me" / "password")
        .and(password_route.or(POST.refuse_others()).unify())
        .map(|response| note(response, |trace| trace.route = Some("/me/password")))
        .boxed()
}

/// The part of `/me` that changes something.
pub(super) fn change_me(api: &Api) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + use<> {
    let rename = PATCH
        .pass()
        .and(with(api))
        .and(guard::principal(api.auth()))
        .and(body::fields(api))
        .then(rename)
        .map(Reply::into_response);
    let delete = DELETE
        .pass()
        .and(with(api))
        .and(guard::principal(api.auth()))
        .and(body::fields(api))
        .and(client())
        .then(delete)
        .map(Reply::into_response);
    rename.or(delete).unify()
}

async fn rename(
    auth: Auth,
    principal: Result<Principal, ApiError>,
    fields: Result<Fields, ApiError>,
) -> Result<Response, ApiError> {
    let (principal, mut fields) = (principal?, fields?);
    let name = fields.take("display_name", |text| DisplayName::parse(&text));
    let name = fields.finish(name)?;
    let user = auth.rename(&principal, name).await?;
    let answer = me::describe(&principal, user.display_name.as_ref()).into_response();
    Ok(changed(answer, principal.id()))
}

async fn change_password(
    auth: Auth,
    principal: Result<Principal, ApiError>,
    fields: Result<Fields, ApiError>,
    from: Client,
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
    let done = auth.change_password(&principal, change, &from).await;
    done.map_err(|error| match error {
        AuthError::PasswordRejected(why) => {
            ApiError::InvalidFields(vec![FieldError::new("new_password", &why)])
        }
        other => other.into(),
    })?;
    Ok(changed(StatusCode::NO_CONTENT.into_response(), principal.id()))
}

async fn delete(
    auth: Auth,
    principal: Result<Principal, ApiError>,
    fields: Result<Fields, ApiError>,
    from: Client,
) -> Result<Response, ApiError> {
    let (principal, mut fields) = (principal?, fields?);
    let current = fields.take_text("current_password").map(SecretString::from);
    let current = fields.finish(current)?;
    auth.delete_account(&principal, current, &from).await?;
    Ok(changed(StatusCode::NO_CONTENT.into_response(), principal.id()))
}

fn changed(response: Response, by: UserId) -> Response {
    note(response, |trace| {
        trace.user = Some(by);
        trace.changed = true;
    })
}

//! `POST /me/tokens`: a token for a service. It is listed and revoked with the sessions.

use secrecy::ExposeSecret;
use serde::Serialize;
use warp::{Filter, http::StatusCode, reply::Response};

use crate::{
    auth::{Auth, IssuedApiToken, NewApiToken, Principal},
    domain::{ApiTokenName, RequestContext, Role},
    http::{
        cached::no_store,
        context::context,
        endpoint::{Endpoint, endpoint, on, with},
        error::ApiError,
        field::FieldProblem,
        fields::{Fields, fields},
        guard::principal,
        method::POST,
        settings::Api,
        sign_ins::ADMIN_SCOPE,
        trace::changed,
    },
};

pub(super) fn route(api: &Api) -> impl Endpoint + use<> {
    let create = with(api)
        .and(principal(api.auth()))
        .and(fields(api.current()))
        .and(context())
        .then(create);
    endpoint("/me/tokens", on(POST, create))
}

async fn create(
    auth: Auth,
    principal: Result<Principal, ApiError>,
    fields: Result<Fields, ApiError>,
    context: RequestContext,
) -> Result<Response, ApiError> {
    let (principal, mut fields) = (principal?, fields?);
    let name = fields.take("name", |text| ApiTokenName::parse(&text));
    let roles = fields.take_roles("roles");
    let may_administer = fields.take_if_given("scope", |text| admin_scope(&text));
    let lifetime = fields.take_seconds("expires_in");
    let wanted = name.zip(roles).zip(lifetime);
    let wanted = wanted.map(|((name, roles), lifetime)| NewApiToken {
        name,
        roles,
        may_administer: may_administer.is_some(),
        lifetime,
    });
    let wanted = fields.finish(wanted)?;
    let issued = auth
        .create_api_token(&principal.signed_in()?, wanted, &context)
        .await?;
    Ok(changed(created(&issued), principal.id()))
}

fn admin_scope(text: &str) -> Result<(), UnknownScope> {
    if text == ADMIN_SCOPE {
        Ok(())
    } else {
        Err(UnknownScope)
    }
}

/// No API token has such a scope.
#[derive(Debug, thiserror::Error)]
#[error("The only scope that an API token can have is {ADMIN_SCOPE}.")]
struct UnknownScope;

impl FieldProblem for UnknownScope {
    fn code(&self) -> &'static str {
        "unknown_scope"
    }
}

#[derive(Serialize)]
struct Created<'a> {
    id: String,
    name: &'a str,
    roles: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'static str>,
    expires_at: String,
    /// No other answer contains it.
    token: &'a str,
}

fn created(issued: &IssuedApiToken) -> Response {
    let record = &issued.record;
    let answer = warp::reply::json(&Created {
        id: record.id.to_string(),
        name: record.name.as_str(),
        roles: record.roles.iter().map(Role::as_str).collect(),
        scope: record.may_administer.then_some(ADMIN_SCOPE),
        expires_at: record.expires_at.to_string(),
        token: issued.text.expose_secret(),
    });
    no_store(warp::reply::with_status(answer, StatusCode::CREATED))
}

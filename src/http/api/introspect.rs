//! `POST /introspect`: what a token is worth, for services that do not check it themselves (RFC 7662).

use serde::Serialize;
use serde_json::json;
use warp::{Filter, reply::Response};

use crate::{
    auth::{Audience, Auth, Introspection, Principal},
    domain::{Attributes, RequestContext, Role},
    http::{
        cached::no_store,
        context::context,
        endpoint::{Endpoint, endpoint, on, with},
        error::ApiError,
        form::{Form, form},
        guard::principal,
        method::POST,
        settings::Api,
        trace::note,
    },
};

pub(super) fn route(api: &Api) -> impl Endpoint + use<> {
    let introspect = with(api)
        .and(principal(api.auth()))
        .and(form(api.current()))
        .and(context())
        .then(introspect);
    endpoint("/introspect", on(POST, introspect))
}

async fn introspect(
    auth: Auth,
    caller: Result<Principal, ApiError>,
    form: Result<Form, ApiError>,
    context: RequestContext,
) -> Result<Response, ApiError> {
    let caller = caller?;
    let token = form?.require("token")?;
    let answer = match auth.introspect(&caller, &token, &context).await? {
        Some(live) => warp::reply::json(&Live::of(&live)),
        // The answer does not say what is wrong with the token.
        None => warp::reply::json(&json!({"active": false})),
    };
    Ok(note(no_store(answer), |trace| trace.user = Some(caller.id())))
}

/// RFC 7662, section 2.2, with two members that this server's tokens have as claims: `roles` and `sid`.
#[derive(Serialize)]
struct Live<'a> {
    active: bool,
    sub: String,
    username: &'a str,
    roles: Vec<&'a str>,
    /// The roles again, under the name that RFC 7662 has for them.
    scope: String,
    exp: u64,
    iat: u64,
    iss: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a Audience>,
    jti: String,
    /// `None` for an API token.
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<String>,
    token_type: &'static str,
    /// The user's present attributes, of those that become claims.
    #[serde(flatten)]
    attributes: &'a Attributes,
}

impl<'a> Live<'a> {
    fn of(live: &'a Introspection) -> Self {
        let Introspection {
            principal,
            issuer,
            attributes,
            audience,
            issued_at,
            expires_at,
        } = live;
        Self {
            active: true,
            sub: principal.id().to_string(),
            username: principal.username().as_str(),
            roles: principal.roles().iter().map(Role::as_str).collect(),
            scope: principal.roles().to_string(),
            exp: expires_at.as_secs(),
            iat: issued_at.as_secs(),
            iss: issuer,
            aud: audience.as_ref(),
            jti: principal.token_id(),
            sid: principal.session_id().map(|id| id.to_string()),
            token_type: "Bearer",
            attributes,
        }
    }
}

//! `GET /welcome` and `/me`: who the token speaks for, and what a user does with their own account.

use secrecy::SecretString;
use serde::Serialize;
use warp::{
    Filter, Reply,
    http::StatusCode,
    reply::{Json, Response},
};

use crate::{
    auth::{Auth, DeviceClaim, Principal},
    domain::{Attributes, DisplayName, RequestContext, Role},
    http::{
        context::context,
        endpoint::{Endpoint, endpoint, on, with},
        error::ApiError,
        fields::{Fields, fields},
        guard::{principal, require_any},
        method::{DELETE, GET, PATCH},
        settings::Api,
        trace::{changed, note},
    },
};

/// `GET /welcome` asks for one of these roles.
const WELCOME_ROLES: [Role; 2] = [Role::CLIENT, Role::ADMIN];

pub(super) fn welcome_route(api: &Api) -> impl Endpoint + use<> {
    let greet = principal(api.auth()).map(|principal| by_whom(principal, welcome));
    endpoint("/welcome", on(GET, greet))
}

pub(super) fn me_route(api: &Api) -> impl Endpoint + use<> {
    let auth = api.auth().clone();
    let me = principal(api.auth()).map(move |principal| {
        by_whom(principal, |principal| {
            describe(&auth, principal, principal.display_name())
        })
    });
    let changes = with(api).and(principal(api.auth())).and(fields(api.current()));
    let changes = changes.and(context());
    let rename = changes.clone().then(rename);
    let delete = changes.then(delete);
    endpoint("/me", on(GET, me).or(PATCH, rename).or(DELETE, delete))
}

/// What `handler` answers to a good token, with a note of its user.
fn by_whom<R: Reply>(
    principal: Result<Principal, ApiError>,
    handler: impl FnOnce(&Principal) -> R,
) -> Response {
    match principal {
        Ok(principal) => note(handler(&principal).into_response(), |trace| {
            trace.user = Some(principal.id());
        }),
        Err(error) => error.into_response(),
    }
}

fn welcome(principal: &Principal) -> Result<String, ApiError> {
    require_any(principal, &WELCOME_ROLES)?;
    let mut text = String::with_capacity(128);
    for part in ["Welcome ", principal.username().as_str(), "!\n Your roles are: ["] {
        text.push_str(part);
    }
    for (index, role) in principal.roles().iter().enumerate() {
        text.push_str(if index == 0 { "" } else { " " });
        text.push_str(role.as_str());
    }
    text.push(']');
    Ok(text)
}

#[derive(Serialize)]
struct Me<'a> {
    id: String,
    username: &'a str,
    roles: Vec<&'a str>,
    display_name: Option<&'a str>,
    created_at: String,
    /// `None` with an API token.
    session_id: Option<String>,
    /// Those that become claims of the user's tokens.
    #[serde(skip_serializing_if = "Attributes::is_empty")]
    attributes: Attributes,
}

/// Describes `principal`, with this display name.
fn describe(auth: &Auth, principal: &Principal, name: Option<&DisplayName>) -> Json {
    warp::reply::json(&Me {
        id: principal.id().to_string(),
        username: principal.username().as_str(),
        roles: principal.roles().iter().map(Role::as_str).collect(),
        display_name: name.map(DisplayName::as_str),
        created_at: principal.created_at().to_string(),
        session_id: principal.session_id().map(|id| id.to_string()),
        attributes: auth.shown_attributes(principal),
    })
}

async fn rename(
    auth: Auth,
    principal: Result<Principal, ApiError>,
    fields: Result<Fields, ApiError>,
    context: RequestContext,
) -> Result<Response, ApiError> {
    let (principal, mut fields) = (principal?, fields?);
    let name = if fields.take_null("display_name") {
        Some(None)
    } else {
        let name = fields.take("display_name", |text| DisplayName::parse(&text));
        name.map(Some)
    };
    let name = fields.finish(name)?;
    let user = auth.rename(&principal.signed_in()?, name, &context).await?;
    let answer = describe(&auth, &principal, user.display_name.as_ref()).into_response();
    Ok(changed(answer, principal.id()))
}

async fn delete(
    auth: Auth,
    principal: Result<Principal, ApiError>,
    fields: Result<Fields, ApiError>,
    context: RequestContext,
) -> Result<Response, ApiError> {
    let (principal, mut fields) = (principal?, fields?);
    let current = fields.take_text("current_password").map(SecretString::from);
    let device_token = fields.take_optional_text("device_token");
    let current = fields.finish(current)?;
    let device = DeviceClaim::presenting(device_token.map(Into::into));
    auth.delete_account(&principal.signed_in()?, current, &device, &context)
        .await?;
    Ok(changed(StatusCode::NO_CONTENT.into_response(), principal.id()))
}

//! `GET /welcome` and `GET /me`: who the token speaks for.

use serde::Serialize;
use warp::{
    Filter, Rejection, Reply,
    reply::{Json, Response},
};

use super::{
    account,
    error::ApiError,
    guard,
    method::{GET, GET_PATCH_OR_DELETE},
    settings::Api,
    trace::note,
};
use crate::{
    auth::Principal,
    domain::{DisplayName, Role},
};

/// Who is welcome.
const WELCOME_ROLES: [Role; 2] = [Role::CLIENT, Role::ADMIN];

pub(super) fn routes(
    api: &Api,
) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + use<> {
    let welcome_route = GET
        .pass()
        .and(guard::principal(api.auth()))
        .map(|principal| by_whom(principal, welcome));
    let me_route = GET
        .pass()
        .and(guard::principal(api.auth()))
        .map(|principal| by_whom(principal, me));

    let welcome = warp::path!("welcome")
        .and(welcome_route.or(GET.refuse_others()).unify())
        .map(|response| note(response, |trace| trace.route = Some("/welcome")));
    let me_routes = me_route
        .or(account::change_me(api))
        .unify()
        .or(GET_PATCH_OR_DELETE.refuse_others())
        .unify();
    let me = warp::path!("me")
        .and(me_routes)
        .map(|response| note(response, |trace| trace.route = Some("/me")));
    welcome.or(me.boxed()).unify()
}

/// What `handler` answers, if there is somebody to answer, with a note of who that is.
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
    guard::require_any(principal, &WELCOME_ROLES)?;
    let (username, roles) = (principal.username(), principal.roles());
    Ok(format!("Welcome {username}!\n Your roles are: [{roles}]"))
}

#[derive(Serialize)]
struct Me<'a> {
    id: String,
    username: &'a str,
    roles: Vec<&'a str>,
    display_name: Option<&'a str>,
    created_at: String,
    /// None with an API token.
    session_id: Option<String>,
}

fn me(principal: &Principal) -> Json {
    describe(principal, principal.display_name())
}

/// Who `principal` is, under this name.
pub(super) fn describe(principal: &Principal, name: Option<&DisplayName>) -> Json {
    warp::reply::json(&Me {
        id: principal.id().to_string(),
        username: principal.username().as_str(),
        roles: principal.roles().iter().map(Role::as_str).collect(),
        display_name: name.map(DisplayName::as_str),
        created_at: principal.created_at().to_string(),
        session_id: principal.session_id().map(|id| id.to_string()),
    })
}

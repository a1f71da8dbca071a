//! `GET /welcome` and `GET /me`: who the token speaks for.

use serde::Serialize;
use warp::{Filter, Reply, filters::BoxedFilter, reply::Response};

use super::{error::ApiError, guard, method::GET};
use crate::{
    auth::{Auth, Principal},
    domain::{DisplayName, Role},
};

/// Who is welcome.
const WELCOME_ROLES: [Role; 2] = [Role::CLIENT, Role::ADMIN];

pub(super) fn routes(auth: &Auth) -> BoxedFilter<(Response,)> {
    let welcome_route = GET
        .pass()
        .and(guard::principal(auth))
        .map(|principal| welcome(principal).into_response());
    let me_route = GET
        .pass()
        .and(guard::principal(auth))
        .map(|principal| me(principal).into_response());

    let welcome = warp::path!("welcome").and(welcome_route.or(GET.refuse_others()).unify());
    let me = warp::path!("me").and(me_route.or(GET.refuse_others()).unify());
    welcome.boxed().or(me.boxed()).unify().boxed()
}

fn welcome(principal: Result<Principal, ApiError>) -> Result<String, ApiError> {
    let principal = guard::require_any(principal?, &WELCOME_ROLES)?;
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
    session_id: String,
}

fn me(principal: Result<Principal, ApiError>) -> Result<impl Reply, ApiError> {
    let principal = principal?;
    Ok(warp::reply::json(&Me {
        id: principal.id().to_string(),
        username: principal.username().as_str(),
        roles: principal.roles().iter().map(Role::as_str).collect(),
        display_name: principal.display_name().map(DisplayName::as_str),
        created_at: principal.created_at().to_string(),
        session_id: principal.session_id().to_string(),
    }))
}

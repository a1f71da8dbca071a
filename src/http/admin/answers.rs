//! What the administration answers: a user as JSON, and that something was done.

use std::{collections::BTreeMap, sync::Arc};

use serde::Serialize;
use warp::{Reply, http::StatusCode, reply::Response};

use crate::{
    auth::Accounts,
    domain::{Attributes, DisplayName, Role, User, UserId},
    http::{error::ApiError, trace::changed},
};

/// A user, as an administrator sees them.
#[derive(Serialize)]
pub(super) struct UserAnswer<'a> {
    id: String,
    username: &'a str,
    /// Those that hold.
    roles: Vec<&'a str>,
    /// When those of them end that do.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    role_ends: BTreeMap<&'a str, String>,
    disabled: bool,
    /// Only if it is so.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    must_change_password: bool,
    display_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Attributes::is_empty")]
    attributes: &'a Attributes,
    created_at: String,
}

impl<'a> UserAnswer<'a> {
    /// The user as they are now, by the clock of the accounts.
    pub(super) fn of(user: &'a User, accounts: &Accounts) -> Self {
        let now = accounts.now();
        let lasting = user.roles.lasting().iter().map(Role::as_str);
        let ending = user.roles.ending().iter().filter(|(_, until)| now < *until);
        Self {
            id: user.id.to_string(),
            username: user.username.as_str(),
            roles: lasting
                .chain(ending.clone().map(|(role, _)| role.as_str()))
                .collect(),
            role_ends: ending
                .map(|(role, until)| (role.as_str(), until.to_string()))
                .collect(),
            disabled: user.disabled,
            must_change_password: user.must_change_password,
            display_name: user.display_name.as_ref().map(DisplayName::as_str),
            attributes: &user.attributes,
            created_at: user.created_at.to_string(),
        }
    }
}

/// The answer to what changed a user: the user as they are now, or 404 if there is none.
pub(super) fn changed_user(user: Option<Arc<User>>, accounts: &Accounts) -> Result<Response, ApiError> {
    let user = user.ok_or(ApiError::NotFound)?;
    Ok(changed(
        warp::reply::json(&UserAnswer::of(&user, accounts)).into_response(),
        user.id,
    ))
}

/// The answer to what leaves nothing to show: 204, or 404 if there was nothing to end.
pub(super) fn ended(has_ended: bool, user: UserId) -> Result<Response, ApiError> {
    if has_ended {
        Ok(changed(StatusCode::NO_CONTENT.into_response(), user))
    } else {
        Err(ApiError::NotFound)
    }
}

/// How many sessions and API tokens have ended.
#[derive(Serialize)]
struct Count {
    ended: usize,
}

/// The answer to what ends several things at once.
pub(super) fn ended_count(ended: usize, user: UserId) -> Response {
    let answer = warp::reply::json(&Count { ended }).into_response();
    if ended > 0 { changed(answer, user) } else { answer }
}

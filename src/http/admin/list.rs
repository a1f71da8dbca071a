//! `/admin/users`: lists users, and adds one.

use serde::Serialize;
use warp::{Filter, Reply, http::StatusCode, reply::Response};

use super::{
    administration::{Administration, Asked},
    answers::UserAnswer,
    page::{BadPage, limit},
};
use crate::{
    auth::Accounts,
    domain::{Password, Role, UserCursor, UserPage, UserQuery, Username, UsernamePrefix},
    http::{
        endpoint::{Endpoint, endpoint, on},
        error::ApiError,
        field::truth,
        fields::{Fields, fields},
        method::{GET, POST},
        trace::changed,
    },
};

pub(super) fn route(administration: &Administration) -> impl Endpoint + use<> {
    let list = administration.asked().then(list);
    let add = administration
        .asked()
        .and(fields(administration.settings()))
        .then(add);
    endpoint("/admin/users", on(GET, list).or(POST, add))
}

#[derive(Serialize)]
struct Users<'a> {
    users: Vec<UserAnswer<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

impl<'a> Users<'a> {
    fn of(page: &'a UserPage, accounts: &Accounts) -> Self {
        Self {
            users: page
                .users
                .iter()
                .map(|user| UserAnswer::of(user, accounts))
                .collect(),
            next: page.next.as_ref().map(ToString::to_string),
        }
    }
}

async fn list(asked: Asked) -> Result<Response, ApiError> {
    let (accounts, .., mut fields) = asked.with_query()?;
    let prefix = fields.take_if_given("prefix", |text| UsernamePrefix::parse(&text));
    let role = fields.take_if_given("role", |text| Role::parse(&text));
    let disabled = fields.take_if_given("disabled", |text| truth(&text));
    let after = fields.take_if_given("after", |text| UserCursor::parse(&text).ok_or(BadPage::Cursor));
    let limit = fields.take_if_given("limit", |text| limit(&text));
    let query = fields.finish(Some(UserQuery {
        prefix,
        role,
        disabled,
        after,
        limit: limit.unwrap_or_default(),
    }))?;
    let page = accounts.list(query).await?;
    Ok(warp::reply::json(&Users::of(&page, &accounts)).into_response())
}

async fn add(asked: Asked, fields: Result<Fields, ApiError>) -> Result<Response, ApiError> {
    let (accounts, actor, context, confirmation) = asked.with_confirmation()?;
    let mut fields = fields?;
    let username = fields.take("username", |text| Username::parse(&text));
    let password = fields.take("password", |text| Password::parse(text.into()));
    let roles = fields.take_roles("roles");
    let new = fields.finish(username.zip(password).zip(roles))?;
    let ((username, password), roles) = new;
    confirmation.required_for(&roles).await?;
    let user = accounts.add(username, password, roles, actor, &context).await?;
    let reply = warp::reply::json(&UserAnswer::of(&user, &accounts));
    let answer = warp::reply::with_status(reply, StatusCode::CREATED).into_response();
    Ok(changed(answer, user.id))
}

//! `/admin/users/{id}/sessions` and `/admin/users/{id}/tokens`: lists the sessions and the API tokens of a user, and ends them.

use serde::Serialize;
use warp::{Filter, Reply, reply::Response};

use super::{
    administration::{Administration, Asked},
    answers::{ended, ended_count},
    user::named,
};
use crate::{
    domain::{ApiTokenId, SessionId},
    http::{
        endpoint::{Endpoint, endpoint, on, parameter},
        error::ApiError,
        field::truth,
        method::{DELETE, GET},
        sign_ins::{ApiTokenAnswer, SessionAnswer},
    },
};

const SESSIONS: &str = "/admin/users/{id}/sessions";
const SESSION: &str = "/admin/users/{id}/sessions/{sid}";
const TOKENS: &str = "/admin/users/{id}/tokens";
const TOKEN: &str = "/admin/users/{id}/tokens/{tid}";

pub(super) fn sessions_route(administration: &Administration) -> impl Endpoint + use<> {
    let asked = administration.asked().and(parameter(SESSIONS, "{id}"));
    let list = asked.clone().then(list_sessions);
    let end_all = asked.then(end_sessions);
    endpoint(SESSIONS, on(GET, list).or(DELETE, end_all))
}

pub(super) fn session_route(administration: &Administration) -> impl Endpoint + use<> {
    let asked = administration.asked().and(parameter(SESSION, "{id}"));
    let end = asked.and(parameter(SESSION, "{sid}")).then(end_session);
    endpoint(SESSION, on(DELETE, end))
}

pub(super) fn tokens_route(administration: &Administration) -> impl Endpoint + use<> {
    let asked = administration.asked().and(parameter(TOKENS, "{id}"));
    let list = asked.clone().then(list_tokens);
    let revoke_all = asked.then(revoke_tokens);
    endpoint(TOKENS, on(GET, list).or(DELETE, revoke_all))
}

pub(super) fn token_route(administration: &Administration) -> impl Endpoint + use<> {
    let asked = administration.asked().and(parameter(TOKEN, "{id}"));
    let revoke = asked.and(parameter(TOKEN, "{tid}")).then(revoke_token);
    endpoint(TOKEN, on(DELETE, revoke))
}

#[derive(Serialize)]
struct Sessions {
    sessions: Vec<SessionAnswer>,
}

#[derive(Serialize)]
struct Tokens<'a> {
    tokens: Vec<ApiTokenAnswer<'a>>,
}

async fn list_sessions(asked: Asked, id: String) -> Result<Response, ApiError> {
    let (accounts, ..) = asked.allowed()?;
    let user = named(&accounts, &id).await?.id;
    let sessions = accounts.sessions(user).await?;
    let sessions = sessions.iter().map(SessionAnswer::from).collect();
    Ok(warp::reply::json(&Sessions { sessions }).into_response())
}

async fn end_sessions(asked: Asked, id: String) -> Result<Response, ApiError> {
    let (accounts, actor, context, mut query) = asked.with_query()?;
    let keeps = query.take_if_given("keep_api_tokens", |text| truth(&text));
    let keeps = query.finish(Some(keeps))?.unwrap_or(false);
    let user = named(&accounts, &id).await?.id;
    let count = accounts.end_sessions(user, keeps, actor, &context);
    Ok(ended_count(count.await?, user))
}

async fn end_session(asked: Asked, id: String, session: String) -> Result<Response, ApiError> {
    let (accounts, actor, context) = asked.allowed()?;
    let session = SessionId::parse(&session).map_err(|_| ApiError::NotFound)?;
    let user = named(&accounts, &id).await?.id;
    let has_ended = accounts.end_session(user, session, actor, &context);
    ended(has_ended.await?, user)
}

async fn list_tokens(asked: Asked, id: String) -> Result<Response, ApiError> {
    let (accounts, ..) = asked.allowed()?;
    let user = named(&accounts, &id).await?.id;
    let tokens = accounts.api_tokens(user).await?;
    let tokens = tokens.iter().map(ApiTokenAnswer::from).collect();
    Ok(warp::reply::json(&Tokens { tokens }).into_response())
}

async fn revoke_tokens(asked: Asked, id: String) -> Result<Response, ApiError> {
    let (accounts, actor, context) = asked.allowed()?;
    let user = named(&accounts, &id).await?.id;
    let count = accounts.revoke_api_tokens(user, actor, &context);
    Ok(ended_count(count.await?, user))
}

async fn revoke_token(asked: Asked, id: String, token: String) -> Result<Response, ApiError> {
    let (accounts, actor, context) = asked.allowed()?;
    let token = ApiTokenId::parse(&token).map_err(|_| ApiError::NotFound)?;
    let user = named(&accounts, &id).await?.id;
    let has_ended = accounts.revoke_api_token(user, token, actor, &context);
    ended(has_ended.await?, user)
}

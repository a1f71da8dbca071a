//! `/admin/throttle`: lists the users and networks that wait, and frees one of them.

use serde::Serialize;
use warp::{Filter, Reply, http::StatusCode, reply::Response};

use super::{
    administration::{Administration, Asked},
    answers::ended,
    page::limit,
    user::named,
};
use crate::{
    auth::Waiting,
    domain::{Network, Username},
    http::{
        endpoint::{Endpoint, endpoint, on, parameter},
        error::ApiError,
        method::{DELETE, GET},
        trace::changed,
    },
};

const USER: &str = "/admin/throttle/users/{id}";
const NETWORK: &str = "/admin/throttle/networks/{network}";

pub(super) fn route(administration: &Administration) -> impl Endpoint + use<> {
    let list = administration.asked().then(list);
    endpoint("/admin/throttle", on(GET, list))
}

pub(super) fn user_route(administration: &Administration) -> impl Endpoint + use<> {
    let clear = administration.asked().and(parameter(USER, "{id}"));
    endpoint(USER, on(DELETE, clear.then(clear_user)))
}

pub(super) fn network_route(administration: &Administration) -> impl Endpoint + use<> {
    let clear = administration.asked().and(parameter(NETWORK, "{network}"));
    endpoint(NETWORK, on(DELETE, clear.then(clear_network)))
}

#[derive(Serialize)]
struct WaitingAnswer {
    why: &'static str,
    username: Option<String>,
    user_id: Option<String>,
    /// Its first address.
    network: Option<String>,
    session_id: Option<String>,
    until: String,
    failures: Option<u32>,
    refused: u32,
    last_refused_at: Option<String>,
}

impl From<&Waiting> for WaitingAnswer {
    fn from(waiting: &Waiting) -> Self {
        let wait = waiting.wait;
        Self {
            why: wait.name(),
            username: waiting.username.as_ref().map(ToString::to_string),
            user_id: wait.user().map(|user| user.to_string()),
            network: wait.network().map(|network| network.address().to_string()),
            session_id: wait.session().map(|session| session.to_string()),
            until: waiting.until.to_string(),
            failures: waiting.failures,
            refused: waiting.refused,
            last_refused_at: waiting.last_refused_at.map(|at| at.to_string()),
        }
    }
}

#[derive(Serialize)]
struct Page {
    waiting: Vec<WaitingAnswer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

async fn list(asked: Asked) -> Result<Response, ApiError> {
    let (accounts, .., mut fields) = asked.with_query()?;
    let account = fields.take_if_given("account", |text| Username::parse(&text));
    let network = fields.take_if_given("network", |text| Network::parse(&text));
    let after = if fields.has("after") {
        fields.take_text("after")
    } else {
        None
    };
    let limit = fields.take_if_given("limit", |text| limit(&text));
    let wanted = (account, network, after, limit.unwrap_or_default());
    let (account, network, after, limit) = fields.finish(Some(wanted))?;
    let user = match account {
        Some(name) => Some(accounts.find_by_name(&name).await?.ok_or(ApiError::NotFound)?),
        None => None,
    };
    let page = accounts.throttled(user.as_deref(), network, after.as_deref(), limit);
    let page = page.await?;
    let page = Page {
        waiting: page.waiting.iter().map(WaitingAnswer::from).collect(),
        next: page.next,
    };
    Ok(warp::reply::json(&page).into_response())
}

async fn clear_user(asked: Asked, id: String) -> Result<Response, ApiError> {
    let (accounts, actor, context, mut fields) = asked.with_query()?;
    let network = fields.take_if_given("network", |text| Network::parse(&text));
    let network = fields.finish(Some(network))?;
    let user = named(&accounts, &id).await?;
    accounts.clear_user(&user, network, actor, &context).await?;
    ended(true, user.id)
}

async fn clear_network(asked: Asked, network: String) -> Result<Response, ApiError> {
    let (accounts, actor, context) = asked.allowed()?;
    let network = Network::parse(&network).map_err(|_| ApiError::NotFound)?;
    accounts.clear_network(network, actor, &context).await?;
    Ok(changed(StatusCode::NO_CONTENT.into_response(), None))
}

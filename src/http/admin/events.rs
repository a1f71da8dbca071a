//! `GET /admin/events`: the audit trail.

use serde::Serialize;
use warp::{Filter, Reply, reply::Response};

use super::{
    administration::{Administration, Asked},
    page::{BadPage, limit},
};
use crate::{
    domain::{RequestId, Username, moment},
    event::{
        Actor, ActorFilter, Details, EventKind, TrailCursor, TrailEntry, TrailOrder, TrailPage, TrailQuery,
        UserFilter,
    },
    http::{
        endpoint::{Endpoint, endpoint, on},
        error::ApiError,
        field::FieldProblem,
        method::GET,
    },
};

pub(super) fn route(administration: &Administration) -> impl Endpoint + use<> {
    let list = administration.asked().then(list);
    endpoint("/admin/events", on(GET, list))
}

#[derive(Serialize)]
struct Events<'a> {
    events: Vec<EventAnswer<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Serialize)]
struct EventAnswer<'a> {
    /// Also the cursor behind the event.
    id: String,
    at: String,
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<Named<'a>>,
    actor: ActorAnswer<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Details::is_empty")]
    details: &'a Details,
    times: u32,
}

/// A user, with the name at that time.
#[derive(Serialize)]
struct Named<'a> {
    id: String,
    username: Option<&'a str>,
}

#[derive(Serialize)]
struct ActorAnswer<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(flatten)]
    user: Option<Named<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
}

impl<'a> From<&'a TrailPage> for Events<'a> {
    fn from(page: &'a TrailPage) -> Self {
        Self {
            events: page.entries.iter().map(EventAnswer::from).collect(),
            next: page.next.as_ref().map(ToString::to_string),
        }
    }
}

impl<'a> From<&'a TrailEntry> for EventAnswer<'a> {
    fn from(entry: &'a TrailEntry) -> Self {
        let subject = entry.subject.map(|id| Named {
            id: id.to_string(),
            username: entry.subject_name.as_ref().map(Username::as_str),
        });
        Self {
            id: entry.place.to_string(),
            at: entry.at.to_string(),
            kind: &entry.kind,
            user: subject,
            actor: ActorAnswer::of(entry),
            address: entry.address.as_ref().map(ToString::to_string),
            request_id: entry.request_id.as_ref().map(RequestId::as_str),
            details: &entry.details,
            times: entry.times,
        }
    }
}

impl<'a> ActorAnswer<'a> {
    fn of(entry: &'a TrailEntry) -> Self {
        let nothing = Self {
            kind: entry.actor.name(),
            user: None,
            session: None,
            api_token: None,
            uid: None,
        };
        match entry.actor {
            Actor::User {
                id,
                session,
                api_token,
            } => Self {
                user: Some(Named {
                    id: id.to_string(),
                    username: entry.actor_name.as_ref().map(Username::as_str),
                }),
                session: session.map(|session| session.to_string()),
                api_token: api_token.map(|token| token.to_string()),
                ..nothing
            },
            Actor::Operator { uid } => Self { uid, ..nothing },
            Actor::Anonymous | Actor::Server => nothing,
        }
    }
}

async fn list(asked: Asked) -> Result<Response, ApiError> {
    let (accounts, .., mut fields) = asked.with_query()?;
    let kind = fields.take_if_given("kind", kind);
    let user = fields.take_if_given("user", |text| UserFilter::parse(&text).ok_or(BadFilter::User));
    let actor = fields.take_if_given("actor", |text| ActorFilter::parse(&text).ok_or(BadFilter::Actor));
    let since = fields.take_if_given("since", |text| moment(&text));
    let until = fields.take_if_given("until", |text| moment(&text));
    let order = fields.take_if_given("order", |text| order(&text));
    let after = fields.take_if_given("after", |text| TrailCursor::parse(&text).ok_or(BadPage::Cursor));
    let limit = fields.take_if_given("limit", |text| limit(&text));
    let query = fields.finish(Some(TrailQuery {
        kind,
        user,
        actor,
        since,
        until,
        order: order.unwrap_or_default(),
        after,
        limit: limit.unwrap_or_default(),
    }))?;
    let page = accounts.events(query).await?;
    Ok(warp::reply::json(&Events::from(&page)).into_response())
}

fn kind(text: String) -> Result<String, BadFilter> {
    if EventKind::NAMES.contains(&text.as_str()) {
        Ok(text)
    } else {
        Err(BadFilter::Kind)
    }
}

fn order(text: &str) -> Result<TrailOrder, BadFilter> {
    match text {
        "newest" => Ok(TrailOrder::NewestFirst),
        "oldest" => Ok(TrailOrder::OldestFirst),
        _ => Err(BadFilter::Order),
    }
}

/// Why no event can be found by this.
#[derive(Debug, thiserror::Error)]
enum BadFilter {
    #[error("This must be a kind of event: {}.", EventKind::NAMES.join(", "))]
    Kind,
    #[error("This must be a username or the id of a user.")]
    User,
    #[error("This must be anonymous, operator, server, or the username or id of a user.")]
    Actor,
    #[error("This must be newest or oldest.")]
    Order,
}

impl FieldProblem for BadFilter {
    fn code(&self) -> &'static str {
        match self {
            Self::Kind | Self::Order => "not_a_choice",
            Self::User | Self::Actor => "bad_user",
        }
    }
}

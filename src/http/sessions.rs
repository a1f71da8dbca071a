//! `/me/sessions`: where a user is signed in and what speaks for them, and ending that.

use serde::{Deserialize, Serialize};
use warp::{Filter, Reply, filters::BoxedFilter, http::StatusCode, reply::Response};

use super::{
    error::ApiError,
    guard,
    method::{DELETE, GET, GET_OR_DELETE},
    settings::Api,
    trace::note,
    with,
};
use crate::{
    auth::{Auth, Ending, Principal},
    domain::{ApiToken, ApiTokenId, Role, Session, SessionId},
};

pub(super) fn routes(api: &Api) -> BoxedFilter<(Response,)> {
    let list_route = GET
        .pass()
        .and(with(api))
        .and(guard::principal(api.auth()))
        .then(list)
        .map(Reply::into_response);
    let end_all_route = DELETE
        .pass()
        .and(with(api))
        .and(guard::principal(api.auth()))
        .and(which())
        .then(end_all)
        .map(Reply::into_response);
    let end_route = warp::path::param()
        .and(warp::path::end())
        .and(DELETE.pass())
        .and(with(api))
        .and(guard::principal(api.auth()))
        .then(end)
        .map(Reply::into_response);

    let all_routes = list_route
        .or(end_all_route)
        .unify()
        .or(GET_OR_DELETE.refuse_others())
        .unify();
    let all = warp::path!("me" / "sessions")
        .and(all_routes)
        .map(|response| note(response, |trace| trace.route = Some("/me/sessions")));
    let refuse_others = warp::path::param::<String>()
        .and(warp::path::end())
        .and(DELETE.refuse_others())
        .map(|_, response| response);
    let one = warp::path!("me" / "sessions" / ..)
        .and(end_route.or(refuse_others).unify())
        .map(|response| note(response, |trace| trace.route = Some("/me/sessions/{id}")));
    all.boxed().or(one.boxed()).unify().boxed()
}

#[derive(Serialize)]
struct Sessions<'a> {
    sessions: Vec<Entry<'a>>,
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Entry<'a> {
    Session(MySession),
    ApiToken(MyApiToken<'a>),
}

#[derive(Serialize)]
struct MySession {
    id: String,
    created_at: String,
    last_used_at: String,
    expires_at: String,
    address: Option<String>,
    device: Option<String>,
    /// Whether it is the one that asks.
    current: bool,
}

impl MySession {
    fn of(session: &Session, current: Option<SessionId>) -> Self {
        Self {
            id: session.id.to_string(),
            created_at: session.created_at.to_string(),
            last_used_at: session.used_at.to_string(),
            expires_at: session.expires_at().to_string(),
            address: session.client.address.map(|address| address.to_string()),
            device: session.client.device.as_ref().map(ToString::to_string),
            current: Some(session.id) == current,
        }
    }
}

#[derive(Serialize)]
struct MyApiToken<'a> {
    id: String,
    name: &'a str,
    /// What it was made for, whatever its user is now.
    roles: Vec<&'a str>,
    created_at: String,
    last_used_at: Option<String>,
    expires_at: String,
    /// Never: one that asks gets no list.
    current: bool,
}

impl<'a> MyApiToken<'a> {
    fn of(token: &'a ApiToken) -> Self {
        Self {
            id: token.id.to_string(),
            name: token.name.as_str(),
            roles: token.roles.iter().map(Role::as_str).collect(),
            created_at: token.created_at.to_string(),
            last_used_at: token.used_at.map(|at| at.to_string()),
            expires_at: token.expires_at.to_string(),
            current: false,
        }
    }
}

async fn list(auth: Auth, principal: Result<Principal, ApiError>) -> Result<Response, ApiError> {
    let principal = principal?;
    let sessions = auth.sessions(&principal).await?;
    let tokens = auth.api_tokens(&principal).await?;
    let current = principal.session_id();
    let sessions = sessions
        .iter()
        .map(|session| Entry::Session(MySession::of(session, current)));
    let tokens = tokens.iter().map(|token| Entry::ApiToken(MyApiToken::of(token)));
    let answer = warp::reply::json(&Sessions {
        sessions: sessions.chain(tokens).collect(),
    });
    Ok(note(answer.into_response(), |trace| {
        trace.user = Some(principal.id());
    }))
}

async fn end(id: String, auth: Auth, principal: Result<Principal, ApiError>) -> Result<Response, ApiError> {
    let principal = principal?;
    // The one or the other: no id is of both.
    let session = SessionId::parse(&id).map_err(|_| ApiError::NotFound)?;
    let token = ApiTokenId::parse(&id).map_err(|_| ApiError::NotFound)?;
    if auth.end_session(&principal, session).await? || auth.end_api_token(&principal, token).await? {
        Ok(ended(&principal))
    } else {
        Err(ApiError::NotFound)
    }
}

async fn end_all(
    auth: Auth,
    principal: Result<Principal, ApiError>,
    which: Result<Which, ApiError>,
) -> Result<Response, ApiError> {
    let (principal, which) = (principal?, which?);
    let which = Ending {
        this_session: which.all,
        api_tokens: !which.keep_api_tokens,
    };
    auth.end_sessions(&principal, which).await?;
    Ok(ended(&principal))
}

fn ended(principal: &Principal) -> Response {
    note(StatusCode::NO_CONTENT.into_response(), |trace| {
        trace.user = Some(principal.id());
        trace.changed = true;
    })
}

/// The query of `DELETE /me/sessions`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    /// This session too.
    #[serde(default)]
    all: bool,
    /// The sessions only.
    #[serde(default)]
    keep_api_tokens: bool,
}

/// Which sessions are meant. A query that says something else is refused: the wrong ones would end.
fn which() -> impl Filter<Extract = (Result<Which, ApiError>,), Error = std::convert::Infallible> + Clone {
    let known = warp::query::<Which>().map(Ok);
    let unknown = warp::any().map(|| Err(ApiError::BadRequest));
    known.or(unknown).unify()
}

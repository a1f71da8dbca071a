//! `/me/sessions`: lists the sessions and API tokens of a user, and ends them.

use serde::{Deserialize, Serialize};
use warp::{Filter, Reply, http::StatusCode, reply::Response};

use crate::{
    auth::{Auth, Ending, Principal, SignedIn},
    domain::{ApiTokenId, RequestContext, SessionId},
    http::{
        context::context,
        endpoint::{Endpoint, endpoint, on, parameter, with},
        error::ApiError,
        guard::principal,
        method::{DELETE, GET},
        settings::Api,
        sign_ins::{ApiTokenAnswer, SessionAnswer},
        trace::{changed, note},
    },
};

const ONE: &str = "/me/sessions/{id}";

pub(super) fn all_route(api: &Api) -> impl Endpoint + use<> {
    let asked = with(api).and(principal(api.auth()));
    let list = asked.clone().then(list);
    let end_all = asked.and(which()).and(context()).then(end_all);
    endpoint("/me/sessions", on(GET, list).or(DELETE, end_all))
}

pub(super) fn one_route(api: &Api) -> impl Endpoint + use<> {
    let end = with(api)
        .and(principal(api.auth()))
        .and(parameter(ONE, "{id}"))
        .and(context())
        .then(end);
    endpoint(ONE, on(DELETE, end))
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
    #[serde(flatten)]
    session: SessionAnswer,
    /// Whether the request presents a token of this session.
    current: bool,
}

#[derive(Serialize)]
struct MyApiToken<'a> {
    #[serde(flatten)]
    token: ApiTokenAnswer<'a>,
    /// Always `false`: an API token may not read the list.
    current: bool,
}

async fn list(auth: Auth, principal: Result<Principal, ApiError>) -> Result<Response, ApiError> {
    let user = principal?.signed_in()?;
    let sessions = auth.sessions(&user).await?;
    let tokens = auth.api_tokens(&user).await?;
    let current = user.session_id();
    let sessions = sessions.iter().map(|session| {
        Entry::Session(MySession {
            session: session.into(),
            current: session.id == current,
        })
    });
    let tokens = tokens.iter().map(|token| {
        Entry::ApiToken(MyApiToken {
            token: token.into(),
            current: false,
        })
    });
    let answer = warp::reply::json(&Sessions {
        sessions: sessions.chain(tokens).collect(),
    });
    Ok(note(answer.into_response(), |trace| {
        trace.user = Some(user.id());
    }))
}

async fn end(
    auth: Auth,
    principal: Result<Principal, ApiError>,
    id: String,
    context: RequestContext,
) -> Result<Response, ApiError> {
    let principal = principal?;
    // No id belongs to both a session and an API token.
    let session = SessionId::parse(&id).map_err(|_| ApiError::NotFound)?;
    let token = ApiTokenId::parse(&id).map_err(|_| ApiError::NotFound)?;
    let user = principal.signed_in()?;
    if auth.end_session(&user, session, &context).await? || auth.end_api_token(&user, token, &context).await?
    {
        Ok(ended(&user))
    } else {
        Err(ApiError::NotFound)
    }
}

async fn end_all(
    auth: Auth,
    principal: Result<Principal, ApiError>,
    which: Result<Which, ApiError>,
    context: RequestContext,
) -> Result<Response, ApiError> {
    let (principal, which) = (principal?, which?);
    let which = Ending {
        this_session: which.all,
        api_tokens: !which.keep_api_tokens,
    };
    let user = principal.signed_in()?;
    auth.end_sessions(&user, which, &context).await?;
    Ok(ended(&user))
}

fn ended(user: &SignedIn) -> Response {
    changed(StatusCode::NO_CONTENT.into_response(), user.id())
}

/// The query of `DELETE /me/sessions`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    /// Whether this session ends as well.
    #[serde(default)]
    all: bool,
    /// Whether the API tokens stay.
    #[serde(default)]
    keep_api_tokens: bool,
}

/// Which sessions are to end. A query with anything else is refused, because the wrong sessions could end.
fn which() -> impl Filter<Extract = (Result<Which, ApiError>,), Error = std::convert::Infallible> + Clone {
    let known = warp::query::<Which>().map(Ok);
    let unknown = warp::any().map(|| Err(ApiError::BadRequest));
    known.or(unknown).unify()
}

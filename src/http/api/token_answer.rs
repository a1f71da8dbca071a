//! The answer to what mints a token: to a sign-in, to a refresh, and to a new password.

use secrecy::ExposeSecret;
use serde::Serialize;
use warp::{
    Filter,
    http::{HeaderMap, HeaderValue, header},
    reply::Response,
};

use crate::{
    auth::{DeviceClaim, IssuedToken},
    http::{cached::no_store, trace::note},
};

/// RFC 6749, section 5.1, with members of this server's own.
#[derive(Serialize)]
struct TokenAnswer<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: u64,
    refresh_in: u64,
    refreshed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_expires_in: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_token: Option<&'a str>,
}

pub(super) fn token_answer(issued: &IssuedToken, as_text: bool) -> Response {
    let token = issued.token.expose_secret();
    let mut response = if as_text {
        no_store(token.to_owned())
    } else {
        no_store(warp::reply::json(&TokenAnswer {
            access_token: token,
            token_type: "Bearer",
            expires_in: issued.expires_in.as_secs(),
            refresh_in: issued.refresh_in.as_secs(),
            refreshed: issued.refreshed,
            refresh_token: issued
                .refresh
                .as_ref()
                .map(|refresh| refresh.token.expose_secret()),
            refresh_expires_in: issued
                .refresh
                .as_ref()
                .map(|refresh| refresh.expires_in.as_secs()),
            device_token: issued.device_token.as_ref().map(ExposeSecret::expose_secret),
        }))
    };
    let vary = HeaderValue::from_static("Accept");
    response.headers_mut().insert(header::VARY, vary);
    note(response, |trace| {
        trace.user = Some(issued.user);
        trace.changed = issued.refreshed;
    })
}

/// What a client that presents `token` has to do with device tokens. One that wants text is given none.
pub(super) fn device(token: Option<String>, as_text: bool) -> DeviceClaim {
    let claim = DeviceClaim::presenting(token.map(Into::into));
    if as_text { claim } else { claim.keeping_one() }
}

/// Whether the client wants the raw token: it accepts `text/plain` by name and does not accept JSON by name.
pub(super) fn accepts_text() -> impl Filter<Extract = (bool,), Error = std::convert::Infallible> + Clone {
    warp::header::headers_cloned().map(|headers: HeaderMap| {
        let accepted = headers
            .get_all(header::ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok());
        let refused = |parameters: &str| {
            let q = parameters
                .trim()
                .strip_prefix("q=")
                .and_then(|q| q.parse::<f32>().ok());
            q.is_some_and(|q| q <= 0.0)
        };
        let types: Vec<_> = accepted
            .flat_map(|value| value.split(','))
            .filter_map(|range| {
                let mut parts = range.split(';');
                let name = parts.next().unwrap_or("").trim().to_ascii_lowercase();
                (!parts.any(refused)).then_some(name)
            })
            .collect();
        let named = |name: &str| types.iter().any(|range| range == name);
        named("text/plain") && !named("application/json")
    })
}

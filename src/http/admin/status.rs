//! `GET /admin/status`: which version runs, and how many users and sessions there are.

use serde::Serialize;
use warp::{Filter, Reply, reply::Response};

use super::administration::{Administration, Asked};
use crate::http::{
    endpoint::{Endpoint, endpoint, on},
    error::ApiError,
    method::GET,
};

pub(super) fn route(administration: &Administration) -> impl Endpoint + use<> {
    endpoint("/admin/status", on(GET, administration.asked().then(status)))
}

#[derive(Serialize)]
struct Status {
    version: &'static str,
    users: u64,
    /// `None` while a store that has just been opened is loading them.
    sessions: Option<usize>,
}

async fn status(asked: Asked) -> Result<Response, ApiError> {
    let (accounts, ..) = asked.allowed()?;
    let counts = accounts.count().await?;
    let status = Status {
        version: env!("CARGO_PKG_VERSION"),
        users: counts.users,
        sessions: counts.sessions,
    };
    Ok(warp::reply::json(&status).into_response())
}

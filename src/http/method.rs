//! Which methods a path answers. A path that is known always answers: with 405 and `Allow` if with nothing else.

use std::convert::Infallible;

use warp::{Filter, Rejection, Reply, reply::Response};

use super::error::ApiError;

/// `GET`, and `HEAD`, whose body the connection leaves out (RFC 9110, section 9.3.2).
pub(super) fn get() -> impl Filter<Extract = (), Error = Rejection> + Clone {
    warp::get().or(warp::head()).unify()
}

/// `GET`, `HEAD` and `POST`.
pub(super) fn get_or_post() -> impl Filter<Extract = (), Error = Rejection> + Clone {
    get().or(warp::post()).unify()
}

/// What a path answers to every method but those in `allow`.
pub(super) fn only(allow: &'static str) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone {
    warp::any().map(move || ApiError::MethodNotAllowed { allow: Some(allow) }.into_response())
}

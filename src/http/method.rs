//! Which methods a path answers. A path that is known always answers: with 405 and `Allow` if with nothing else.

use std::{convert::Infallible, future};

use warp::{Filter, Rejection, Reply, http::Method, reject, reply::Response};

use super::error::ApiError;

/// The methods of one path, as `Allow` has them (RFC 9110, section 10.2.1).
#[derive(Clone, Copy)]
pub(super) struct Methods(&'static str);

/// `HEAD` goes wherever `GET` does; the connection leaves its body out.
pub(super) const GET: Methods = Methods("GET, HEAD");
pub(super) const POST: Methods = Methods("POST");
pub(super) const PATCH: Methods = Methods("PATCH");
pub(super) const DELETE: Methods = Methods("DELETE");
pub(super) const GET_OR_DELETE: Methods = Methods("GET, HEAD, DELETE");
pub(super) const GET_PATCH_OR_DELETE: Methods = Methods("GET, HEAD, PATCH, DELETE");
pub(super) const GET_OR_POST: Methods = Methods("GET, HEAD, POST");

impl Methods {
    /// Lets these methods pass.
    pub(super) fn pass(self) -> impl Filter<Extract = (), Error = Rejection> + Copy {
        let check = move |method: Method| {
            let mut names = self.0.split(',').map(str::trim_start);
            let known = names.any(|name| name == method.as_str());
            future::ready(if known { Ok(()) } else { Err(reject::reject()) })
        };
        warp::method().and_then(check).untuple_one()
    }

    /// Answers 405 to all others: comes after `.or(…)`.
    pub(super) fn refuse_others(self) -> impl Filter<Extract = (Response,), Error = Infallible> + Copy {
        let refuse = move || ApiError::MethodNotAllowed { allow: Some(self.0) }.into_response();
        warp::any().map(refuse)
    }
}

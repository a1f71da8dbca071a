//! The headers that every answer of the server has, also a refusal, and also the answer to a panic.

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use futures_util::{FutureExt, future::Map};
use tower_service::Service;
use warp::{
    http::{HeaderName, HeaderValue, header},
    reply::Response,
};

use super::shared::Answer;

/// What every answer of an API says to browsers: it is what its type says, it shows nothing, and no cache keeps it. A route
/// that has something else to say of one of them is not overruled.
static STANDING: [(HeaderName, HeaderValue); 3] = [
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    ),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

#[derive(Clone)]
pub(in crate::server) struct AddHeaders<S>(pub(super) S);

impl<S, Q> Service<Q> for AddHeaders<S>
where
    S: Service<Q, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Map<S::Future, fn(Answer) -> Answer>;

    #[inline]
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(context)
    }

    #[inline]
    fn call(&mut self, request: Q) -> Self::Future {
        self.0.call(request).map(|answer| answer.map(add))
    }
}

fn add(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in &STANDING {
        if let Some(own) = headers.insert(name, value.clone()) {
            headers.insert(name, own);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use warp::Reply;

    use super::*;

    #[test]
    fn a_route_that_says_otherwise_is_not_overruled() {
        let mut response = "kept".into_response();
        let cached = HeaderValue::from_static("max-age=60");
        response
            .headers_mut()
            .insert(header::CACHE_CONTROL, cached.clone());
        let response = add(response);
        assert_eq!(response.headers()[header::CACHE_CONTROL], cached);
        assert_eq!(response.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(response.headers().len(), 4);
    }
}

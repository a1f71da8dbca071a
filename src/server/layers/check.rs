//! What every request must fulfil before a route sees it: one `Host` (RFC 9112), and a header of a bounded size. The HTTP
//! library has a higher bound of its own, and answers without a body beyond that.

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use futures_util::future::{self, Either, Ready};
use tower_service::Service;
use warp::{
    Reply,
    http::{Request, Version, header},
    reply::Response,
};

use crate::http::ApiError;

/// The longest header of a request, in bytes: its target, and the names and values of its lines.
pub(in crate::server) const MAX_HEADER: usize = 16 * 1024;
/// The most lines that a header may have.
pub(in crate::server) const MAX_HEADER_LINES: usize = 64;

/// Answers a request that fails the check.
#[derive(Clone)]
pub(in crate::server) struct CheckRequests<S>(pub(super) S);

impl<S, B> Service<Request<B>> for CheckRequests<S>
where
    S: Service<Request<B>, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Either<Ready<Result<Response, Infallible>>, S::Future>;

    #[inline]
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(context)
    }

    #[inline]
    fn call(&mut self, request: Request<B>) -> Self::Future {
        match check(&request) {
            Ok(()) => Either::Right(self.0.call(request)),
            Err(error) => Either::Left(future::ready(Ok(error.into_response()))),
        }
    }
}

fn check<B>(request: &Request<B>) -> Result<(), ApiError> {
    let headers = request.headers();
    let target = request
        .uri()
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    let (mut lines, mut hosts) = (0, 0);
    for (name, value) in headers {
        lines += name.as_str().len() + value.len();
        hosts += usize::from(*name == header::HOST);
    }
    if target + lines > MAX_HEADER || headers.len() > MAX_HEADER_LINES {
        return Err(ApiError::HeaderTooLarge { limit: MAX_HEADER });
    }
    if hosts > 1 || (hosts == 0 && request.version() == Version::HTTP_11) {
        return Err(ApiError::BadRequest);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use warp::http::StatusCode;

    use super::*;

    fn request() -> warp::http::request::Builder {
        Request::builder().uri("/x").header("host", "x")
    }

    fn status(request: warp::http::request::Builder) -> Result<(), StatusCode> {
        check(&request.body(()).unwrap()).map_err(|error| error.into_response().status())
    }

    #[test]
    fn a_request_has_one_host_unless_it_is_of_http_1_0() {
        assert_eq!(status(request()), Ok(()));
        assert_eq!(
            status(request().header("host", "y")),
            Err(StatusCode::BAD_REQUEST)
        );
        let none = || Request::builder().uri("/x");
        assert_eq!(status(none()), Err(StatusCode::BAD_REQUEST));
        assert_eq!(status(none().version(Version::HTTP_10)), Ok(()));
    }

    #[test]
    fn a_header_is_bounded_in_bytes_and_in_lines() {
        let too_large = Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        let long = |length: usize| request().header("x", "y".repeat(length));
        let rest = "/x".len() + "hostx".len() + "x".len();
        assert_eq!(status(long(MAX_HEADER - rest)), Ok(()));
        assert_eq!(status(long(MAX_HEADER - rest + 1)), too_large);
        let lines =
            |count: usize| (1..count).fold(request(), |request, n| request.header(format!("x{n}"), "y"));
        assert_eq!(status(lines(MAX_HEADER_LINES)), Ok(()));
        assert_eq!(status(lines(MAX_HEADER_LINES + 1)), too_large);
    }
}

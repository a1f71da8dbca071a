//! What every request must fulfil before a route sees it: one `Host` (RFC 9112), and a header of a bounded size. The HTTP
//! library has a higher bound of its own, and answers without a body beyond that.

use std::{
    convert::Infallible,
    net::Ipv6Addr,
    str,
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

/// The longest header of a request, in bytes: its method and target, and the names and values of its lines.
pub(in crate::server) const MAX_HEADER: usize = 16 * 1024;
/// The most lines that a header may have.
pub(in crate::server) const MAX_HEADER_LINES: usize = 64;
/// The longest method, in bytes. The longest one of the IANA's registry has 17.
const MAX_METHOD: usize = 32;

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
    let method = request.method().as_str().len();
    let target = request
        .uri()
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    let (mut lines, mut hosts, mut is_good_host) = (0, 0, true);
    for (name, value) in headers {
        lines += name.as_str().len() + value.len();
        if *name == header::HOST {
            hosts += 1;
            is_good_host &= is_host(value.as_bytes());
        }
    }
    let length = method + target + lines;
    if length > MAX_HEADER || method > MAX_METHOD || headers.len() > MAX_HEADER_LINES {
        return Err(ApiError::HeaderTooLarge { limit: MAX_HEADER });
    }
    if !is_good_host || hosts > 1 || (hosts == 0 && request.version() == Version::HTTP_11) {
        return Err(ApiError::BadRequest);
    }
    Ok(())
}

/// Whether `value` is a host, with or without a port (RFC 9110, section 7.2). An empty one stands for a target without a host.
fn is_host(value: &[u8]) -> bool {
    let end = match value.first() {
        Some(b'[') => value.iter().position(|byte| *byte == b']').map_or(0, |at| at + 1),
        _ => value.iter().position(|byte| *byte == b':').unwrap_or(value.len()),
    };
    let (host, port) = value.split_at(end);
    let is_good_host = match host.strip_prefix(b"[") {
        Some(address) => str::from_utf8(&address[..address.len() - 1])
            .is_ok_and(|address| address.parse::<Ipv6Addr>().is_ok()),
        None => is_name(host),
    };
    let is_port = |port: &[u8]| port.iter().all(u8::is_ascii_digit);
    is_good_host && (port.is_empty() || port.strip_prefix(b":").is_some_and(is_port))
}

/// Whether `host` is a `reg-name` (RFC 3986, section 3.2.2).
fn is_name(host: &[u8]) -> bool {
    let mut bytes = host.iter();
    while let Some(byte) = bytes.next() {
        let is_good = match byte {
            b'%' => (0..2).all(|_| bytes.next().is_some_and(u8::is_ascii_hexdigit)),
            byte => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(byte),
        };
        if !is_good {
            return false;
        }
    }
    true
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
    fn a_host_is_a_name_or_an_address_and_perhaps_a_port() {
        let status = |host: &str| status(Request::builder().uri("/x").header("host", host));
        for host in [
            "",
            "a",
            "a.b:8000",
            "A_b-c.example.",
            "192.0.2.1:",
            "[2001:db8::1]",
            "[::1]:8000",
            "a%2fb",
        ] {
            assert_eq!(status(host), Ok(()), "{host:?}");
        }
        for host in [
            "a b/c", "a b", "a/c", "a?c", "a#c", "user@a", "a:b", "a:80:80", "[::1", "[]", "[a]", "[::1]a",
            "::1", "a\\b", "a%2", "\"a\"", "<a>", "a,b c",
        ] {
            assert_eq!(status(host), Err(StatusCode::BAD_REQUEST), "{host:?}");
        }
    }

    #[test]
    fn a_header_is_bounded_in_bytes_and_in_lines() {
        let too_large = Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        let long = |length: usize| request().header("x", "y".repeat(length));
        let rest = "GET/x".len() + "hostx".len() + "x".len();
        assert_eq!(status(long(MAX_HEADER - rest)), Ok(()));
        assert_eq!(status(long(MAX_HEADER - rest + 1)), too_large);
        let lines =
            |count: usize| (1..count).fold(request(), |request, n| request.header(format!("x{n}"), "y"));
        assert_eq!(status(lines(MAX_HEADER_LINES)), Ok(()));
        assert_eq!(status(lines(MAX_HEADER_LINES + 1)), too_large);
        let method = |length: usize| request().method("M".repeat(length).as_str());
        assert_eq!(status(method(MAX_METHOD)), Ok(()));
        assert_eq!(status(method(MAX_METHOD + 1)), too_large);
    }
}

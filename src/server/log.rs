//! What surrounds every request, whatever it asks for: whose it is, a name for it, the headers that every answer has, and
//! one line in the log. What changes something or fails is said at `info`, the rest at `debug`. Nothing that a client wrote
//! is in the line, except the method.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::BoxFuture;
use siphasher::sip::SipHasher13;
use tower_service::Service;
use warp::{
    http::{HeaderName, HeaderValue, Method, Request, StatusCode, header},
    reply::Response,
};

use super::client::Proxies;
use crate::{
    clock::Stopwatch,
    domain::{ClientAddress, RequestId, random},
    http::{Answering, Trace},
};

/// How long an answer is held back that turns somebody away until later (429 and 503): who asks again the moment they are
/// answered, on as many connections as they may have, would else take the processor from everybody whom the server has time
/// for.
const TURNED_AWAY_PAUSE: Duration = Duration::from_secs(1);

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What every answer of an API says to browsers: it is what its type says, it shows nothing, and nobody keeps it.
const ALWAYS: [(HeaderName, HeaderValue); 2] = [
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    ),
];

/// A service around another one, which logs every request of one connection.
#[derive(Clone)]
pub(super) struct LogRequests<S> {
    pub(super) inner: S,
    pub(super) peer: SocketAddr,
    pub(super) proxies: Arc<Proxies>,
    pub(super) names: Arc<Names>,
}

/// The names of requests: the hash of a count, with a key of its own, so that none tells another or how many there were.
pub(super) struct Names {
    hash: SipHasher13,
    given: AtomicU64,
}

impl Names {
    pub(super) fn new() -> Self {
        Self {
            hash: SipHasher13::new_with_key(&random()),
            given: AtomicU64::new(0),
        }
    }

    fn next(&self) -> RequestId {
        let count = self.given.fetch_add(1, Ordering::Relaxed);
        RequestId::new(self.hash.hash(&count.to_ne_bytes()))
    }
}

impl<S, B> Service<Request<B>> for LogRequests<S>
where
    S: Service<Request<B>, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let stopwatch = Stopwatch::start();
        let id = self.names.next();
        let client = self.proxies.client(self.peer, request.headers());
        let method = request.method().clone();
        request.extensions_mut().insert(client);
        let (answer, answering) = Answering::new(id).begin(|| self.inner.call(request));
        let answered = answering.finish(answer);
        Box::pin(async move {
            let (answer, trace) = answered.await;
            let mut response = answer?;
            log(&method, &response, stopwatch, client, id, &trace);
            let headers = response.headers_mut();
            for (name, value) in ALWAYS {
                headers.entry(name).or_insert(value);
            }
            headers
                .entry(header::CACHE_CONTROL)
                .or_insert(HeaderValue::from_static("no-store"));
            // Sixteen hexadecimal digits always fit a header.
            if let Ok(id) = HeaderValue::from_str(id.as_str()) {
                headers.insert(X_REQUEST_ID, id);
            }
            if matches!(
                response.status(),
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
            ) {
                tokio::time::sleep(TURNED_AWAY_PAUSE).await;
            }
            Ok(response)
        })
    }
}

fn log(
    method: &Method,
    response: &Response,
    stopwatch: Stopwatch,
    client: ClientAddress,
    id: RequestId,
    trace: &Trace,
) {
    let status = response.status();
    let route = trace.route.unwrap_or("-");
    let user = trace.user.map(tracing::field::display);
    let why = trace.why.as_deref();
    // The macro needs its level at compile time.
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                %method,
                route,
                status = status.as_u16(),
                ms = stopwatch.milliseconds(),
                %client,
                request_id = id.as_str(),
                user,
                why,
                "request"
            )
        };
    }
    if trace.changed || status.is_client_error() || status.is_server_error() {
        line!(info);
    } else {
        line!(debug);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_requests_have_one_name_and_no_two_servers_the_same_names() {
        let [one, other] = [Names::new(), Names::new()];
        let named: HashSet<_> = (0..1000).flat_map(|_| [one.next(), other.next()]).collect();
        assert_eq!(named.len(), 2000);
    }
}

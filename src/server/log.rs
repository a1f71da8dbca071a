//! What surrounds every request, whatever it asks for: whose it is, a name for it, the headers that every answer has, and
//! one line in the log. What changes something or fails is said at `info`, the rest at `debug`. Nothing that a client wrote
//! is in the line, except the method.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::BoxFuture;
use tower_service::Service;
use warp::{
    http::{HeaderName, HeaderValue, Method, Request, StatusCode, header},
    reply::Response,
};

use super::client::Proxies;
use crate::{
    clock::Stopwatch,
    domain::{ClientAddress, random},
    http::{REQUEST_ID, Trace},
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
}

impl<S, B> Service<Request<B>> for LogRequests<S>
where
    S: Service<Request<B>, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let stopwatch = Stopwatch::start();
        let id = format!("{:016x}", u64::from_be_bytes(random()));
        let client = self.proxies.client(self.peer, request.headers());
        let method = request.method().clone();
        request.extensions_mut().insert(client);
        let mut inner = self.inner.clone();
        Box::pin(async move {
            let answer = REQUEST_ID.scope(id.clone(), async move { inner.call(request).await });
            let mut response = answer.await?;
            let trace = response.extensions_mut().remove::<Trace>().unwrap_or_default();
            log(&method, &response, stopwatch, client, &id, &trace);
            let headers = response.headers_mut();
            for (name, value) in ALWAYS {
                headers.entry(name).or_insert(value);
            }
            headers
                .entry(header::CACHE_CONTROL)
                .or_insert(HeaderValue::from_static("no-store"));
            // Sixteen hexadecimal digits always fit a header.
            if let Ok(id) = HeaderValue::try_from(id) {
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
    id: &str,
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
                request_id = id,
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

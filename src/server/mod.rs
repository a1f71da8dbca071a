//! The socket: accepts connections, bounds their number and their patience, and stops without cutting anybody off who
//! can still be served. It knows nothing of what is served.

mod client;
mod connections;
mod cores;
mod log;
mod places;
mod request;
mod unwind;

use std::{convert::Infallible, future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Handle,
    time,
};
use tokio_io_timeout::TimeoutStream;
use tower_http::cors::CorsLayer;
use tower_layer::Layer;
use tower_service::Service;
use warp::{
    Filter, Reply,
    http::{HeaderName, HeaderValue, Method, Request, header},
    reply::Response,
};

pub use self::{client::Proxies, cores::Cores};
use self::{
    connections::Connections,
    log::{LogRequests, Names},
    places::{Place, Places},
    request::{CheckRequests, MAX_HEADER, MAX_HEADER_LINES},
    unwind::AnswerPanics,
};
use crate::config::ServerConfig;

/// How long to wait after the system could not give a connection: it has run out of something, and asking at once again
/// would only burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a browser may remember what it was allowed.
const PREFLIGHT_MAX_AGE: Duration = Duration::from_mins(10);

/// Serves `routes` on `listener` over HTTP/1.1 until `stop` is ready; then accepts no more, gives what is running
/// `limits.shutdown_grace` to finish, and returns whether all of it did.
///
/// End your routes in [`.recover(jwt_server::recover)`](crate::recover): the bound on `routes` asks for that. A handler that
/// panics answers 500, and the others go on. Each request gets a line in the log and an `X-Request-Id`. An answer of 429 or
/// 503 is held back for a second, so that nobody gains by asking again at once.
pub async fn serve<F, R>(
    listener: TcpListener,
    routes: F,
    limits: &ServerConfig,
    stop: impl Future<Output = ()>,
) -> bool
where
    F: Filter<Extract = (R,), Error = Infallible> + Clone + Send + Sync + 'static,
    R: Reply,
{
    serve_on([Handle::current()], listener, routes, limits, stop).await
}

/// Serves on these runtimes, and accepts on the present one.
async fn serve_on<F, R>(
    runtimes: impl IntoIterator<Item = Handle>,
    listener: TcpListener,
    routes: F,
    limits: &ServerConfig,
    stop: impl Future<Output = ()>,
) -> bool
where
    F: Filter<Extract = (R,), Error = Infallible> + Clone + Send + Sync + 'static,
    R: Reply,
{
    let service = CheckRequests(AnswerPanics(warp::service(routes)));
    if limits.cors_origins.is_empty() {
        run(runtimes, listener, service, limits, stop).await
    } else {
        let service = cors(&limits.cors_origins).layer(service);
        run(runtimes, listener, service, limits, stop).await
    }
}

/// What pages of other origins may do, for those origins that are named (the Fetch standard, section 3.3).
fn cors(origins: &[HeaderValue]) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(origins.to_vec())
        .allow_methods([
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PATCH,
            Method::DELETE,
        ])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, header::ACCEPT])
        .expose_headers([
            header::WWW_AUTHENTICATE,
            header::RETRY_AFTER,
            HeaderName::from_static("x-request-id"),
        ])
        .max_age(PREFLIGHT_MAX_AGE)
}

async fn run<S>(
    runtimes: impl IntoIterator<Item = Handle>,
    listener: TcpListener,
    service: S,
    limits: &ServerConfig,
    stop: impl Future<Output = ()>,
) -> bool
where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(2 * MAX_HEADER)
        .max_headers(2 * MAX_HEADER_LINES);
    let patience = limits.body_timeout;
    let proxies = Arc::new(Proxies::new(&limits.trusted_proxies));
    let names = Arc::new(Names::new());
    let places = Places::new(limits.max_connections, limits.max_connections_per_address);
    let mut connections = Connections::on(runtimes);
    let mut stop = std::pin::pin!(stop);
    loop {
        let (stream, peer, place) = tokio::select! {
            () = &mut stop => break,
            accepted = accept(&listener, &places, &proxies) => accepted,
        };
        let (http, service) = (http.clone(), service.clone());
        let (proxies, names) = (Arc::clone(&proxies), Arc::clone(&names));
        connections.add(stream, async move |stream, watcher| {
            // A client may send a small answer's last packet only when the one before has arrived; that costs 40 ms.
            let _ = stream.set_nodelay(true);
            // Who asks and never reads the answers would keep a place for ever.
            let mut stream = TimeoutStream::new(stream);
            stream.set_write_timeout(Some(patience));
            let service = TowerToHyperService::new(LogRequests {
                inner: service,
                peer,
                proxies,
                names,
            });
            let connection = http.serve_connection(TokioIo::new(Box::pin(stream)), service);
            if let Err(error) = watcher.watch(connection).await {
                tracing::debug!(%error, "a connection ended");
            }
            drop(place);
        });
    }
    drop(listener);
    let open = connections.count();
    tracing::info!(connections = open, "stopping: no new connections are accepted");
    connections.finish(limits.shutdown_grace).await
}

/// The next connection, once there is a place for one.
async fn accept(
    listener: &TcpListener,
    places: &Places,
    proxies: &Proxies,
) -> (TcpStream, SocketAddr, Place) {
    loop {
        let free = places.free().await;
        match listener.accept().await {
            Ok((stream, peer)) => {
                let address = peer.ip().to_canonical();
                let share = (!proxies.trust(address)).then_some(address);
                if let Some(place) = places.take(free, share) {
                    return (stream, peer, place);
                }
                tracing::debug!(%address, "a connection beyond its address's share was closed");
            }
            // The client was gone before its turn came.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::error!(%error, "no connection can be accepted");
                time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

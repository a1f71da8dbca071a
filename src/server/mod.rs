//! Connections: accepts them from any listener, bounds their number and how long they may take, and stops without cutting off a
//! request that can still be answered. Of what is served it knows the response to a request that reaches no route, and where
//! a route leaves its notes for the log.

mod activity;
mod bind;
mod connection;
mod connections;
mod cores;
mod forwarded;
mod http2;
mod layers;
mod listener;
mod listeners;
mod places;
mod proxies;
mod refusals;
mod socket;
mod stop;
mod timer;
mod unix_socket;
mod upgrade;
mod wire;

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use hyper::{body::Incoming, server::conn::http1};
use tokio::{runtime::Handle, time};
use tower_http::cors::CorsLayer;
use tower_layer::Layer;
use tower_service::Service;
use warp::{
    Filter, Reply,
    http::{HeaderName, HeaderValue, Method, Request, header},
    reply::Response,
};

pub use self::{
    bind::ListenError,
    cores::Cores,
    listener::{Accepted, AcceptedTcp, AcceptedUnix, Listener, Peer},
    listeners::Listeners,
    proxies::Proxies,
    socket::{AcceptedAny, AnyStream},
};
use self::{
    connection::{Connection, Rules},
    connections::Connections,
    layers::{HeldSeconds, MAX_HEADER, MAX_HEADER_LINES, RequestIds, Shared, X_REQUEST_ID},
    places::{Place, Places},
};
use crate::config::{ConfigError, ServerConfig};

/// How long to wait after the system failed to give a connection: it has run out of something, and to ask again at once would
/// only keep the processor busy.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a browser may keep the answer to a preflight.
const PREFLIGHT_MAX_AGE: Duration = Duration::from_mins(10);

/// Serves `routes` on `listener` over HTTP/1.1 until `stop` is ready; then accepts no more, gives what is running
/// `limits.shutdown_grace` to finish, and returns whether all of it did.
///
/// End your routes in [`.recover(jwt_server::recover)`](crate::recover): the bound on `routes` asks for that. A handler that
/// panics answers 500, and the others go on. Each request gets a line in the log and an `X-Request-Id`. An answer of 429 or
/// 503 is held back for a second, so that a client gains nothing by asking again at once, not even over another connection.
///
/// # Errors
/// [`ConfigError`] for each of the `limits` that its setting does not accept.
pub async fn serve<F, R>(
    listener: impl Listener,
    routes: F,
    limits: &ServerConfig,
    stop: impl Future<Output = ()>,
) -> Result<bool, ConfigError>
where
    F: Filter<Extract = (R,), Error = Infallible> + Clone + Send + Sync + 'static,
    R: Reply,
{
    serve_on([Handle::current()], listener, routes, limits, stop).await
}

/// Serves on these runtimes, and accepts on the present one.
async fn serve_on<F, R>(
    runtimes: impl IntoIterator<Item = Handle>,
    listener: impl Listener,
    routes: F,
    limits: &ServerConfig,
    stop: impl Future<Output = ()>,
) -> Result<bool, ConfigError>
where
    F: Filter<Extract = (R,), Error = Infallible> + Clone + Send + Sync + 'static,
    R: Reply,
{
    limits.check()?;
    let service = layers::inner(warp::service(routes));
    let are_finished = if limits.cors_origins.is_empty() {
        run(runtimes, listener, service, limits, stop).await
    } else {
        let service = cors(&limits.cors_origins, &limits.cors_headers).layer(service);
        run(runtimes, listener, service, limits, stop).await
    };
    Ok(are_finished)
}

/// What pages of the named origins may do (the Fetch standard, section 3.3).
fn cors(origins: &[HeaderValue], headers: &[HeaderName]) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(origins.to_vec())
        .allow_methods([
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PATCH,
            Method::DELETE,
        ])
        .allow_headers(headers.to_vec())
        .expose_headers([header::WWW_AUTHENTICATE, header::RETRY_AFTER, X_REQUEST_ID])
        .max_age(PREFLIGHT_MAX_AGE)
}

async fn run<S>(
    runtimes: impl IntoIterator<Item = Handle>,
    listener: impl Listener,
    service: S,
    limits: &ServerConfig,
    stop: impl Future<Output = ()>,
) -> bool
where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    let mut http = http1::Builder::new();
    // Most answers are small: one piece of memory for header and body is written faster than two.
    http.writev(false)
        .max_buf_size(2 * MAX_HEADER)
        .max_headers(2 * MAX_HEADER_LINES);
    let rules = Arc::new(Rules::new(http, limits));
    let shared = Arc::new(Shared {
        proxies: Proxies::new(&limits.trusted_proxies, limits.forwarded_header),
        ids: RequestIds::new(),
        held_seconds: Arc::new(HeldSeconds::new(limits.max_connections_per_address)),
    });
    let places = Places::new(limits.max_connections, limits.max_connections_per_address);
    let mut connections = Connections::on(runtimes);
    let mut stop = std::pin::pin!(stop);
    loop {
        let (accepted, place) = tokio::select! {
            () = &mut stop => break,
            // Frees the memory of connections that are closed.
            never = connections.reap() => match never {},
            accepted = accept(&listener, &places, &shared.proxies) => accepted,
        };
        let peer = accepted.peer();
        let service = layers::outer(service.clone(), peer, &shared);
        let rules = Arc::clone(&rules);
        connections.add(accepted, move |stream, watcher| {
            Connection::new(rules, place, watcher, peer).answer(stream, service)
        });
    }
    drop(listener);
    let open = connections.count();
    tracing::info!(connections = open, "stopping: no new connections are accepted");
    let are_finished = connections.finish(limits.shutdown_grace).await;
    refusals::tell();
    are_finished
}

/// The next connection, once there is a place for it.
async fn accept<L: Listener>(listener: &L, places: &Places, proxies: &Proxies) -> (L::Accepted, Arc<Place>) {
    loop {
        match listener.accept().await {
            Ok(accepted) => {
                let peer = accepted.peer();
                let address = match peer {
                    Peer::Ip(address) => (!proxies.trust(address)).then_some(address),
                    Peer::Unix { .. } => None,
                };
                if let Some(place) = places.take(address).await {
                    return (accepted, place);
                }
                tracing::debug!(address = %peer, "a connection beyond its address's share was closed");
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

#[cfg(test)]
mod tests;

//! The socket: accepts connections, bounds their number and their patience, and stops without cutting anybody off who
//! can still be served. It knows nothing of what is served.

mod request;
mod unwind;

use std::{convert::Infallible, future::Future, io, sync::Arc, time::Duration};

use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time,
};
use tokio_io_timeout::TimeoutStream;
use warp::{Filter, Reply};

use self::{
    request::{CheckRequests, MAX_HEADER, MAX_HEADER_LINES},
    unwind::AnswerPanics,
};
use crate::config::ServerConfig;

/// How long to wait after the system could not give a connection: it has run out of something, and asking at once again
/// would only burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `routes` on `listener` over HTTP/1.1 until `stop` is ready; then accepts no more, gives what is running
/// `limits.shutdown_grace` to finish, and returns whether all of it did.
///
/// End your routes in [`.recover(jwt_server::recover)`](crate::recover): the bound on `routes` asks for that. A handler that
/// panics answers 500, and the others go on.
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
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(2 * MAX_HEADER)
        .max_headers(2 * MAX_HEADER_LINES);
    let service = TowerToHyperService::new(CheckRequests(AnswerPanics(warp::service(routes))));
    let places = Arc::new(Semaphore::new(limits.max_connections));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let (stream, place) = tokio::select! {
            () = &mut stop => break,
            accepted = accept(&listener, &places) => accepted,
        };
        // A client may send a small answer's last packet only when the one before has arrived; that costs 40 ms.
        let _ = stream.set_nodelay(true);
        // Who asks and never reads the answers would keep a place for ever.
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(limits.body_timeout));
        let connection = http.serve_connection(TokioIo::new(Box::pin(stream)), service.clone());
        let connection = graceful.watch(connection);
        connections.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended");
            }
            drop(place);
        });
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    let open = graceful.count();
    tracing::info!(connections = open, "stopping: no new connections are accepted");
    let finished = time::timeout(limits.shutdown_grace, graceful.shutdown())
        .await
        .is_ok();
    if !finished {
        while connections.try_join_next().is_some() {}
        tracing::warn!(
            connections = connections.len(),
            "these did not finish in time and are cut"
        );
    }
    connections.shutdown().await;
    finished
}

/// The next connection, once there is a place for one.
async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> (TcpStream, OwnedSemaphorePermit) {
    #[expect(clippy::expect_used, reason = "nobody closes the semaphore")]
    let place = Arc::clone(places)
        .acquire_owned()
        .await
        .expect("the places are never closed");
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, place),
            // The client was gone before its turn came.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::error!(%error, "no connection can be accepted");
                time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

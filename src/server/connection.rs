//! One connection, from its first byte to its last: when the HTTP library has it, and when it ends. While a connection is idle,
//! the library does not have it, because the library's buffers are most of what a connection takes.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::{body::Incoming, server::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::unconstrained,
    time::{Instant, Sleep, sleep_until},
};
use warp::{http::Request, reply::Response};

use super::{
    http2::http2_refusal,
    layers::OneConnection,
    listener::Peer,
    places::Place,
    refusals,
    stop::Watcher,
    timer::{HeadTimer, NO_TIME},
    wire::Wire,
};
use crate::{config::ServerConfig, domain::Network};

/// How long an idle connection keeps the library's buffers.
const KEEP_BUFFERS: Duration = Duration::from_secs(1);
/// How long the server reads on after an answer to a request that it did not read whole. If it closed at once, the system would
/// reset the connection, and a client that still sends would never read the answer.
const LINGER: Duration = Duration::from_secs(5);
/// How much it reads then, in bytes.
const LINGER_BYTES: usize = 4 << 20;

/// What holds for every connection.
pub(super) struct Rules {
    pub(super) http: http1::Builder,
    header_timeout: Duration,
    idle_timeout: Duration,
    /// For the body of a request, and for any part of an answer.
    body_timeout: Duration,
}

impl Rules {
    /// The time limits of `limits`, and the other settings of `http`.
    pub(super) fn new(mut http: http1::Builder, limits: &ServerConfig) -> Self {
        http.header_read_timeout(NO_TIME);
        Self {
            http,
            header_timeout: limits.header_timeout,
            idle_timeout: limits.idle_timeout,
            body_timeout: limits.body_timeout,
        }
    }
}

/// A connection that is open.
pub(super) struct Connection {
    rules: Arc<Rules>,
    place: Arc<Place>,
    watcher: Watcher,
    peer: Peer,
    alarm: Alarm,
    /// Since when a part of a header has been there.
    head_since: Option<Instant>,
}

/// Why the HTTP library no longer has the connection.
enum Ended {
    /// The connection is idle.
    Idle,
    /// It is to be closed without another word.
    Cut,
    /// The library has answered what there was, or could not.
    Done(hyper::Result<()>),
}

impl Connection {
    pub(super) fn new(rules: Arc<Rules>, place: Arc<Place>, watcher: Watcher, peer: Peer) -> Self {
        Self {
            rules,
            place,
            watcher,
            peer,
            alarm: Alarm::default(),
            head_since: None,
        }
    }

    /// Answers the requests that come over `stream`, until its client is done, its place is given to another connection, or the
    /// server stops.
    pub(super) async fn answer<T, S>(mut self, stream: T, service: S)
    where
        T: AsyncRead + AsyncWrite + Send + 'static,
        S: tower_service::Service<Request<Incoming>, Response = Response, Error = std::convert::Infallible>,
    {
        let mut wire = Wire::new(stream, Arc::clone(&self.place), self.rules.body_timeout);
        let mut service = OneConnection::new(service, Arc::clone(&self.place));
        while poll_fn(|context| self.poll_arrival(context, &mut wire)).await {
            let mut http = self.rules.http.clone();
            http.timer(HeadTimer(Arc::clone(&self.place)));
            // In a box, so that it takes no memory while the connection is idle.
            let served = http.serve_connection(TokioIo::new(wire), service);
            let mut served = Box::new(served.with_upgrades());
            let buffered = self.place.buffer();
            self.alarm.unset();
            let since = Instant::now();
            let mut is_told = false;
            let ended = poll_fn(|context| self.poll_served(context, &mut served, since, &mut is_told)).await;
            drop(buffered);
            let Some(parts) = served.into_parts() else {
                return self.outlast_upgrade().await;
            };
            (wire, service) = (parts.io.into_inner(), parts.service);
            wire.take_back(&parts.read_buf);
            drop(parts.read_buf);
            match ended {
                Ended::Idle => {}
                Ended::Cut => return,
                Ended::Done(outcome) => return self.finish(&mut wire, outcome).await,
            }
        }
    }

    /// Waits for the next byte of an idle connection. Returns `false` if the connection is to be closed.
    fn poll_arrival<T>(&mut self, context: &mut Context<'_>, wire: &mut Wire<T>) -> Poll<bool>
    where
        T: AsyncRead + AsyncWrite,
    {
        let is_idle = !self.place.activity().has_part_of_head();
        if self.place.is_given_up(context) || (self.watcher.has_begun(context) && is_idle) {
            return Poll::Ready(false);
        }
        if let Poll::Ready(came) = wire.poll_byte(context) {
            return Poll::Ready(came);
        }
        loop {
            let Some(limit) = self.limit().filter(|limit| *limit > Instant::now()) else {
                return Poll::Ready(false);
            };
            ready!(self.alarm.poll(context, limit));
        }
    }

    /// Waits until the library is done, or the connection is idle.
    fn poll_served<T, S>(
        &mut self,
        context: &mut Context<'_>,
        served: &mut http1::UpgradeableConnection<TokioIo<Wire<T>>, S>,
        since: Instant,
        is_told: &mut bool,
    ) -> Poll<Ended>
    where
        T: AsyncRead + AsyncWrite + Send + 'static,
        S: hyper::service::Service<Request<Incoming>, Response = Response> + Unpin,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        loop {
            if let Poll::Ready(outcome) = Pin::new(&mut *served).poll(context) {
                return Poll::Ready(Ended::Done(outcome));
            }
            if *is_told || !self.watcher.has_begun(context) {
                break;
            }
            // Only now, because the library closes one that has read nothing yet, and it may have a request to read.
            *is_told = true;
            Pin::new(&mut *served).graceful_shutdown();
        }
        if self.place.is_given_up(context) {
            return Poll::Ready(Ended::Cut);
        }
        self.note_head();
        // What waits for more bytes has written all that it had to write.
        let is_idle = |place: &Place| place.activity().awaits_bytes() && place.waits_since().is_some();
        if self.place.are_buffers_scarce() && is_idle(&self.place) && !*is_told {
            return Poll::Ready(Ended::Idle);
        }
        while self.alarm.is_due() {
            let now = Instant::now();
            let mut next = now + self.tick();
            if let (Some(limit), Some(waits_since)) = (self.limit(), self.place.waits_since()) {
                let keep_until = waits_since.max(since) + KEEP_BUFFERS;
                if limit <= now {
                    return Poll::Ready(Ended::Cut);
                }
                if keep_until <= now && is_idle(&self.place) && !*is_told {
                    return Poll::Ready(Ended::Idle);
                }
                next = next.min(limit);
            }
            ready!(self.alarm.poll(context, next));
        }
        Poll::Pending
    }

    /// Waits until the route that has taken the connection over closes it. When the server stops, the route reads the end of the
    /// stream; it can write until the server no longer waits for it.
    async fn outlast_upgrade(&mut self) {
        let place = CutWhenDropped(Arc::clone(&self.place));
        poll_fn(|context| {
            let Some(upgrade) = place.0.upgrade() else {
                return Poll::Ready(());
            };
            if self.watcher.has_begun(context) {
                upgrade.tell();
            }
            upgrade.poll_closed(context)
        })
        .await;
    }

    /// Notes since when a part of a header has been there.
    fn note_head(&mut self) {
        if !self.place.activity().has_part_of_head() {
            self.head_since = None;
        } else if self.head_since.is_none() {
            self.head_since = Some(Instant::now());
        }
    }

    /// When the wait for a header ends; `None` if there is none.
    fn limit(&mut self) -> Option<Instant> {
        self.note_head();
        let since = self.place.waits_since()?;
        let limit = if !self.place.activity().has_had_request() {
            since + self.rules.header_timeout
        } else if let Some(head_since) = self.head_since {
            head_since + self.rules.header_timeout
        } else {
            since + self.rules.idle_timeout
        };
        Some(limit)
    }

    /// How often a connection that the library has is looked at: no limit that begins meanwhile ends before the next time. So no
    /// timer has to be set for each request.
    fn tick(&self) -> Duration {
        let Rules {
            header_timeout,
            idle_timeout,
            ..
        } = *self.rules;
        KEEP_BUFFERS.min(header_timeout).min(idle_timeout)
    }

    /// Ends a connection that the library is done with.
    async fn finish<T>(&mut self, wire: &mut Wire<T>, outcome: hyper::Result<()>)
    where
        T: AsyncRead + AsyncWrite,
    {
        let peer = self.peer;
        match outcome {
            // What its client has not sent in time is not waited for.
            Ok(()) => {
                if let Some(since) = self.place.body_since() {
                    self.linger(wire, since + self.rules.body_timeout).await;
                }
            }
            // No layer saw the request, so none has logged it.
            Err(error) if error.is_parse() => {
                if refusals::admit(network(peer)) {
                    tracing::info!(%peer, %error, "a connection ended, because what came is not a request of HTTP/1.1");
                }
                // The library leaves the answer to HTTP/2 to its callers.
                if error.is_parse_version_h2() && wire.write_last(&http2_refusal().await).await.is_err() {
                    return;
                }
                self.linger(wire, Instant::now() + self.rules.header_timeout)
                    .await;
            }
            Err(error) => tracing::debug!(%peer, %error, "a connection ended"),
        }
    }

    /// Reads on until the client has closed its end too, within bounds and until that moment. The connection waits meanwhile, so it makes room for
    /// another one.
    async fn linger<T>(&mut self, wire: &mut Wire<T>, until: Instant)
    where
        T: AsyncRead + AsyncWrite,
    {
        let now = Instant::now();
        self.place.wait(now);
        let until = until.min(now + LINGER);
        let mut left = LINGER_BYTES;
        poll_fn(|context| {
            if self.place.is_given_up(context) || self.watcher.has_begun(context) {
                return Poll::Ready(());
            }
            while let Poll::Ready(length) = wire.poll_drain(context) {
                left = left.saturating_sub(length);
                if length == 0 || left == 0 {
                    return Poll::Ready(());
                }
            }
            self.alarm.poll(context, until)
        })
        .await;
    }
}

/// Ends the stream of a route that took the connection over, when this is dropped: also if the server no longer waits for it.
struct CutWhenDropped(Arc<Place>);

impl Drop for CutWhenDropped {
    fn drop(&mut self) {
        if let Some(upgrade) = self.0.upgrade() {
            upgrade.cut();
        }
    }
}

fn network(peer: Peer) -> Option<Network> {
    match peer {
        Peer::Ip(address) => Some(Network::of(address)),
        Peer::Unix { .. } => None,
    }
}

/// The one timer of a connection.
#[derive(Default)]
struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
    is_set: bool,
}

impl Alarm {
    /// Makes it due.
    fn unset(&mut self) {
        self.is_set = false;
    }

    /// Whether it is not set, or has run out.
    fn is_due(&self) -> bool {
        !self.is_set || self.sleep.as_ref().is_none_or(|sleep| sleep.is_elapsed())
    }

    /// Sets it to `deadline`, and waits for that.
    fn poll(&mut self, context: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        self.is_set = true;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        // A task that has used up its budget would not set the timer.
        pin!(unconstrained(sleep.as_mut())).poll(context)
    }
}

//! The address of each request's client, left for the log and the handlers.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use tower_service::Service;
use warp::{
    http::{HeaderMap, Request},
    reply::Response,
};

use super::shared::Shared;
use crate::{
    domain::ClientAddress,
    http::{set_client, set_peer_uid},
    server::listener::Peer,
};

#[derive(Clone)]
pub(in crate::server) struct FindClient<S> {
    inner: S,
    peer: Peer,
    /// The client of every request of this connection, if its peer is no trusted proxy and has sent one.
    always: Option<ClientAddress>,
    shared: Arc<Shared>,
}

impl<S> FindClient<S> {
    /// For the requests of a connection with `peer`.
    pub(super) fn new(inner: S, peer: Peer, shared: Arc<Shared>) -> Self {
        Self {
            inner,
            peer,
            always: None,
            shared,
        }
    }

    fn client(&mut self, headers: &HeaderMap) -> Option<ClientAddress> {
        if self.always.is_some() {
            return self.always;
        }
        let client = self.shared.proxies.client(self.peer, headers);
        if !self.shared.proxies.trust_peer(self.peer) {
            self.always = client;
        }
        client
    }
}

impl<S, B> Service<Request<B>> for FindClient<S>
where
    S: Service<Request<B>, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = S::Future;

    #[inline]
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    #[inline]
    fn call(&mut self, request: Request<B>) -> Self::Future {
        if let Peer::Unix { uid: Some(uid) } = self.peer {
            set_peer_uid(uid);
        }
        if let Some(client) = self.client(request.headers()) {
            set_client(client);
        }
        self.inner.call(request)
    }
}

//! The address of each request's client, left in the request's extensions, where the log and the routes find it.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use tower_service::Service;
use warp::{http::Request, reply::Response};

use super::shared::Shared;
use crate::server::listener::Peer;

#[derive(Clone)]
pub(in crate::server) struct FindClient<S> {
    inner: S,
    peer: Peer,
    shared: Arc<Shared>,
}

impl<S> FindClient<S> {
    /// For the requests of a connection with `peer`.
    pub(super) fn new(inner: S, peer: Peer, shared: Arc<Shared>) -> Self {
        Self { inner, peer, shared }
    }
}

impl<S, B> Service<Request<B>> for FindClient<S>
where
    S: Service<Request<B>, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        if let Some(client) = self.shared.proxies.client(self.peer, request.headers()) {
            request.extensions_mut().insert(client);
        }
        self.inner.call(request)
    }
}

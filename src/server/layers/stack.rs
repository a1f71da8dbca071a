//! The order of the layers.

use std::{cell::RefCell, convert::Infallible, sync::Arc};

use hyper::body::Incoming;
use tower_service::Service;
use warp::{http::Request, reply::Response};

use super::{
    check::CheckRequests, client::FindClient, credential::FindCredential, headers::AddHeaders,
    hold::HoldBack, log::LogRequests, name::NameRequests, panics::AnswerPanics, shared::Shared,
};
use crate::server::listener::Peer;

/// The layers next to the routes, below CORS.
pub(in crate::server) fn inner<S>(routes: S) -> CheckRequests<AnswerPanics<S>> {
    CheckRequests(AnswerPanics(routes))
}

/// The layers of one connection around `service`, from the outermost to the innermost.
pub(in crate::server) fn outer<S>(service: S, peer: Peer, shared: &Arc<Shared>) -> OneConnection<Outer<S>> {
    let service = LogRequests(service);
    let service = FindCredential(service);
    let service = FindClient::new(service, peer, Arc::clone(shared));
    let service = NameRequests::new(service, Arc::clone(shared));
    OneConnection(RefCell::new(HoldBack(AddHeaders(service))))
}

pub(in crate::server) type Outer<S> =
    HoldBack<AddHeaders<NameRequests<FindClient<FindCredential<LogRequests<S>>>>>>;

/// A service for hyper, which asks by a shared reference: a connection answers its requests one after the other.
pub(in crate::server) struct OneConnection<S>(RefCell<S>);

impl<S> hyper::service::Service<Request<Incoming>> for OneConnection<S>
where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = S::Future;

    #[inline]
    fn call(&self, request: Request<Incoming>) -> S::Future {
        self.0.borrow_mut().call(request)
    }
}

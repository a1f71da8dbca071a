//! What surrounds the routes, whatever they are: a layer a file, each with one job. A layer is a service around another one.
//! All of them are always ready, so none is asked whether it is.

mod check;
mod client;
mod credential;
mod headers;
mod hold;
mod log;
mod name;
mod panics;

use std::{cell::RefCell, convert::Infallible, sync::Arc};

use hyper::body::Incoming;
use tower_service::Service;
use warp::{http::Request, reply::Response};

use self::{
    check::CheckRequests, client::FindClient, credential::FindCredential, headers::AddHeaders,
    hold::HoldBack, log::LogRequests, name::NameRequests, panics::AnswerPanics,
};
pub(super) use self::{
    check::{MAX_HEADER, MAX_HEADER_LINES},
    name::{RequestIds, X_REQUEST_ID},
};
use super::{listener::Peer, proxies::Proxies};

/// What a layer answers.
type Answer = Result<Response, Infallible>;

/// What the layers of all connections share.
pub(super) struct Shared {
    pub(super) proxies: Proxies,
    pub(super) ids: RequestIds,
}

/// The layers next to the routes, below CORS.
pub(super) fn inner<S>(routes: S) -> CheckRequests<AnswerPanics<S>> {
    CheckRequests(AnswerPanics(routes))
}

/// The layers of one connection around `service`, from the outermost to the innermost.
pub(super) fn outer<S>(service: S, peer: Peer, shared: &Arc<Shared>) -> OneConnection<Outer<S>> {
    let service = LogRequests(service);
    let service = FindCredential(service);
    let service = FindClient::new(service, peer, Arc::clone(shared));
    let service = NameRequests::new(service, Arc::clone(shared));
    OneConnection(RefCell::new(HoldBack(AddHeaders(service))))
}

pub(super) type Outer<S> = HoldBack<AddHeaders<NameRequests<FindClient<FindCredential<LogRequests<S>>>>>>;

/// A service for hyper, which asks by a shared reference: a connection answers its requests one after the other.
pub(super) struct OneConnection<S>(RefCell<S>);

impl<S> hyper::service::Service<Request<Incoming>> for OneConnection<S>
where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = S::Future;

    fn call(&self, request: Request<Incoming>) -> S::Future {
        self.0.borrow_mut().call(request)
    }
}

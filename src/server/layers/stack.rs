//! The order of the layers.

use std::{cell::RefCell, convert::Infallible, sync::Arc};

use futures_util::future::{Either, Pending, pending};
use hyper::{
    body::{Body, Incoming},
    upgrade::OnUpgrade,
};
use tower_service::Service;
use warp::{http::Request, reply::Response};

use super::{
    check::CheckRequests, client::FindClient, credential::FindCredential, headers::AddHeaders,
    hold::HoldBack, log::LogRequests, name::NameRequests, panics::AnswerPanics, shared::Shared,
};
use crate::server::{listener::Peer, places::Place};

/// The layers next to the routes, below CORS.
pub(in crate::server) fn inner<S>(routes: S) -> CheckRequests<AnswerPanics<S>> {
    CheckRequests(AnswerPanics(routes))
}

/// The layers of one connection around `service`, from the outermost to the innermost.
pub(in crate::server) fn outer<S>(service: S, peer: Peer, shared: &Arc<Shared>) -> Outer<S> {
    let service = LogRequests(service);
    let service = HoldBack::new(service, Arc::clone(&shared.held_seconds));
    let service = FindCredential(service);
    let service = FindClient::new(service, peer, Arc::clone(shared));
    let service = NameRequests::new(service, Arc::clone(shared));
    AddHeaders(service)
}

pub(in crate::server) type Outer<S> =
    AddHeaders<NameRequests<FindClient<FindCredential<HoldBack<LogRequests<S>>>>>>;

/// A service for hyper, which asks by a shared reference: a connection answers its requests one after the other.
pub(in crate::server) struct OneConnection<S> {
    service: RefCell<S>,
    place: Arc<Place>,
}

impl<S> OneConnection<S> {
    pub(in crate::server) fn new(service: S, place: Arc<Place>) -> Self {
        Self {
            service: RefCell::new(service),
            place,
        }
    }
}

// The service is never pinned.
impl<S> Unpin for OneConnection<S> {}

impl<S> hyper::service::Service<Request<Incoming>> for OneConnection<S>
where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Either<S::Future, Pending<Result<Response, Infallible>>>;

    #[inline]
    fn call(&self, request: Request<Incoming>) -> Self::Future {
        if request.extensions().get::<OnUpgrade>().is_some() {
            self.place.expect_upgrade();
        }
        if self.place.work(!request.body().is_end_stream()) {
            Either::Left(self.service.borrow_mut().call(request))
        } else {
            // The connection ends before this is asked again.
            Either::Right(pending())
        }
    }
}

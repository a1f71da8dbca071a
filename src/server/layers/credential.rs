//! The `Authorization` header of each request, found once and left in the request's extensions, so that no route has to copy
//! the header for it.

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use tower_service::Service;
use warp::{http::Request, reply::Response};

use crate::http::Credential;

#[derive(Clone)]
pub(in crate::server) struct FindCredential<S>(pub(super) S);

impl<S, B> Service<Request<B>> for FindCredential<S>
where
    S: Service<Request<B>, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let credential = Credential::of(request.headers());
        request.extensions_mut().insert(credential);
        self.0.call(request)
    }
}

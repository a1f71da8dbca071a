//! The `Authorization` header of each request: where there is one and no more, it is left for the handlers, so that none has to
//! copy all headers to see that.

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use tower_service::Service;
use warp::{http::Request, reply::Response};

use crate::http::{Credential, set_only_credential};

#[derive(Clone)]
pub(in crate::server) struct FindCredential<S>(pub(super) S);

impl<S, B> Service<Request<B>> for FindCredential<S>
where
    S: Service<Request<B>, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = S::Future;

    #[inline]
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(context)
    }

    #[inline]
    fn call(&mut self, request: Request<B>) -> Self::Future {
        if let Credential::One(value) = Credential::of(request.headers()) {
            set_only_credential(value);
        }
        self.0.call(request)
    }
}

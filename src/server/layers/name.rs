//! A name for each request: in the log, in `X-Request-Id`, and in a problem's `request_id`.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tower_service::Service;
use warp::{
    http::{HeaderName, HeaderValue},
    reply::Response,
};

use super::shared::{Answer, Shared};
use crate::{domain::RequestId, http::Traced};

pub(in crate::server) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

#[derive(Clone)]
pub(in crate::server) struct NameRequests<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> NameRequests<S> {
    pub(super) fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }
}

impl<S, Q> Service<Q> for NameRequests<S>
where
    S: Service<Q, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Named<S::Future>;

    #[inline]
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    #[inline]
    fn call(&mut self, request: Q) -> Self::Future {
        let id = self.shared.ids.next();
        Named {
            answer: Traced::new(id, || self.inner.call(request)),
            id,
        }
    }
}

pin_project! {
    pub(in crate::server) struct Named<F> {
        #[pin]
        answer: Traced<F>,
        id: RequestId,
    }
}

impl<F: Future<Output = Answer>> Future for Named<F> {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        let this = self.project();
        let mut response = ready!(this.answer.poll(context))?;
        // Sixteen hexadecimal digits always fit a header.
        if let Ok(id) = HeaderValue::from_str(this.id.as_str()) {
            response.headers_mut().insert(X_REQUEST_ID, id);
        }
        Poll::Ready(Ok(response))
    }
}

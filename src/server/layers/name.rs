//! A name for each request: in the log, in `X-Request-Id`, and in a problem's `request_id`.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use siphasher::sip::SipHasher13;
use tower_service::Service;
use warp::{
    http::{HeaderName, HeaderValue},
    reply::Response,
};

use super::{Answer, Shared};
use crate::{
    domain::{RequestId, random},
    http::Traced,
};

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

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

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

/// The ids of requests: the hash of a count, with a key of its own, so that no id tells another one, or how many there were.
pub(in crate::server) struct RequestIds {
    hash: SipHasher13,
    given: AtomicU64,
}

impl RequestIds {
    pub(in crate::server) fn new() -> Self {
        Self {
            hash: SipHasher13::new_with_key(&random()),
            given: AtomicU64::new(0),
        }
    }

    fn next(&self) -> RequestId {
        let count = self.given.fetch_add(1, Ordering::Relaxed);
        RequestId::new(self.hash.hash(&count.to_ne_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_requests_have_one_id_and_no_two_servers_the_same_ids() {
        let [one, other] = [RequestIds::new(), RequestIds::new()];
        let given: HashSet<_> = (0..1000).flat_map(|_| [one.next(), other.next()]).collect();
        assert_eq!(given.len(), 2000);
    }
}

//! One line in the log for each request, when its answer is there. A request that changed something or failed is logged at
//! `info`, every other one at `debug`. The line has nothing that a client wrote, except the method.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tower_service::Service;
use warp::{
    http::{Method, Request},
    reply::Response,
};

use super::shared::Answer;
use crate::{
    clock::Stopwatch,
    domain::RequestId,
    http::{Noted, take_noted},
};

#[derive(Clone)]
pub(in crate::server) struct LogRequests<S>(pub(super) S);

impl<S, B> Service<Request<B>> for LogRequests<S>
where
    S: Service<Request<B>, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Logged<S::Future>;

    #[inline]
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(context)
    }

    #[inline]
    fn call(&mut self, request: Request<B>) -> Self::Future {
        let asked = Asked {
            since: Stopwatch::start(),
            method: request.method().clone(),
        };
        Logged {
            answer: self.0.call(request),
            asked,
        }
    }
}

/// What the line says of the request itself.
struct Asked {
    since: Stopwatch,
    method: Method,
}

pin_project! {
    pub(in crate::server) struct Logged<F> {
        #[pin]
        answer: F,
        asked: Asked,
    }
}

impl<F: Future<Output = Answer>> Future for Logged<F> {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        let this = self.project();
        let response = ready!(this.answer.poll(context))?;
        this.asked.log(&response);
        Poll::Ready(Ok(response))
    }
}

impl Asked {
    fn log(&self, response: &Response) {
        let Noted { id, client, trace } = take_noted();
        let status = response.status();
        // The macro needs its level at compile time.
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    method = %self.method,
                    route = trace.route.unwrap_or("-"),
                    status = status.as_u16(),
                    ms = self.since.milliseconds(),
                    client = client.map(tracing::field::display),
                    request_id = id.as_ref().map(RequestId::as_str),
                    user = trace.user.map(tracing::field::display),
                    why = trace.why.as_deref(),
                    "request"
                )
            };
        }
        if trace.changed || status.is_client_error() || status.is_server_error() {
            line!(info);
        } else {
            line!(debug);
        }
    }
}

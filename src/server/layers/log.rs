//! One line in the log for each request, when its answer is there. A request that changed something or failed is logged at
//! `info`, every other one at `debug`; of many failures within a second, only the first ones have a line. The line has nothing that
//! a client wrote, except a method that is known.

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
    domain::{ClientAddress, RequestId},
    http::{Noted, take_noted},
    server::refusals,
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
            method: name(request.method()),
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
    method: &'static str,
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
        if status.is_client_error() || status.is_server_error() {
            if refusals::admit(client.map(ClientAddress::network)) {
                line!(info);
            }
        } else if trace.changed {
            line!(info);
        } else {
            line!(debug);
        }
    }
}

/// The name of `method` if it is a known one, and `-` for what a client made up.
fn name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::HEAD => "HEAD",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::PUT => "PUT",
        Method::TRACE => "TRACE",
        Method::CONNECT => "CONNECT",
        _ => "-",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_that_a_client_made_up_is_not_named() {
        for known in [
            "GET", "POST", "HEAD", "PATCH", "DELETE", "OPTIONS", "PUT", "TRACE", "CONNECT",
        ] {
            assert_eq!(name(&known.parse().unwrap()), known);
        }
        for unknown in ["get", "BREW", "X"] {
            assert_eq!(name(&unknown.parse().unwrap()), "-");
        }
    }
}

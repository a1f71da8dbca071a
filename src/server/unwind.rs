//! A handler that panics must not take its connection along: its client gets a 500, and the panic a line in the log.

use std::{
    convert::Infallible,
    panic::AssertUnwindSafe,
    task::{Context, Poll},
};

use futures_util::{FutureExt, future::BoxFuture};
use tower_service::Service;
use warp::{Reply, reply::Response};

use crate::http::ApiError;

/// A service around another one, which answers 500 where that one panics.
#[derive(Clone)]
pub(super) struct AnswerPanics<S>(pub(super) S);

impl<S, Q> Service<Q> for AnswerPanics<S>
where
    S: Service<Q, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Q) -> Self::Future {
        // What a handler shares with others is built to survive a panic: the store's locks say why where they are taken.
        let answer = AssertUnwindSafe(self.0.call(request)).catch_unwind();
        Box::pin(answer.map(|answer| answer.unwrap_or_else(|_| Ok(ApiError::Internal.into_response()))))
    }
}

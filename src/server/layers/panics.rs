//! A handler that panics does not end its connection: its client gets a 500, and the log a line about the panic.

use std::{
    convert::Infallible,
    panic::{AssertUnwindSafe, catch_unwind},
    task::{Context, Poll},
    thread,
};

use futures_util::{
    FutureExt,
    future::{CatchUnwind, Either, Map, Ready},
};
use tower_service::Service;
use warp::{Reply, reply::Response};

use super::shared::Answer;
use crate::http::ApiError;

/// An answer, from a handler that may have panicked.
type Caught = thread::Result<Answer>;

/// Answers 500 where the service inside panics.
#[derive(Clone)]
pub(in crate::server) struct AnswerPanics<S>(pub(super) S);

impl<S, Q> Service<Q> for AnswerPanics<S>
where
    S: Service<Q, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Either<Ready<Answer>, Map<CatchUnwind<AssertUnwindSafe<S::Future>>, fn(Caught) -> Answer>>;

    #[inline]
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(context)
    }

    #[inline]
    fn call(&mut self, request: Q) -> Self::Future {
        // What handlers share survives a panic: where the store takes its locks it says why.
        // The first filters of a route run in the call itself, so the call is inside too.
        match catch_unwind(AssertUnwindSafe(|| self.0.call(request))) {
            Ok(answer) => {
                let answer = AssertUnwindSafe(answer).catch_unwind();
                Either::Right(answer.map(|caught| caught.unwrap_or_else(|_| Ok(internal()))))
            }
            Err(_) => Either::Left(futures_util::future::ready(Ok(internal()))),
        }
    }
}

fn internal() -> Response {
    ApiError::Internal.into_response()
}

#[cfg(test)]
mod tests {
    use warp::{Filter, http::StatusCode};

    use super::*;

    #[tokio::test]
    async fn a_panic_answers_500_and_the_next_request_is_served() {
        let panics = warp::path!("panic").map(|| -> String { panic!("on purpose") });
        let later = warp::path!("later").then(async || -> String {
            tokio::task::yield_now().await;
            panic!("on purpose, after an await")
        });
        let routes = panics
            .or(later)
            .unify()
            .or(warp::any().map(|| "served".to_owned()))
            .unify();
        let mut service = AnswerPanics(warp::service(routes));
        for (path, status) in [("/panic", 500), ("/", 200), ("/later", 500), ("/", 200)] {
            let request = warp::http::Request::builder()
                .uri(path)
                .body(String::new())
                .unwrap();
            let response = service.call(request).await.unwrap();
            assert_eq!(response.status(), StatusCode::from_u16(status).unwrap(), "{path}");
        }
    }
}

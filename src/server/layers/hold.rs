//! An answer that turns a client away until later (429 and 503) is held back for a second. A client that asks again the moment
//! it is answered, on as many connections as it may have, would otherwise take the processor from the clients that the
//! server has time for.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tower_service::Service;
use warp::{http::StatusCode, reply::Response};

use super::shared::Answer;

const PAUSE: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub(in crate::server) struct HoldBack<S>(pub(super) S);

impl<S, Q> Service<Q> for HoldBack<S>
where
    S: Service<Q, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Held<S::Future>;

    #[inline]
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(context)
    }

    #[inline]
    fn call(&mut self, request: Q) -> Self::Future {
        Held {
            answer: self.0.call(request),
            held: None,
        }
    }
}

pin_project! {
    pub(in crate::server) struct Held<F> {
        #[pin]
        answer: F,
        // In a box, because nearly every answer goes without.
        held: Option<Box<(Pin<Box<Sleep>>, Response)>>,
    }
}

impl<F: Future<Output = Answer>> Future for Held<F> {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        let this = self.project();
        if this.held.is_none() {
            let response = ready!(this.answer.poll(context))?;
            if !turns_away(response.status()) {
                return Poll::Ready(Ok(response));
            }
            *this.held = Some(Box::new((Box::pin(sleep(PAUSE)), response)));
        }
        let Some(held) = this.held else {
            return Poll::Pending;
        };
        ready!(held.0.as_mut().poll(context));
        this.held
            .take()
            .map_or(Poll::Pending, |held| Poll::Ready(Ok(held.1)))
    }
}

fn turns_away(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    )
}

#[cfg(test)]
mod tests {
    use std::future::{Ready, ready};

    use tokio::time::Instant;
    use warp::Reply;

    use super::*;

    #[derive(Clone)]
    struct Answers;

    impl Service<StatusCode> for Answers {
        type Response = Response;
        type Error = Infallible;
        type Future = Ready<Answer>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, status: StatusCode) -> Self::Future {
            ready(Ok(status.into_response()))
        }
    }

    #[tokio::test]
    async fn only_an_answer_that_turns_a_client_away_is_held_back() {
        let ask = async |status: u16| {
            let begun = Instant::now();
            let status = StatusCode::from_u16(status).unwrap();
            let response = HoldBack(Answers).call(status).await.unwrap();
            assert_eq!(response.status(), status);
            begun.elapsed().as_secs()
        };
        let held = futures_util::future::join_all([200, 401, 500, 429, 503].map(ask)).await;
        assert_eq!(held, [0, 0, 0, 1, 1]);
    }
}

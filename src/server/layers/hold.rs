//! An answer that turns a client away until later (429 and 503) is held back for a second. A client that asks again the moment
//! it is answered, on as many connections as it may have, would otherwise take the processor from the clients that the
//! server has time for. A client that does not stay for its answer gains nothing, because the seconds of its network are
//! counted: a network with its share of them waits before its next request is answered.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tower_service::Service;
use warp::{http::StatusCode, reply::Response};

use super::{
    held_seconds::{HeldSeconds, SECOND, Sender},
    shared::Answer,
};
use crate::{
    domain::ClientAddress,
    http::{client, has_credential},
};

#[derive(Clone)]
pub(in crate::server) struct HoldBack<S> {
    inner: S,
    seconds: Arc<Seconds>,
}

/// What the requests of one connection share. Each counts a reference to this, and not to what all connections share, so that no two
/// processors count in one place.
struct Seconds(Arc<HeldSeconds>);

impl<S> HoldBack<S> {
    /// For the requests of one connection. They must have been noted with their client and credential.
    pub(super) fn new(inner: S, seconds: Arc<HeldSeconds>) -> Self {
        Self {
            inner,
            seconds: Arc::new(Seconds(seconds)),
        }
    }
}

impl<S, Q> Service<Q> for HoldBack<S>
where
    S: Service<Q, Response = Response, Error = Infallible> + Clone,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Held<S, Q, S::Future>;

    #[inline]
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    #[inline]
    fn call(&mut self, request: Q) -> Self::Future {
        let seconds = Arc::clone(&self.seconds);
        let until = if seconds.0.may_be_full() {
            seconds.0.wait_until(sender(), Instant::now())
        } else {
            None
        };
        let (answer, waiting) = match until {
            None => (Some(self.inner.call(request)), None),
            Some(until) => {
                let waiting = Waiting {
                    sleep: Box::pin(sleep_until(until)),
                    next: Some((self.inner.clone(), request)),
                };
                (None, Some(Box::new(waiting)))
            }
        };
        Held {
            answer,
            waiting,
            refusal: None,
            seconds,
        }
    }
}

pin_project! {
    pub(in crate::server) struct Held<S, Q, F> {
        // `None` while the request waits.
        #[pin]
        answer: Option<F>,
        // In boxes, because nearly every request goes without.
        waiting: Option<Box<Waiting<S, Q>>>,
        refusal: Option<Box<(Pin<Box<Sleep>>, Response)>>,
        seconds: Arc<Seconds>,
    }
}

/// A request that waits, and the service that answers it then.
struct Waiting<S, Q> {
    sleep: Pin<Box<Sleep>>,
    next: Option<(S, Q)>,
}

impl<S, Q> Future for Held<S, Q, S::Future>
where
    S: Service<Q, Response = Response, Error = Infallible>,
{
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        let mut this = self.project();
        if let Some(waiting) = this.waiting {
            ready!(waiting.sleep.as_mut().poll(context));
            if let Some((mut service, request)) = waiting.next.take() {
                this.answer.set(Some(service.call(request)));
            }
            *this.waiting = None;
        }
        if this.refusal.is_none() {
            let Some(answer) = this.answer.as_pin_mut() else {
                return Poll::Pending;
            };
            let response = ready!(answer.poll(context))?;
            if !turns_away(response.status()) {
                return Poll::Ready(Ok(response));
            }
            this.seconds.0.add(sender(), Instant::now());
            *this.refusal = Some(Box::new((Box::pin(sleep(SECOND)), response)));
        }
        let Some(refusal) = this.refusal else {
            return Poll::Pending;
        };
        ready!(refusal.0.as_mut().poll(context));
        this.refusal
            .take()
            .map_or(Poll::Pending, |refusal| Poll::Ready(Ok(refusal.1)))
    }
}

/// The client of the request that is being answered.
fn sender() -> Sender {
    Sender {
        network: client().map(ClientAddress::network),
        has_credential: has_credential(),
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
            let seconds = Arc::new(HeldSeconds::new(2));
            let response = HoldBack::new(Answers, seconds).call(status).await.unwrap();
            assert_eq!(response.status(), status);
            begun.elapsed().as_secs()
        };
        let held = futures_util::future::join_all([200, 401, 500, 429, 503].map(ask)).await;
        assert_eq!(held, [0, 0, 0, 1, 1]);
    }

    #[tokio::test]
    async fn a_client_that_does_not_wait_is_answered_no_more_often() {
        let seconds = Arc::new(HeldSeconds::new(2));
        let begun = Instant::now();
        let ask = |status| HoldBack::new(Answers, Arc::clone(&seconds)).call(status);
        for _ in 0..4 {
            // Whether it is answered, and not for long.
            let mut answer = Box::pin(ask(StatusCode::TOO_MANY_REQUESTS));
            while answer.refusal.is_none() {
                let mut context = Context::from_waker(std::task::Waker::noop());
                assert!(answer.as_mut().poll(&mut context).is_pending());
                sleep(SECOND / 100).await;
            }
        }
        let took = begun.elapsed();
        assert!(took >= SECOND && took < 2 * SECOND, "{took:?}");
        // Whatever the answer is, it waits for those.
        let answer = ask(StatusCode::OK).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(begun.elapsed() > took + SECOND / 4);
    }
}

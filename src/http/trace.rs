//! What the log is to know of a request, beside what the client is told: it is noted with the task that answers the request,
//! and whoever has that done writes the line.

use std::cell::RefCell;

use tokio::task_local;

use crate::domain::{RequestId, UserId};

/// What a handler leaves for the log.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    /// The route's path, as it is documented; `None` if there is no such route.
    pub(crate) route: Option<&'static str>,
    /// Who asked, if that is known.
    pub(crate) user: Option<UserId>,
    /// Whether anything was changed by it.
    pub(crate) changed: bool,
    /// Why it was refused.
    pub(crate) why: Option<String>,
}

/// Passes `answer` on, and notes something of the request that is being answered. Where nobody will log it, in
/// a server that is not this one's or in a task of a handler's own, nothing is noted.
pub(super) fn note<T>(answer: T, add: impl FnOnce(&mut Trace)) -> T {
    let _ = ANSWERING.try_with(|answering| add(&mut answering.trace.borrow_mut()));
    answer
}

task_local! {
    static ANSWERING: Answering;
}

/// A request that is being answered.
pub(crate) struct Answering {
    id: RequestId,
    trace: RefCell<Trace>,
}

impl Answering {
    /// The request named `id`.
    pub(crate) fn new(id: RequestId) -> Self {
        Self {
            id,
            trace: RefCell::default(),
        }
    }

    /// Makes the `call` that gives the answer: the first filters of a route run in the call itself.
    pub(crate) fn begin<T>(self, call: impl FnOnce() -> T) -> (T, Self) {
        let id = self.id;
        ANSWERING.sync_scope(self, || {
            let answer = call();
            let trace = RefCell::new(take_trace());
            (answer, Self { id, trace })
        })
    }

    /// The `answer`, and what was noted meanwhile.
    pub(crate) fn finish<F: Future>(self, answer: F) -> impl Future<Output = (F::Output, Trace)> + use<F> {
        ANSWERING.scope(self, async { (answer.await, take_trace()) })
    }
}

fn take_trace() -> Trace {
    ANSWERING.with(|answering| answering.trace.take())
}

/// The name of the request that is being answered; `None` where nobody named it.
pub(super) fn request_id() -> Option<RequestId> {
    ANSWERING.try_with(|answering| answering.id).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_noted_while_a_request_is_answered_is_returned_with_the_answer() {
        let id = RequestId::new(7);
        let (answer, answering) = Answering::new(id).begin(|| {
            note((), |trace| trace.route = Some("/in the call itself"));
            async {
                tokio::task::yield_now().await;
                assert_eq!(request_id(), Some(id));
                note("answer", |trace| trace.changed = true)
            }
        });
        let (answer, trace) = answering.finish(answer).await;
        assert_eq!(answer, "answer");
        assert_eq!((trace.route, trace.changed), (Some("/in the call itself"), true));
        // And of nobody else.
        assert_eq!(request_id(), None);
        assert_eq!(
            note("passed on", |_| panic!("there is nothing to note it with")),
            "passed on"
        );
        let ((), trace) = Answering::new(id).finish(async {}).await;
        assert_eq!((trace.route, trace.changed), (None, false));
    }
}

//! What handlers note of a request for the log, beside what the client is told. The notes belong to the thread while it works
//! on the request, so a handler needs no argument for them; the server's layers collect them with the answer.

use std::{
    cell::RefCell,
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use crate::domain::{RequestId, UserId};

/// What a handler leaves for the log.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    /// The route's path, as it is documented; `None` if there is no such route.
    pub(crate) route: Option<&'static str>,
    /// The user for whom the request speaks, if that is known.
    pub(crate) user: Option<UserId>,
    /// Whether the request changed anything.
    pub(crate) changed: bool,
    /// Why it was refused.
    pub(crate) why: Option<String>,
}

/// Passes `answer` on, and notes something of the request that is being answered. Notes nothing where no server of this crate
/// collects it: in another server, or in a task of a handler's own.
pub(super) fn note<T>(answer: T, add: impl FnOnce(&mut Trace)) -> T {
    ANSWERING.with_borrow_mut(|answering| answering.as_mut().map(|answering| add(&mut answering.trace)));
    answer
}

/// The id of the request that is being answered; `None` where no server of this crate answers it.
pub(super) fn request_id() -> Option<RequestId> {
    ANSWERING.with_borrow(|answering| answering.as_ref().map(|answering| answering.id))
}

/// Takes what has been noted of the request that is being answered, with its id.
pub(crate) fn take() -> Option<(RequestId, Trace)> {
    ANSWERING.with_borrow_mut(|answering| {
        let answering = answering.as_mut()?;
        Some((answering.id, mem::take(&mut answering.trace)))
    })
}

thread_local! {
    /// The request that this thread works on.
    static ANSWERING: RefCell<Option<Answering>> = const { RefCell::new(None) };
}

/// A request that is being answered.
struct Answering {
    id: RequestId,
    trace: Trace,
}

pin_project! {
    /// An answer in the making, with the notes of its request.
    pub(crate) struct Traced<F> {
        #[pin]
        answer: F,
        // `None` while the thread has it.
        answering: Option<Answering>,
    }
}

impl<F> Traced<F> {
    /// The answer of `call` to the request with this `id`. The first filters of a route run in the call itself.
    pub(crate) fn new(id: RequestId, call: impl FnOnce() -> F) -> Self {
        let trace = Trace::default();
        let mut answering = Some(Answering { id, trace });
        let answer = within(&mut answering, call);
        Self { answer, answering }
    }
}

impl<F: Future> Future for Traced<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        within(this.answering, || this.answer.poll(context))
    }
}

/// Makes `answering` the request of this thread while `work` runs, also if that panics.
fn within<T>(answering: &mut Option<Answering>, work: impl FnOnce() -> T) -> T {
    struct Restore<'a>(&'a mut Option<Answering>);
    impl Drop for Restore<'_> {
        fn drop(&mut self) {
            exchange(self.0);
        }
    }
    exchange(answering);
    let _restore = Restore(answering);
    work()
}

fn exchange(answering: &mut Option<Answering>) {
    ANSWERING.with_borrow_mut(|current| mem::swap(current, answering));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_notes_of_a_request_are_its_own() {
        let id = RequestId::new(7);
        let answer = Traced::new(id, || {
            note((), |trace| trace.route = Some("/in the call itself"));
            async {
                tokio::task::yield_now().await;
                assert_eq!(request_id(), Some(id));
                let answer = note("answer", |trace| trace.changed = true);
                (answer, take())
            }
        });
        // Another request meanwhile, on the same thread.
        let other = Traced::new(RequestId::new(8), || async {
            tokio::task::yield_now().await;
            take()
        });
        let ((answer, taken), other) = futures_util::future::join(answer, other).await;
        let (taken_id, trace) = taken.unwrap();
        assert_eq!((answer, taken_id), ("answer", id));
        assert_eq!((trace.route, trace.changed), (Some("/in the call itself"), true));
        let (other_id, trace) = other.unwrap();
        assert_eq!(other_id, RequestId::new(8));
        assert_eq!((trace.route, trace.changed), (None, false));
        assert_eq!(request_id(), None);
        assert_eq!(
            note("passed on", |_| panic!("there is nothing to note it with")),
            "passed on"
        );
    }

    #[test]
    fn a_panic_leaves_no_request_behind() {
        let panics = std::panic::AssertUnwindSafe(|| {
            Traced::new(RequestId::new(7), || -> std::future::Ready<()> {
                panic!("on purpose")
            })
        });
        assert!(std::panic::catch_unwind(panics).is_err());
        assert_eq!(request_id(), None);
    }
}

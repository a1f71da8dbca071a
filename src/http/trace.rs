//! What the server's layers and the handlers tell each other of a request, beside the request and its answer: the layers leave
//! what they found, the handlers what the log is to say. It belongs to the thread while that works on the request, so neither needs
//! an argument for it.

use std::{
    cell::RefCell,
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use warp::http::HeaderValue;

use crate::domain::{ClientAddress, RequestId, UserId};

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
    with(|answering| add(&mut answering.trace));
    answer
}

/// Notes for the log that the request has changed something, of this user if it is one's.
pub(super) fn changed<T>(answer: T, user: impl Into<Option<UserId>>) -> T {
    note(answer, |trace| {
        trace.user = user.into().or(trace.user);
        trace.changed = true;
    })
}

/// The id of the request that is being answered; `None` where no server of this crate answers it.
pub(super) fn request_id() -> Option<RequestId> {
    with(|answering| answering.id)
}

/// The client of the request that is being answered, as [`set_client`] left it.
pub(crate) fn client() -> Option<ClientAddress> {
    with(|answering| answering.client).flatten()
}

/// Whether `value` is what [`set_only_credential`] left: the same piece of memory, not only an equal text. While the thread works
/// on this request, its handler may send another one to the routes; that one's credential must not be taken for this one's.
pub(super) fn is_only_credential(value: &HeaderValue) -> bool {
    let is_same = |only: &HeaderValue| std::ptr::eq(only.as_bytes(), value.as_bytes());
    with(|answering| answering.only_credential.as_ref().is_some_and(is_same)).unwrap_or(false)
}

/// The user of the operating system that sent the request that is being answered, as [`set_peer_uid`] left it.
pub(super) fn peer_uid() -> Option<u32> {
    with(|answering| answering.peer_uid).flatten()
}

/// Leaves the user of the operating system at the other end of a Unix socket for the handlers.
pub(crate) fn set_peer_uid(uid: u32) {
    with(|answering| answering.peer_uid = Some(uid));
}

/// Whether the request that is being answered has one `Authorization` header, as [`set_only_credential`] left it.
pub(crate) fn has_credential() -> bool {
    with(|answering| answering.only_credential.is_some()).unwrap_or(false)
}

/// Leaves the address of the client for the log and the handlers.
pub(crate) fn set_client(client: ClientAddress) {
    with(|answering| answering.client = Some(client));
}

/// Leaves the value of the request's `Authorization` header, of which there is one and no more, for the handlers.
pub(crate) fn set_only_credential(value: HeaderValue) {
    with(|answering| answering.only_credential = Some(value));
}

/// What the log says of a request besides its answer.
#[derive(Debug, Default)]
pub(crate) struct Noted {
    pub(crate) id: Option<RequestId>,
    pub(crate) client: Option<ClientAddress>,
    pub(crate) trace: Trace,
}

/// Takes what has been noted of the request that is being answered.
pub(crate) fn take_noted() -> Noted {
    let noted = with(|answering| Noted {
        id: Some(answering.id),
        client: answering.client,
        trace: mem::take(&mut answering.trace),
    });
    noted.unwrap_or_default()
}

thread_local! {
    /// The request that this thread works on.
    static ANSWERING: RefCell<Option<Answering>> = const { RefCell::new(None) };
}

/// A request that is being answered.
struct Answering {
    id: RequestId,
    client: Option<ClientAddress>,
    peer_uid: Option<u32>,
    only_credential: Option<HeaderValue>,
    trace: Trace,
}

fn with<T>(work: impl FnOnce(&mut Answering) -> T) -> Option<T> {
    ANSWERING.with_borrow_mut(|answering| answering.as_mut().map(work))
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
        let mut answering = Some(Answering {
            id,
            client: None,
            peer_uid: None,
            only_credential: None,
            trace: Trace::default(),
        });
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
                (answer, take_noted())
            }
        });
        // Another request meanwhile, on the same thread.
        let other = Traced::new(RequestId::new(8), || async {
            tokio::task::yield_now().await;
            take_noted()
        });
        let ((answer, noted), other) = futures_util::future::join(answer, other).await;
        assert_eq!((answer, noted.id), ("answer", Some(id)));
        let (route, changed) = (noted.trace.route, noted.trace.changed);
        assert_eq!((route, changed), (Some("/in the call itself"), true));
        assert_eq!(other.id, Some(RequestId::new(8)));
        assert_eq!((other.trace.route, other.trace.changed), (None, false));
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

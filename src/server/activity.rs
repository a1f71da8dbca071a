//! What one connection does at present: it waits for its client, or the server answers a request. The connection's own thread
//! writes that down, one atomic write at the beginning of a request and one at its end. The thread that accepts reads it, and
//! may end a connection that waits.

use std::{
    sync::{
        OnceLock,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{Relaxed, SeqCst},
        },
    },
    task::{Context, Waker},
};

/// A moment, in microseconds since the server began. The first ones stand for states.
pub(super) type Moment = u64;

/// The state of a connection that has a request, or an answer that its client does not read.
const BUSY: u64 = 0;
/// As [`BUSY`], of a connection that is not in the list of those that may be ended. It goes there when it waits again.
const BUSY_UNLISTED: u64 = 1;
/// The state of a connection that makes room for another one.
const ENDED: u64 = u64::MAX;
/// The least moment, as the state of a connection that has waited since then.
pub(super) const FIRST_MOMENT: Moment = 2;

/// See the head of this file.
pub(super) struct Activity {
    state: AtomicU64,
    waker: OnceLock<Waker>,
    // The rest belongs to the connection's own thread.
    awaits_head: AtomicBool,
    awaits_bytes: AtomicBool,
    has_part_of_head: AtomicBool,
    has_had_request: AtomicBool,
    /// When the header of a request with a body had come; zero for one without.
    body_since: AtomicU64,
    is_blocked: AtomicBool,
}

/// What a connection does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It has a request.
    Busy,
    /// It has waited for the header of a request since that moment.
    Waiting(Moment),
    /// It makes room for another one.
    Ended,
}

impl Activity {
    /// A new connection, which waits for the header of its first request.
    pub(super) fn new(now: Moment) -> Self {
        Self {
            state: AtomicU64::new(now),
            waker: OnceLock::new(),
            awaits_head: AtomicBool::new(true),
            awaits_bytes: AtomicBool::new(true),
            has_part_of_head: AtomicBool::new(false),
            has_had_request: AtomicBool::new(false),
            body_since: AtomicU64::new(0),
            is_blocked: AtomicBool::new(false),
        }
    }

    pub(super) fn state(&self) -> State {
        match self.state.load(SeqCst) {
            BUSY | BUSY_UNLISTED => State::Busy,
            ENDED => State::Ended,
            since => State::Waiting(since),
        }
    }

    // For the thread that accepts.

    /// Ends the connection if it has waited since that moment, and returns whether it did.
    pub(super) fn end_if_waiting_since(&self, since: Moment) -> bool {
        let ended = self.state.compare_exchange(since, ENDED, SeqCst, SeqCst).is_ok();
        if ended && let Some(waker) = self.waker.get() {
            waker.wake_by_ref();
        }
        ended
    }

    /// The connection is closed. Returns whether it had been ended.
    pub(super) fn close(&self) -> bool {
        self.state.swap(ENDED, SeqCst) == ENDED
    }

    /// Notes that the connection is in no list, and returns `true`, if it is busy.
    pub(super) fn unlist_if_busy(&self) -> bool {
        let before = self.state.compare_exchange(BUSY, BUSY_UNLISTED, SeqCst, SeqCst);
        matches!(before, Ok(_) | Err(BUSY_UNLISTED))
    }

    // For the connection's own thread.

    /// The connection waits for the header of its next request. Returns whether it must be listed again.
    pub(super) fn wait(&self, now: Moment) -> bool {
        if self.state() != State::Busy {
            return false;
        }
        self.awaits_head.store(true, Relaxed);
        self.has_part_of_head.store(false, Relaxed);
        // An answer that its client does not read is no reason to end the connection for another one.
        !self.is_blocked.load(Relaxed) && self.state.swap(now, SeqCst) == BUSY_UNLISTED
    }

    /// A header has come whole, and a body begins now if there is one. Returns `false` if the connection has been ended: then the
    /// request must not be answered.
    pub(super) fn work(&self, body_since: Option<Moment>) -> bool {
        self.awaits_head.store(false, Relaxed);
        self.has_had_request.store(true, Relaxed);
        self.body_since.store(body_since.unwrap_or(0), Relaxed);
        self.stop_waiting()
    }

    /// Bytes have come.
    pub(super) fn read(&self) {
        self.awaits_bytes.store(false, Relaxed);
        if self.awaits_head.load(Relaxed) {
            self.has_part_of_head.store(true, Relaxed);
        }
    }

    /// All bytes that have come were read and looked at.
    pub(super) fn await_bytes(&self) {
        self.awaits_bytes.store(true, Relaxed);
    }

    /// The client does not read its answer.
    pub(super) fn block(&self) {
        self.is_blocked.store(true, Relaxed);
        self.stop_waiting();
    }

    /// The client reads again. Returns as [`wait`](Self::wait).
    pub(super) fn unblock(&self, now: Moment) -> bool {
        self.is_blocked.store(false, Relaxed);
        self.awaits_head.load(Relaxed) && self.wait(now)
    }

    /// Whether the connection has been ended. If it is later, this task is woken. A task has one waker.
    pub(super) fn is_ended(&self, context: &Context<'_>) -> bool {
        if self.waker.get().is_none() {
            let _ = self.waker.set(context.waker().clone());
        }
        self.state() == State::Ended
    }

    /// Whether nothing can go on before more bytes come. It is `false` while a request waits behind another one.
    pub(super) fn awaits_bytes(&self) -> bool {
        self.awaits_bytes.load(Relaxed)
    }

    /// Whether a part of the awaited header has come.
    pub(super) fn has_part_of_head(&self) -> bool {
        self.has_part_of_head.load(Relaxed)
    }

    /// Whether a request has come before.
    pub(super) fn has_had_request(&self) -> bool {
        self.has_had_request.load(Relaxed)
    }

    /// When the body of the last request began; `None` if it had none.
    pub(super) fn body_since(&self) -> Option<Moment> {
        Some(self.body_since.load(Relaxed)).filter(|since| *since > 0)
    }

    /// Makes a connection that waits a busy one. Returns `false` if it has been ended.
    fn stop_waiting(&self) -> bool {
        let is_waiting = |state| (FIRST_MOMENT..ENDED).contains(&state);
        let update = |state| is_waiting(state).then_some(BUSY);
        match self.state.fetch_update(SeqCst, SeqCst, update) {
            Ok(_) => true,
            Err(state) => state != ENDED,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_connection_that_waits_can_be_ended() {
        let activity = Activity::new(7);
        assert!(activity.work(None));
        assert!(!activity.end_if_waiting_since(7));
        assert!(!activity.wait(9));
        assert!(!activity.end_if_waiting_since(7), "it has had a request since");
        activity.block();
        assert!(
            !activity.end_if_waiting_since(9),
            "its client has an answer to read"
        );
        activity.unblock(11);
        assert!(activity.end_if_waiting_since(11));
        assert_eq!(activity.state(), State::Ended);
        assert!(!activity.work(None), "its request is not answered");
        assert!(!activity.wait(13));
        assert_eq!(activity.state(), State::Ended);
    }

    #[test]
    fn a_busy_connection_is_listed_again_when_it_waits() {
        let activity = Activity::new(7);
        assert!(!activity.unlist_if_busy());
        activity.work(None);
        assert!(activity.unlist_if_busy() && activity.unlist_if_busy());
        activity.block();
        assert!(!activity.wait(9), "its client has an answer to read");
        assert!(activity.unblock(9));
        activity.work(None);
        assert!(!activity.wait(11), "it was listed before");
    }

    #[test]
    fn waiting_goes_on_while_a_header_arrives() {
        let activity = Activity::new(7);
        activity.read();
        assert!(activity.has_part_of_head() && !activity.has_had_request());
        activity.wait(8);
        assert_eq!(activity.state(), State::Waiting(7));
        assert!(activity.has_part_of_head());
        activity.work(Some(8));
        activity.read();
        activity.wait(9);
        assert!(!activity.has_part_of_head() && activity.has_had_request());
        assert_eq!(activity.body_since(), Some(8));
    }
}

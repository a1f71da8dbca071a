//! A connection that a route has taken over, such as a WebSocket. It keeps its place, no time limit for requests applies to it, and
//! it ends with the server.
//!
//! The route's own task has the stream then, and the connection's task waits for it. They tell each other of the end.

use std::{
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    task::{Context, Poll},
};

use futures_util::task::AtomicWaker;

/// What the two tasks tell each other.
#[derive(Default)]
pub(super) struct Upgrade {
    /// The server stops: the route reads the end of the stream.
    is_told: AtomicBool,
    /// The time to finish is over: the route can't write either.
    is_cut: AtomicBool,
    /// The route has dropped the stream.
    is_closed: AtomicBool,
    reader: AtomicWaker,
    owner: AtomicWaker,
}

impl Upgrade {
    // For the connection's task.

    /// Tells the route that the server stops. It may still write, and close in good order.
    pub(super) fn tell(&self) {
        self.is_told.store(true, SeqCst);
        self.reader.wake();
    }

    /// Ends the stream for the route.
    pub(super) fn cut(&self) {
        self.is_cut.store(true, SeqCst);
        self.tell();
    }

    /// Waits until the route has dropped the stream.
    pub(super) fn poll_closed(&self, context: &Context<'_>) -> Poll<()> {
        self.owner.register(context.waker());
        if self.is_closed.load(SeqCst) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    // For the stream.

    /// Whether the stream has nothing more to read. If that is so later, this task is woken.
    pub(super) fn is_over(&self, context: &Context<'_>) -> bool {
        self.reader.register(context.waker());
        self.is_told.load(SeqCst)
    }

    /// Whether nothing more is written.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut.load(SeqCst)
    }

    /// The stream is dropped.
    pub(super) fn close(&self) {
        self.is_closed.store(true, SeqCst);
        self.owner.wake();
    }
}

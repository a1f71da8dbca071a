//! Tells a connection when the HTTP library begins to wait for a header. The library asks its timer for a deadline then, and for
//! nothing else. What a deadline leads to is not decided here.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use hyper::rt::{Sleep, Timer};

use super::places::Place;

/// The library's `header_read_timeout`: with none, the deadline that it asks for is the present moment.
pub(super) const NO_TIME: Duration = Duration::ZERO;

pub(super) struct HeadTimer(pub(super) Arc<Place>);

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, now: Instant) -> Pin<Box<dyn Sleep>> {
        self.0.wait(now.into());
        Box::pin(Never)
    }
}

/// A deadline that does not come. It takes no memory.
struct Never;

impl Sleep for Never {}

impl Future for Never {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

//! The stream of one connection, as the HTTP library reads and writes it. It begins with what was read before the library took
//! over, and notes what the client does: whether bytes come, and whether it reads its answers.

use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    task::unconstrained,
    time::{Sleep, sleep},
};

use super::{places::Place, upgrade::Upgrade};

/// How much is read at a time of what is not looked at.
const SINK: usize = 4096;

pub(super) struct Wire<T> {
    stream: Pin<Box<T>>,
    /// What was read and not given to the library.
    unread: Bytes,
    /// Whether the client has closed its end.
    is_over: bool,
    place: Arc<Place>,
    write_timeout: Duration,
    /// Set while the client does not read its answer.
    late: Option<Pin<Box<Sleep>>>,
}

impl<T: AsyncRead + AsyncWrite> Wire<T> {
    /// A client that does not read for `write_timeout` what is written to it is an error.
    pub(super) fn new(stream: T, place: Arc<Place>, write_timeout: Duration) -> Self {
        Self {
            stream: Box::pin(stream),
            unread: Bytes::new(),
            is_over: false,
            place,
            write_timeout,
            late: None,
        }
    }

    /// Takes back what the library has read of the next request, in a piece of memory that is no larger than that.
    pub(super) fn take_back(&mut self, unread: &[u8]) {
        self.unread = Bytes::copy_from_slice(unread);
    }

    /// Waits for one more byte, without a buffer for more. Returns whether it came.
    pub(super) fn poll_byte(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        let mut byte = [0];
        let mut buffer = ReadBuf::new(&mut byte);
        let read = ready!(self.stream.as_mut().poll_read(context, &mut buffer));
        if read.is_err() || buffer.filled().is_empty() {
            return Poll::Ready(false);
        }
        self.place.read();
        self.unread = [&self.unread[..], buffer.filled()].concat().into();
        Poll::Ready(true)
    }

    /// Writes all of `bytes` and closes this end.
    pub(super) async fn write_last(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        poll_fn(|context| {
            while !bytes.is_empty() {
                let written = ready!(Pin::new(&mut *self).poll_write(context, bytes))?;
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                bytes.advance(written);
            }
            Pin::new(&mut *self).poll_shutdown(context)
        })
        .await
    }

    /// Reads and drops what comes, and returns how much came. Zero stands for the end, or an error.
    pub(super) fn poll_drain(&mut self, context: &mut Context<'_>) -> Poll<usize> {
        if self.is_over {
            return Poll::Ready(0);
        }
        let mut sink = [0; SINK];
        let mut buffer = ReadBuf::new(&mut sink);
        let read = ready!(self.stream.as_mut().poll_read(context, &mut buffer));
        Poll::Ready(read.map_or(0, |()| buffer.filled().len()))
    }

    /// Passes on the outcome of a write, unless the client has not read for too long.
    fn watch<R>(&mut self, context: &mut Context<'_>, outcome: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        if outcome.is_ready() {
            if self.late.take().is_some() {
                self.place.unblock();
            }
            return outcome;
        }
        let late = self.late.get_or_insert_with(|| {
            self.place.block();
            Box::pin(sleep(self.write_timeout))
        });
        // A task that has used up its budget would not set the timer.
        ready!(pin!(unconstrained(late.as_mut())).poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<T: AsyncRead + AsyncWrite> AsyncRead for Wire<T> {
    #[inline]
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.unread.is_empty() {
            self.place.read();
            let length = self.unread.len().min(buffer.remaining());
            buffer.put_slice(&self.unread.split_to(length));
            return Poll::Ready(Ok(()));
        }
        if let Some(upgrade) = self.place.upgrade()
            && upgrade.is_over(context)
        {
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let read = self.stream.as_mut().poll_read(context, buffer);
        if read.is_pending() {
            self.place.await_bytes();
        }
        ready!(read)?;
        if buffer.filled().len() > before {
            self.place.read();
        } else {
            self.is_over = true;
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + AsyncWrite> AsyncWrite for Wire<T> {
    #[inline]
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.place.upgrade().is_some_and(Upgrade::is_cut) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let written = self.stream.as_mut().poll_write(context, bytes);
        self.watch(context, written)
    }

    #[inline]
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.stream.as_mut().poll_flush(context);
        self.watch(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = self.stream.as_mut().poll_shutdown(context);
        self.watch(context, shut)
    }
}

impl<T> Drop for Wire<T> {
    fn drop(&mut self) {
        if let Some(upgrade) = self.place.upgrade() {
            upgrade.close();
        }
    }
}

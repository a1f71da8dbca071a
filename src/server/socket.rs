//! A socket of either kind, TCP or Unix, and its connections.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream, UnixStream},
};

use super::{
    listener::{Accepted, AcceptedTcp, AcceptedUnix, Peer},
    unix_socket::UnixSocket,
};

/// A socket that listens.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpListener),
    Unix(UnixSocket),
}

impl Socket {
    /// The next connection.
    pub(super) fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<AcceptedAny>> {
        match self {
            Self::Tcp(listener) => listener
                .poll_accept(context)
                .map_ok(|(stream, peer)| AcceptedAny::Tcp(AcceptedTcp::new(stream, peer))),
            Self::Unix(socket) => socket
                .listener()
                .poll_accept(context)
                .map_ok(|(stream, _)| AcceptedAny::Unix(AcceptedUnix::new(stream))),
        }
    }
}

/// A connection over TCP or a Unix socket.
#[derive(Debug)]
pub enum AcceptedAny {
    /// Over TCP.
    Tcp(AcceptedTcp),
    /// Over a Unix socket.
    Unix(AcceptedUnix),
}

impl Accepted for AcceptedAny {
    type Stream = AnyStream;

    fn peer(&self) -> Peer {
        match self {
            Self::Tcp(accepted) => accepted.peer(),
            Self::Unix(accepted) => accepted.peer(),
        }
    }

    async fn open(self) -> io::Result<AnyStream> {
        match self {
            Self::Tcp(accepted) => accepted.open().await.map(AnyStream::Tcp),
            Self::Unix(accepted) => accepted.open().await.map(AnyStream::Unix),
        }
    }
}

/// The bytes of a connection over TCP or a Unix socket.
#[derive(Debug)]
pub enum AnyStream {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a Unix socket.
    Unix(UnixStream),
}

impl AsyncRead for AnyStream {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for AnyStream {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Self::Unix(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

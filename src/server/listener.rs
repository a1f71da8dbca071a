//! Where connections come from, and what is at their other end: any [`Stream`](Accepted::Stream) and any [`Peer`]. Of the kinds of
//! sockets know only this file and those that make them.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
};

/// How many connections wait at a socket to be accepted.
pub(super) const BACKLOG: u32 = 1024;

/// A source of connections.
pub trait Listener: Send + Sync {
    /// A connection of this source.
    type Accepted: Accepted;

    /// Waits for the next connection. Must be cancel-safe: the server drops the future when it is told to stop.
    ///
    /// # Errors
    /// A failure of the system. The server logs it and goes on; `ConnectionAborted` it passes over in silence.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Accepted>> + Send;
}

/// A connection that was accepted on one runtime and is served on another one.
pub trait Accepted: Send + 'static {
    /// The bytes in both directions.
    type Stream: AsyncRead + AsyncWrite + Send + 'static;

    /// The other end of the connection.
    fn peer(&self) -> Peer;

    /// Hands the connection to the runtime that this is called on, which is told from then on when there is something to read.
    ///
    /// # Errors
    /// A failure of the system, or of a handshake. The connection is closed.
    fn open(self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// The other end of a connection.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A machine, at this address. An IPv4 address that came as an IPv6 one is IPv4 again.
    Ip(IpAddr),
    /// A process of this machine that the mode of a Unix socket lets in. It is trusted as a proxy.
    Unix {
        /// The user that runs it, if the system says so.
        uid: Option<u32>,
    },
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(address.ip().to_canonical())
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unix { uid: Some(uid) } => write!(f, "uid {uid}"),
            Self::Unix { uid: None } => f.write_str("unix"),
        }
    }
}

/// A connection over TCP.
#[derive(Debug)]
pub struct AcceptedTcp {
    stream: TcpStream,
    peer: SocketAddr,
}

impl AcceptedTcp {
    pub(super) fn new(stream: TcpStream, peer: SocketAddr) -> Self {
        Self { stream, peer }
    }
}

impl Listener for TcpListener {
    type Accepted = AcceptedTcp;

    async fn accept(&self) -> io::Result<AcceptedTcp> {
        let (stream, peer) = Self::accept(self).await?;
        Ok(AcceptedTcp::new(stream, peer))
    }
}

impl Accepted for AcceptedTcp {
    type Stream = TcpStream;

    fn peer(&self) -> Peer {
        self.peer.into()
    }

    async fn open(self) -> io::Result<TcpStream> {
        let stream = TcpStream::from_std(self.stream.into_std()?)?;
        // A client may send a small answer's last packet only when the one before has arrived; that costs 40 ms.
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }
}

/// A connection over a Unix socket.
#[derive(Debug)]
pub struct AcceptedUnix(UnixStream);

impl AcceptedUnix {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self(stream)
    }
}

impl Listener for UnixListener {
    type Accepted = AcceptedUnix;

    async fn accept(&self) -> io::Result<AcceptedUnix> {
        Ok(AcceptedUnix::new(Self::accept(self).await?.0))
    }
}

impl Accepted for AcceptedUnix {
    type Stream = UnixStream;

    fn peer(&self) -> Peer {
        let uid = self.0.peer_cred().ok().map(|credentials| credentials.uid());
        Peer::Unix { uid }
    }

    async fn open(self) -> io::Result<UnixStream> {
        UnixStream::from_std(self.0.into_std()?)
    }
}

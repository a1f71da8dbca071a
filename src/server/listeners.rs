//! The sockets at all addresses of the settings, as one listener.

use std::{
    future::poll_fn,
    io,
    sync::atomic::{AtomicUsize, Ordering},
    task::Poll,
};

use super::{
    bind::{self, ListenError},
    listener::Listener,
    socket::{AcceptedAny, Socket},
};
use crate::config::{ListenAddress, ServerConfig};

/// The sockets at the addresses of `server.listen`. When this is dropped, they close, and the files of Unix sockets are removed.
#[derive(Debug)]
pub struct Listeners {
    sockets: Vec<Socket>,
    /// The one that is asked first the next time: each of them is the first in its turn.
    next: AtomicUsize,
}

impl Listeners {
    /// Listens at each address of `config.listen`. Must be called on a tokio runtime.
    ///
    /// `[::]` takes IPv4 as well, unless an IPv4 address with the same port is listed too. Of `localhost`, an address that
    /// this machine does not have is left out, and the log says so. A Unix socket of a server that has ended is replaced, and
    /// no other file is removed; the new one has the mode `config.unix_mode`.
    ///
    /// # Errors
    /// [`ListenError::Refused`] for the first address that the system refuses; [`ListenError::Overlap`] if an address includes
    /// another one.
    pub fn bind(config: &ServerConfig) -> Result<Self, ListenError> {
        Ok(Self {
            sockets: bind::all(&config.listen, config.unix_mode)?,
            next: AtomicUsize::new(0),
        })
    }

    /// Where they listen: each address with its real port.
    #[must_use]
    pub fn addresses(&self) -> Vec<ListenAddress> {
        let addresses = self.sockets.iter().filter_map(|socket| match socket {
            // The system fails to tell only if it is no socket.
            Socket::Tcp(listener) => listener.local_addr().ok().map(ListenAddress::from),
            Socket::Unix(socket) => Some(ListenAddress::Unix(socket.path().to_owned())),
        });
        addresses.collect()
    }
}

impl Listener for Listeners {
    type Accepted = AcceptedAny;

    async fn accept(&self) -> io::Result<AcceptedAny> {
        poll_fn(|context| {
            let first = self.next.fetch_add(1, Ordering::Relaxed);
            let count = self.sockets.len();
            for number in 0..count {
                let accepted = self.sockets[first.wrapping_add(number) % count].poll_accept(context);
                if accepted.is_ready() {
                    return accepted;
                }
            }
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpStream, UnixStream},
    };

    use super::*;
    use crate::{
        config::Config,
        server::listener::{Accepted, Peer},
    };

    /// Listens at these addresses.
    fn listen(addresses: &[String]) -> Result<Listeners, ListenError> {
        let mut config = Config::default().server;
        config.listen = addresses.iter().map(|address| address.parse().unwrap()).collect();
        Listeners::bind(&config)
    }

    #[tokio::test]
    async fn each_socket_is_accepted_from_in_its_turn() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listeners = listen(&["127.0.0.1:0".into(), format!("unix:{}", path.display())]).unwrap();
        let addresses = listeners.addresses();
        let ListenAddress::Ip(tcp) = addresses[0] else {
            panic!("{addresses:?}");
        };
        // More than one waits at each: neither may take all turns.
        let mut tcp_clients = Vec::new();
        let mut unix_clients = Vec::new();
        for _ in 0..3 {
            tcp_clients.push(TcpStream::connect(tcp).await.unwrap());
            unix_clients.push(UnixStream::connect(&path).await.unwrap());
        }
        let mut kinds = Vec::new();
        for _ in 0..4 {
            let accepted = listeners.accept().await.unwrap();
            kinds.push(matches!(accepted.peer(), Peer::Unix { .. }));
            let mut stream = accepted.open().await.unwrap();
            stream.write_all(b"hello").await.unwrap();
            stream.shutdown().await.unwrap();
        }
        assert_ne!(kinds[0], kinds[1], "{kinds:?}");
        assert_ne!(kinds[2], kinds[3], "{kinds:?}");
        let mut text = String::new();
        tcp_clients[0].read_to_string(&mut text).await.unwrap();
        unix_clients[0].read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "hellohello");
        drop(listeners);
        assert!(!path.exists());
    }
}

//! The server over a Unix socket: what it promises of a connection does not depend on the kind of listener.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    sync::oneshot,
};
use warp::Filter;

use super::*;
use crate::{domain::ClientAddress, http::client_address};

#[tokio::test]
async fn a_unix_socket_is_served_as_any_other_listener() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let mut limits = crate::config::Config::default().server;
    limits.trusted_proxies = vec!["0.0.0.0/0".parse().unwrap()];
    limits.max_connections_per_address = 1;
    let routes = client_address().map(|client: Option<ClientAddress>| {
        client.map_or_else(|| "no address".to_owned(), |client| client.to_string())
    });
    let (stop, stopped) = oneshot::channel();
    let stopped = async { stopped.await.unwrap_or_default() };
    let client = async {
        // A share for each address is none for a peer without one.
        let (mut one, mut other) = (connect(&path).await, connect(&path).await);
        for stream in [&mut one, &mut other] {
            let answer = ask(stream).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            assert!(answer.contains("x-content-type-options: nosniff"), "{answer}");
            assert!(answer.contains("x-request-id: "), "{answer}");
            // The header could be of any process that may open the socket.
            assert!(answer.ends_with("\r\n\r\nno address"), "{answer}");
        }
        drop(stop);
        let mut rest = Vec::new();
        assert_eq!(
            one.read_to_end(&mut rest).await.unwrap(),
            0,
            "an idle connection ends"
        );
    };
    let serving = serve(listener, routes, &limits, stopped);
    let ((), finished) = futures_util::future::join(client, serving).await;
    assert!(finished);
}

async fn connect(path: &std::path::Path) -> UnixStream {
    UnixStream::connect(path).await.unwrap()
}

async fn ask(stream: &mut UnixStream) -> String {
    let request = "GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 192.0.2.1\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"address") {
        assert!(stream.read_buf(&mut answer).await.unwrap() > 0);
    }
    String::from_utf8(answer).unwrap()
}

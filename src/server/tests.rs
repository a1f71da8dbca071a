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
    limits.max_connections_per_address = 1;
    let routes = client_address().map(|client: Option<ClientAddress>| {
        client.map_or_else(|| "no address".to_owned(), |client| format!("address {client}"))
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
            // The mode of the socket says who may open it.
            assert!(answer.ends_with("\r\n\r\naddress 192.0.2.1"), "{answer}");
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
    assert!(finished.unwrap());
}

async fn connect(path: &std::path::Path) -> UnixStream {
    UnixStream::connect(path).await.unwrap()
}

async fn ask(stream: &mut UnixStream) -> String {
    let request = "GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 192.0.2.1\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"192.0.2.1") {
        assert!(stream.read_buf(&mut answer).await.unwrap() > 0);
    }
    String::from_utf8(answer).unwrap()
}

/// Each number of the settings is either refused, or one with which a request is answered.
#[tokio::test]
async fn no_limit_set_in_code_breaks_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    for (key, is_accepted, config) in crate::config::Config::default().at_the_ends() {
        if !key.starts_with("server.") {
            continue;
        }
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        let routes = client_address().map(|_| "192.0.2.1");
        let (stop, stopped) = oneshot::channel();
        let stopped = async { stopped.await.unwrap_or_default() };
        let client = async {
            // The shortest times are over before a client has sent anything.
            if is_accepted && !key.ends_with("_timeout") {
                let answer = ask(&mut connect(&path).await).await;
                assert!(answer.starts_with("HTTP/1.1 200"), "{key}: {answer}");
            }
            drop(stop);
        };
        let serving = serve(listener, routes, &config.server, stopped);
        let ((), served) = futures_util::future::join(client, serving).await;
        match served {
            Ok(_) => assert!(is_accepted, "{key}: {:?}", config.server),
            Err(error) => assert!(!is_accepted && error.to_string().contains(key), "{error}"),
        }
    }
}

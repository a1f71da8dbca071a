//! A WebSocket behind the guard of a library user, over a real socket: the route has the connection, and the server's limits and
//! its stop treat it as one that is in use.

#![expect(
    clippy::unwrap_used,
    reason = "a test that can't go on should say where it stopped"
)]

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::{SinkExt, StreamExt, future::join};
use jwt_server::{
    Auth, Config, Principal, Roles,
    auth::Credentials,
    domain::{Password, RequestContext, Username},
    event::{Actor, Listeners},
    recover, serve,
};
use secrecy::ExposeSecret;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    time::{sleep, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{self, Message, client::IntoClientRequest},
};
use warp::{Filter, Reply, ws::WebSocket};

const PASSWORD: &str = "correct horse battery";
/// Longer than any step takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
const MOMENT: Duration = Duration::from_millis(20);

type Client = WebSocketStream<TcpStream>;

/// A server with short limits, and the token of a user.
struct Scene {
    address: SocketAddr,
    token: String,
    stop: Option<oneshot::Sender<()>>,
    serving: tokio::task::JoinHandle<bool>,
    _directory: tempfile::TempDir,
}

/// Serves a WebSocket at `/ws`, which `talk` has, behind the guard.
async fn scene<F>(
    change: impl FnOnce(&mut Config),
    talk: fn(WebSocket, Arc<AtomicBool>) -> F,
    ended: &Arc<AtomicBool>,
) -> Scene
where
    F: Future<Output = ()> + Send + 'static,
{
    let directory = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.store.path = directory.path().join("data");
    config.password.bcrypt_cost = 4;
    config.server.header_timeout = Duration::from_millis(100);
    config.server.idle_timeout = Duration::from_millis(100);
    change(&mut config);
    let auth = Auth::open(&config, Listeners::default()).await.unwrap();
    let context = RequestContext::default();
    let (name, password) = (
        Username::parse("ada").unwrap(),
        Password::parse(PASSWORD.to_owned().into()).unwrap(),
    );
    let roles: Roles = [jwt_server::Role::CLIENT].into_iter().collect();
    let actor = Actor::Operator { uid: None };
    auth.accounts()
        .add(name, password, roles, actor, &context)
        .await
        .unwrap();
    let claimed = Credentials::new("ada", PASSWORD.to_owned().into());
    let token = auth.sign_in(claimed, &context).await.unwrap();
    let token = token.token.expose_secret().to_owned();

    let ended = Arc::clone(ended);
    let routes = warp::path!("ws")
        .and(auth.guard())
        .and(warp::ws())
        .map(move |_: Principal, socket: warp::ws::Ws| {
            let ended = Arc::clone(&ended);
            socket
                .on_upgrade(move |socket| talk(socket, ended))
                .into_response()
        })
        .recover(recover)
        .unify();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(async move {
        let stopped = async { stopped.await.unwrap_or_default() };
        serve(listener, routes, &config.server, stopped).await.unwrap()
    });
    Scene {
        address,
        token,
        stop: Some(stop),
        serving,
        _directory: directory,
    }
}

impl Scene {
    async fn connect(&self, authorization: &str) -> Result<Client, tungstenite::Error> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let mut request = format!("ws://{}/ws", self.address).into_client_request().unwrap();
        let headers = request.headers_mut();
        headers.insert("authorization", authorization.parse().unwrap());
        client_async(request, stream).await.map(|(client, _)| client)
    }

    async fn signed_in(&self) -> Client {
        self.connect(&format!("Bearer {}", self.token)).await.unwrap()
    }

    /// Stops the server, and returns whether all of it finished.
    async fn stop(mut self) -> bool {
        drop(self.stop.take());
        timeout(PATIENCE, self.serving).await.unwrap().unwrap()
    }
}

/// Sends back what comes, until the stream ends.
async fn echo(mut socket: WebSocket, ended: Arc<AtomicBool>) {
    while let Some(Ok(message)) = socket.next().await {
        if message.is_close() || socket.send(message).await.is_err() {
            break;
        }
    }
    let _ = socket.close().await;
    ended.store(true, Ordering::SeqCst);
}

/// Sends without end, and never reads.
async fn tick(mut socket: WebSocket, ended: Arc<AtomicBool>) {
    while socket.send(warp::ws::Message::text("tick")).await.is_ok() {
        sleep(MOMENT).await;
    }
    ended.store(true, Ordering::SeqCst);
}

async fn assert_echoes(client: &mut Client, text: &str) {
    client.send(Message::text(text)).await.unwrap();
    let answer = timeout(PATIENCE, client.next()).await.unwrap();
    assert_eq!(answer.unwrap().unwrap(), Message::text(text));
}

async fn until(ended: &AtomicBool) {
    let wait = async {
        while !ended.load(Ordering::SeqCst) {
            sleep(MOMENT).await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_outlives_the_timeouts_of_requests() {
    let ended = Arc::default();
    let scene = scene(|_| (), echo, &ended).await;
    let mut client = scene.signed_in().await;
    assert_echoes(&mut client, "hello").await;
    // The timeouts are 100 ms, and idle connections keep their buffers for a second.
    sleep(Duration::from_millis(1500)).await;
    assert_echoes(&mut client, "still there").await;
    client.close(None).await.unwrap();
    until(&ended).await;
    assert!(scene.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guard_refuses_a_websocket_before_it_is_one() {
    let scene = scene(|_| (), echo, &Arc::default()).await;
    let Err(tungstenite::Error::Http(refused)) = scene.connect("Bearer a.b.c").await else {
        panic!("a bad token was accepted");
    };
    assert_eq!(refused.status(), 401);
    // A page that a person opens is no WebSocket.
    let mut stream = TcpStream::connect(scene.address).await.unwrap();
    let plain = format!(
        "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nAuthorization: Bearer {}\r\n\r\n",
        scene.token
    );
    stream.write_all(plain.as_bytes()).await.unwrap();
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 400");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_keeps_its_place_and_gives_it_back() {
    let ended = Arc::default();
    let scene = scene(
        |config| config.server.max_connections_per_address = 1,
        echo,
        &ended,
    )
    .await;
    let mut client = scene.signed_in().await;
    assert_echoes(&mut client, "hello").await;
    // It is no idle connection, which would make room.
    assert!(scene.connect(&format!("Bearer {}", scene.token)).await.is_err());
    assert_echoes(&mut client, "still there").await;
    client.close(None).await.unwrap();
    until(&ended).await;
    drop(client);
    let again = async {
        loop {
            if let Ok(client) = scene.connect(&format!("Bearer {}", scene.token)).await {
                return client;
            }
            sleep(MOMENT).await;
        }
    };
    let mut client = timeout(PATIENCE, again).await.unwrap();
    assert_echoes(&mut client, "hello again").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_a_websocket_and_waits_for_its_route() {
    let ended = Arc::default();
    let scene = scene(|_| (), echo, &ended).await;
    let mut client = scene.signed_in().await;
    assert_echoes(&mut client, "hello").await;
    let rest = async { while let Some(Ok(_)) = client.next().await {} };
    let (is_finished, client_saw_it) = join(scene.stop(), timeout(PATIENCE, rest)).await;
    client_saw_it.unwrap();
    assert!(is_finished && ended.load(Ordering::SeqCst));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_that_does_not_end_is_cut_after_the_grace() {
    let ended = Arc::default();
    let grace = Duration::from_millis(200);
    let scene = scene(|config| config.server.shutdown_grace = grace, tick, &ended).await;
    let mut client = scene.signed_in().await;
    let first = timeout(PATIENCE, client.next()).await.unwrap();
    assert_eq!(first.unwrap().unwrap(), Message::text("tick"));
    assert!(!scene.stop().await);
    until(&ended).await;
    let rest = async { while let Some(Ok(_)) = client.next().await {} };
    timeout(PATIENCE, rest).await.unwrap();
}

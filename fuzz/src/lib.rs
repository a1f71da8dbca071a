//! What the targets share: a server over a store of its own, the checks that each answer must pass, and a reader of JSON that
//! is not the server's.
//!
//! A target talks to the server as a client does. So a new setting, body field or function of the library changes no target.

pub mod json;

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use jwt_server::{
    Api, Auth, Config,
    auth::Parts,
    clock::{Clock, ManualClock, Timestamp},
    config::{Origin, Secret},
    event::Listeners,
    store,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tower_service::Service;
use warp::{
    Filter,
    filters::BoxedFilter,
    http::{HeaderMap, Method, Request, StatusCode, header},
    hyper::body::Frame,
    reply::Response,
};

pub const START: u64 = 1_800_000_000;
pub const NAME: &str = "ada";
pub const PASSWORD: &str = "correct horse battery";
/// The secret that each server of a target signs with.
pub const SECRET: &[u8] = b"a signing secret for fuzzing, known to the fuzzer";

/// A server in this process. At the start its only user is [`NAME`].
pub struct Server {
    app: BoxedFilter<(Response,)>,
    runtime: Runtime,
    clock: Arc<ManualClock>,
    _directory: TempDir,
}

/// The answer to a request.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Server {
    pub fn new(change: impl FnOnce(&mut Config)) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut config = Config::default();
        config.store.path = directory.path().join("data");
        config.store.cache = 1 << 20;
        config.password.bcrypt_cost = 4;
        config.password.hash_threads = 1;
        config.token.secret = Some(Secret {
            bytes: SECRET.to_vec().into(),
            origin: Origin::Default,
        });
        change(&mut config);
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(START)));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
        let auth = runtime.block_on(async {
            let store = store::open(&config.store, clock.now(), Listeners::default()).await;
            let store = store.expect("a new database opens");
            let auth = Auth::new(&config, Parts::new(store, Arc::clone(&clock) as _)).await;
            auth.expect("a new server starts")
        });
        let server = Self {
            app: Api::new(auth, &config).app().boxed(),
            runtime,
            clock,
            _directory: directory,
        };
        server.sign_up(NAME);
        server
    }

    pub fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// Adds the user `name`, with [`PASSWORD`].
    pub fn sign_up(&self, name: &str) {
        let account = json!({"username": name, "password": PASSWORD});
        assert_eq!(self.post("/signup", None, &account).status, StatusCode::CREATED);
    }

    /// An access token of a new session of [`NAME`].
    pub fn sign_in(&self) -> String {
        self.sign_in_as(NAME)
    }

    /// An access token of a new session of `name`.
    pub fn sign_in_as(&self, name: &str) -> String {
        let account = json!({"username": name, "password": PASSWORD});
        let answer = self.post("/signin", None, &account);
        assert_eq!(answer.status, StatusCode::OK);
        answer.text("access_token")
    }

    /// Ends the session of `token`.
    pub fn log_out(&self, token: &str) {
        let answer = self.post("/logout", Some(token), &Value::Null);
        assert_eq!(answer.status, StatusCode::NO_CONTENT);
    }

    /// Posts `body` with `token`.
    pub fn post(&self, path: &str, token: Option<&str>, body: &Value) -> Answer {
        let mut request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let body = vec![Bytes::from(body.to_string())];
        self.send(request.body(body).expect("a request"))
    }

    /// Sends the request, its body in chunks, and checks what must hold of each answer.
    pub fn send(&self, request: Request<Vec<Bytes>>) -> Answer {
        let head = request.method() == Method::HEAD;
        let request = request.map(|chunks| {
            let frames = chunks
                .into_iter()
                .map(|chunk| Ok::<_, Infallible>(Frame::data(chunk)));
            StreamBody::new(stream::iter(frames.collect::<Vec<_>>()))
        });
        let answer = self.runtime.block_on(async {
            let response = warp::service(self.app.clone()).call(request).await;
            let (parts, body) = response.expect("a service that never fails").into_parts();
            let body = body.collect().await.expect("an answer's body is whole");
            Answer {
                status: parts.status,
                headers: parts.headers,
                body: body.to_bytes(),
            }
        });
        answer.check(head);
        answer
    }
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("an answer that is JSON")
    }

    /// The text of the member `name`.
    pub fn text(&self, name: &str) -> String {
        self.json()[name].as_str().expect("a text").to_owned()
    }

    /// The status and the problem's code; an empty code if the request succeeded.
    pub fn outcome(&self) -> (u16, String) {
        let status = self.status.as_u16();
        let code = if status < 400 {
            String::new()
        } else {
            self.text("code")
        };
        (status, code)
    }

    /// The seconds after which the client may try again.
    pub fn retry_after(&self) -> u64 {
        let seconds = self.header(header::RETRY_AFTER).expect("a Retry-After");
        seconds.parse().expect("whole seconds")
    }

    fn header(&self, name: header::HeaderName) -> Option<&str> {
        self.headers
            .get(name)
            .map(|value| value.to_str().expect("a header of ASCII"))
    }

    /// The answer is no 5xx. A failure is a problem of RFC 9457, and reveals nothing of the inside of the server.
    fn check(&self, head: bool) {
        let status = self.status.as_u16();
        let text = String::from_utf8_lossy(&self.body);
        assert!((200..500).contains(&status), "{status}: {text}");
        if status < 400 {
            return;
        }
        assert_eq!(self.header(header::CACHE_CONTROL), Some("no-store"));
        assert_eq!(
            self.header(header::CONTENT_TYPE),
            Some("application/problem+json")
        );
        let challenge = self.header(header::WWW_AUTHENTICATE);
        assert!(status != 401 || challenge.is_some(), "401 without a challenge");
        if head && self.body.is_empty() {
            return;
        }
        let problem = self.json();
        assert_eq!(problem["status"], status, "{text}");
        let code = problem["code"].as_str().expect("a code");
        assert_eq!(problem["type"], format!("urn:problem-type:jwt-server:{code}"));
        for member in ["title", "detail"] {
            assert!(
                problem[member].as_str().is_some_and(|text| !text.is_empty()),
                "{text}"
            );
        }
        let title = problem["title"].as_str().unwrap_or_default();
        for internal in ["::", "src/", "serde", "panicked"] {
            assert!(!title.contains(internal), "{text}");
        }
    }
}

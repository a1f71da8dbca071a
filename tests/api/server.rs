//! The harness: a server of its own for each test, and what a client does with it.

use std::{sync::Arc, time::Duration};

use http_body_util::BodyExt;
use jwt_server::{
    Api, Auth, Config,
    auth::{Accounts, Parts},
    clock::{Clock, ManualClock, Timestamp},
    domain::{ClientAddress, PasswordHash, Role, User, UserChange, UserRoles, Username},
    store::{self, Store},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower_service::Service;
use warp::{
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    hyper::body::Bytes,
};

use crate::recorder::Recorder;

pub(crate) const PASSWORD: &str = "correct horse battery";
pub(crate) const START: Timestamp = Timestamp::from_secs(1_800_000_000);

pub(crate) fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// A server with default settings, except that hashing is cheap.
pub(crate) struct Server {
    pub(crate) auth: Auth,
    pub(crate) api: Api,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) config: Config,
    pub(crate) events: Arc<Recorder>,
    clock: Arc<ManualClock>,
    directory: TempDir,
}

pub(crate) async fn spawn() -> Server {
    spawn_with(|_| {}).await
}

pub(crate) async fn spawn_with(change: impl FnOnce(&mut Config)) -> Server {
    let directory = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.store.path = directory.path().join("data");
    config.password.bcrypt_cost = 4;
    config.password.hash_threads = 2;
    change(&mut config);
    open(config, Arc::new(ManualClock::new(START)), directory).await
}

async fn open(config: Config, clock: Arc<ManualClock>, directory: TempDir) -> Server {
    let events = Arc::new(Recorder::default());
    let store = store::open(&config.store, clock.now(), events.listeners())
        .await
        .unwrap();
    let parts = Parts {
        store: Arc::clone(&store),
        clock: Arc::clone(&clock) as _,
        listeners: events.listeners(),
    };
    let auth = Auth::new(&config, parts).await.unwrap();
    Server {
        events,
        ..Server::over(auth, store, config, clock, directory)
    }
}

impl Server {
    /// A server over a store of another kind.
    pub(crate) fn over(
        auth: Auth,
        store: Arc<dyn Store>,
        config: Config,
        clock: Arc<ManualClock>,
        directory: TempDir,
    ) -> Self {
        Self {
            api: Api::new(auth.clone(), &config),
            auth,
            store,
            config,
            events: Arc::default(),
            clock,
            directory,
        }
    }

    /// The same server after a stop and a start, with settings changed in between.
    pub(crate) async fn restart_with(self, change: impl FnOnce(&mut Config)) -> Self {
        let Self {
            auth,
            api,
            store,
            mut config,
            clock,
            directory,
            ..
        } = self;
        drop((auth, api, store));
        change(&mut config);
        open(config, clock, directory).await
    }

    /// Stops the server and returns the directory of its database.
    pub(crate) fn stop(self) -> TempDir {
        let Self {
            auth,
            api,
            store,
            directory,
            ..
        } = self;
        drop((auth, api, store));
        directory
    }

    pub(crate) async fn restart(self) -> Self {
        self.restart_with(|_| {}).await
    }

    /// No file of the database has these bytes.
    #[track_caller]
    pub(crate) fn assert_has_no_file_with(&self, secret: &[u8]) {
        for entry in std::fs::read_dir(&self.config.store.path).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let content = std::fs::read(&path).unwrap();
                let found = content.windows(secret.len()).any(|window| window == secret);
                assert!(!found, "{}", path.display());
            }
        }
    }

    /// The accounts as a command has them while no server runs.
    pub(crate) fn without_a_server(&self) -> Accounts {
        let parts = Parts {
            store: Arc::clone(&self.store),
            clock: Arc::clone(&self.clock) as _,
            listeners: self.events.listeners(),
        };
        Accounts::new(&self.config, parts)
    }

    pub(crate) fn advance(&self, span: Duration) {
        self.clock.advance(span);
    }

    pub(crate) async fn sign_up(&self, username: &str, password: &str) -> Answer {
        self.post("/signup", &json!({"username": username, "password": password}))
            .await
    }

    pub(crate) async fn sign_in(&self, username: &str, password: &str) -> Answer {
        self.post("/signin", &json!({"username": username, "password": password}))
            .await
    }

    pub(crate) async fn sign_in_from(&self, address: &str, username: &str, password: &str) -> Answer {
        self.post_from(
            address,
            "/signin",
            &json!({"username": username, "password": password}),
        )
        .await
    }

    /// A new user, signed in.
    pub(crate) async fn user(&self, username: &str) -> String {
        self.sign_up(username, PASSWORD)
            .await
            .assert_status(StatusCode::CREATED);
        self.sign_in(username, PASSWORD).await.token()
    }

    pub(crate) async fn refresh(&self, token: &str) -> Answer {
        self.get("/refresh", token).await
    }

    pub(crate) async fn log_out(&self, token: &str) -> Answer {
        self.get("/logout", token).await
    }

    pub(crate) async fn welcome(&self, token: &str) -> Answer {
        self.get("/welcome", token).await
    }

    pub(crate) async fn me(&self, token: &str) -> Answer {
        self.get("/me", token).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(request("POST", path).json(body)).await
    }

    pub(crate) async fn post_with_token(&self, path: &str, token: &str, body: &Value) -> Answer {
        let bearer = format!("Bearer {token}");
        self.send(request("POST", path).header("authorization", bearer).json(body))
            .await
    }

    /// Sends a form, with a token of the sender's own if they have one.
    pub(crate) async fn post_form(&self, path: &str, token: Option<&str>, form: &[(&str, &str)]) -> Answer {
        let mut request = request("POST", path).header("content-type", "application/x-www-form-urlencoded");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        self.send(request.body(body)).await
    }

    pub(crate) async fn post_from(&self, address: &str, path: &str, body: &Value) -> Answer {
        let address = ClientAddress::new(address.parse().unwrap());
        self.send(request("POST", path).json(body).extension(address))
            .await
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Answer {
        self.send(request("GET", path).header("authorization", format!("Bearer {token}")))
            .await
    }

    pub(crate) async fn send(&self, request: warp::test::RequestBuilder) -> Answer {
        let response = request.reply(&self.api.app()).await;
        let (parts, body) = response.into_parts();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    /// Sends exactly these headers: `warp::test` keeps one of each name, and counts the body itself.
    pub(crate) async fn send_exactly(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &[u8])],
        body: &str,
    ) -> Answer {
        let mut request = warp::http::Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, HeaderValue::from_bytes(value).unwrap());
        }
        let request = request.body(body.to_owned()).unwrap();
        let response = warp::service(self.api.app()).call(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    /// Changes a user as an administrator does.
    pub(crate) async fn change(&self, username: &str, change: UserChange) {
        let name = Username::parse(username).unwrap();
        let user = self.store.user_by_name(&name).await.unwrap().unwrap();
        let update = self.store.change_user(user.id, change).await.unwrap();
        assert!(update.changed().is_some());
    }

    /// Gives a user these roles. There is another administrator from then on, so that the role can be taken again.
    pub(crate) async fn set_roles(&self, username: &str, roles: &[&str]) {
        let name = Username::parse("another-administrator").unwrap();
        let hash = self.password_hash(username).await;
        let another = User::new(name, hash, [Role::ADMIN].into_iter().collect(), START);
        // Only the first time.
        let _ = self.store.create_user(another, None).await.unwrap();
        let roles: UserRoles = roles.iter().map(|role| Role::parse(role).unwrap()).collect();
        self.change(username, UserChange::Roles(roles)).await;
    }

    pub(crate) async fn password_hash(&self, username: &str) -> PasswordHash {
        let name = Username::parse(username).unwrap();
        self.store
            .user_by_name(&name)
            .await
            .unwrap()
            .unwrap()
            .password_hash
            .clone()
    }
}

pub(crate) fn request(method: &str, path: &str) -> warp::test::RequestBuilder {
    warp::test::request().method(method).path(path)
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    #[track_caller]
    pub(crate) fn assert_status(&self, status: StatusCode) {
        assert_eq!(self.status, status, "{}", self.text());
    }

    /// It is a problem as RFC 9457 and the contract have it.
    #[track_caller]
    pub(crate) fn assert_problem(&self, status: StatusCode, code: &str) -> Value {
        self.assert_status(status);
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.header("cache-control"), "no-store");
        let problem = self.json();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status.as_u16(), "{problem}");
        assert_eq!(problem["type"], format!("urn:problem-type:jwt-server:{code}"));
        for member in ["title", "detail"] {
            let text = problem[member].as_str().unwrap();
            assert!(!text.is_empty(), "{problem}");
            for internal in ["src/", "::", "serde", "sled", "bcrypt", "expected", "panicked"] {
                assert!(!text.contains(internal), "{problem}");
            }
        }
        problem
    }

    /// It says 422 and names exactly these fields, each with its code.
    #[track_caller]
    pub(crate) fn assert_fields(&self, fields: &[(&str, &str)]) {
        let problem = self.assert_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field");
        let errors = problem["errors"].as_array().unwrap();
        let named: Vec<_> = errors
            .iter()
            .map(|error| (error["field"].as_str().unwrap(), error["code"].as_str().unwrap()))
            .collect();
        assert_eq!(named, fields, "{problem}");
        assert!(errors.iter().all(|error| error["detail"].is_string()));
    }

    #[track_caller]
    pub(crate) fn assert_unauthorized(&self, code: &str, challenge: &str) {
        self.assert_problem(StatusCode::UNAUTHORIZED, code);
        assert_eq!(self.header("www-authenticate"), challenge);
    }

    /// The token was refused, with the challenge of RFC 6750.
    #[track_caller]
    pub(crate) fn assert_dead(&self) {
        self.assert_unauthorized(
            "invalid_token",
            "Bearer realm=\"jwt-server\", error=\"invalid_token\"",
        );
    }

    #[track_caller]
    pub(crate) fn assert_welcome(&self, username: &str, roles: &str) {
        self.assert_status(StatusCode::OK);
        assert_eq!(self.header("content-type"), "text/plain; charset=utf-8");
        assert_eq!(
            self.text(),
            format!("Welcome {username}!\n Your roles are: [{roles}]")
        );
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self
            .headers
            .get(name)
            .unwrap_or_else(|| panic!("no {name} in {:?}", self.headers));
        value.to_str().unwrap()
    }

    /// The access token of a token answer.
    #[track_caller]
    pub(crate) fn token(&self) -> String {
        self.assert_status(StatusCode::OK);
        assert_eq!(self.header("cache-control"), "no-store");
        let answer = self.json();
        assert_eq!(answer["token_type"], "Bearer");
        answer["access_token"].as_str().unwrap().to_owned()
    }

    /// `expires_in`, `refresh_in` and `refreshed` of a token answer.
    #[track_caller]
    pub(crate) fn times(&self) -> (u64, u64, bool) {
        let answer = self.json();
        let number = |name: &str| answer[name].as_u64().unwrap();
        (
            number("expires_in"),
            number("refresh_in"),
            answer["refreshed"].as_bool().unwrap(),
        )
    }

    pub(crate) fn allows(&self) -> &str {
        self.header(header::ALLOW.as_str())
    }
}

/// The claims of a token, unverified.
pub(crate) fn claims(token: &str) -> Value {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

/// Every standard method.
pub(crate) const METHODS: [Method; 9] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
    Method::TRACE,
    Method::CONNECT,
];

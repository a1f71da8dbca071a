//! A server in this process, without its socket and with a clock of its own.

use std::{env, path::Path, sync::Arc};

use futures_util::{StreamExt as _, stream};
use jwt_server::{
    Auth, Config,
    auth::{Credentials, Parts},
    clock::{ManualClock, Timestamp},
    config::Settings,
    domain::{BearerToken, Password, PasswordHash, RequestContext, Role, User, Username},
    event::Listeners,
    store::{self, Store, UserCreation},
};
use secrecy::{ExposeSecret, SecretString};
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const PASSWORD: &str = "correct horse battery";
const ALGORITHMS: [&str; 4] = ["HS256", "EdDSA", "ES256", "RS256"];

pub(crate) struct Server {
    pub(crate) auth: Auth,
    store: Arc<dyn Store>,
    pub(crate) clock: Arc<ManualClock>,
    config: Config,
    pub(crate) runtime: Runtime,
    _directory: TempDir,
}

impl Server {
    /// One with a user, ada. `None` if it does not know the algorithm.
    pub(crate) fn new(algorithm: &str, token: &str) -> Option<Self> {
        Self::with_password_rule(algorithm, token, "")
    }

    /// The same with one more setting of the passwords.
    pub(crate) fn with_password_rule(algorithm: &str, token: &str, rule: &str) -> Option<Self> {
        // Every version knows HS256, and the first ones know no others, nor a setting for them.
        let algorithm = match algorithm {
            "HS256" => String::new(),
            other => format!("algorithm = \"{other}\"\n"),
        };
        let text = format!(
            "[token]\n{algorithm}{token}\n[session]\nmax_lifetime = \"36500d\"\nmax_per_user = 1000\n[password]\nbcrypt_cost = 4\n{rule}\n"
        );
        let mut settings = Settings::default();
        settings.add_file("the benchmark", &text).ok()?;
        let mut config = Config::read(&settings).ok()?;
        let directory = on_disk();
        config.store.path = directory.path().join("data");
        let runtime = Runtime::new().expect("a runtime");
        let clock = Arc::new(ManualClock::new(NOW));
        let store = runtime.block_on(open(&config.store.path));
        let auth = runtime.block_on(async {
            let auth = Auth::new(
                &config,
                Parts::new(Arc::clone(&store) as _, Arc::clone(&clock) as _),
            )
            .await;
            let auth = auth.expect("a new server starts");
            let password = Password::parse(PASSWORD.into()).expect("a good password");
            auth.sign_up(name("ada"), password, &RequestContext::default())
                .await
                .expect("the first sign-up");
            auth
        });
        Some(Self {
            auth,
            store,
            clock,
            config,
            runtime,
            _directory: directory,
        })
    }

    pub(crate) fn sign_in(&self) -> BearerToken {
        let (ada, from) = (
            Credentials::new("ada", PASSWORD.into()),
            RequestContext::default(),
        );
        let signed_in = self.auth.sign_in(ada, &from);
        bearer(
            &self
                .runtime
                .block_on(signed_in)
                .expect("the right password")
                .token,
        )
    }

    /// The same server as if it had just been started: it has seen no token yet.
    pub(crate) fn anew(&self) -> Auth {
        let auth = Auth::new(
            &self.config,
            Parts::new(Arc::clone(&self.store) as _, Arc::clone(&self.clock) as _),
        );
        self.runtime.block_on(auth).expect("it has started before")
    }

    pub(crate) fn refresh(&self, token: &BearerToken) -> BearerToken {
        let refreshed = self.runtime.block_on(self.auth.refresh(token));
        bearer(&refreshed.expect("a good token").token)
    }
}

/// A server that has just been started, and many users who had signed in before that.
pub(crate) struct Restarted {
    pub(crate) auth: Auth,
    pub(crate) tokens: Vec<BearerToken>,
    pub(crate) runtime: Runtime,
    _directory: TempDir,
}

impl Restarted {
    /// So many of them, each with one token.
    pub(crate) fn signed_in(users: usize) -> Self {
        let directory = on_disk();
        let runtime = Runtime::new().expect("a runtime");
        let mut settings = Settings::default();
        let text =
            "[password]\nbcrypt_cost = 4\nhash_queue = 1024\nhash_threads = 2\n[token]\nlifetime = \"1h\"";
        settings.add_file("the benchmark", text).expect("good settings");
        let mut config = Config::read(&settings).expect("good settings");
        config.store.path = directory.path().join("data");
        let start = async || {
            let (store, clock) = (open(&config.store.path).await, Arc::new(ManualClock::new(NOW)));
            let auth = Auth::new(&config, Parts::new(Arc::clone(&store) as _, clock)).await;
            (auth.expect("a server starts"), store)
        };
        let hash = bcrypt::hash(PASSWORD, 4).expect("a hash");
        let hash = PasswordHash::parse(&hash).expect("the form of a hash");
        let (auth, tokens) = runtime.block_on(async {
            let (before, store) = start().await;
            let signed_in = stream::iter(0..users).map(async |number| {
                let somebody = User {
                    password_hash: hash.clone(),
                    ..user(&format!("user-{number}"))
                };
                let (name, new) = (somebody.username.to_string(), store.create_user(somebody, None));
                assert_eq!(new.await.expect("a good disk"), UserCreation::Created);
                let claimed = Credentials::new(&name, PASSWORD.into());
                let signed_in = before.sign_in(claimed, &RequestContext::default()).await;
                bearer(&signed_in.expect("the right password").token)
            });
            let tokens: Vec<_> = signed_in.buffer_unordered(512).collect().await;
            drop((before, store));
            (start().await.0, tokens)
        });
        Self {
            auth,
            tokens,
            runtime,
            _directory: directory,
        }
    }
}

/// The algorithms that this build has.
pub(crate) fn algorithms() -> Vec<&'static str> {
    ALGORITHMS
        .into_iter()
        .filter(|name| Server::new(name, "").is_some())
        .collect()
}

/// A directory on a disk: that for temporary files may be in memory.
pub(crate) fn on_disk() -> TempDir {
    let here = env::current_exe().expect("a program has a path");
    tempfile::tempdir_in(here.parent().expect("a program lies in a folder")).expect("a directory")
}

pub(crate) async fn open(path: &Path) -> Arc<dyn Store> {
    let mut config = Config::default().store;
    path.clone_into(&mut config.path);
    let opened = store::open(&config, NOW, Listeners::default()).await;
    opened.expect("a database opens")
}

pub(crate) fn name(text: &str) -> Username {
    Username::parse(text).expect("a good name")
}

fn bearer(token: &SecretString) -> BearerToken {
    BearerToken::parse(token.expose_secret()).expect("a token has the form of one")
}

pub(crate) fn user(text: &str) -> User {
    let hash = PasswordHash::parse(&format!("$2b$12${}", ".".repeat(53))).expect("the form of a hash");
    User::new(name(text), hash, [Role::CLIENT].into_iter().collect(), NOW)
}

//! Fills a database through the library, as fast as it can be made durable: users, their sessions, and tokens that the
//! server accepts, because the library itself has issued them.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use jwt_server::{
    Auth, Config,
    auth::Credentials,
    clock::{Clock, SystemClock, Timestamp},
    config::Settings,
    domain::{Client, PasswordHash, Role, Roles, Session, User, UserId, Username},
    store::{SledStore, Store, UserCreation},
};
use secrecy::ExposeSecret;

use crate::description::PASSWORD;

/// How long the tokens last that are filled in to be used: longer than any run.
const LONG: Duration = Duration::from_hours(12);
/// How many writes wait for one another.
const AT_ONCE: usize = 1024;
/// bcrypt's cheapest, for those who sign in here. The server never sees their passwords.
const CHEAPEST: u32 = 4;

/// What goes into a database.
#[derive(Clone, Debug)]
pub(crate) enum Filling {
    /// Users from number `first` on, each signed in. Returns their tokens.
    SignedIn { first: usize, users: usize },
    /// Users from number `first` on, each with a session whose token nobody knows.
    Users { first: usize, users: usize },
    /// Sessions of the first `users` users, whose tokens run out at `end`.
    Sessions {
        sessions: usize,
        users: usize,
        end: Timestamp,
    },
    /// Users who can sign in, with a hash of this cost.
    CanSignIn { users: usize, cost: u32 },
}

/// The name of a user who has been signed in.
fn resident(number: usize) -> String {
    format!("resident-{number:07}")
}

/// The name of a user who can sign in.
pub(crate) fn visitor(number: usize) -> String {
    format!("visitor-{number:05}")
}

/// Does all of `fillings` to the database in `data`, whose tokens are signed with `algorithm`, and returns the tokens.
pub(crate) fn fill(data: &Path, algorithm: Option<&str>, fillings: &[Filling]) -> Result<Vec<String>> {
    eprintln!("filling a database: {fillings:?}");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut config = settings(algorithm)?;
        config.store.path = data.to_owned();
        let clock = Arc::new(SystemClock::new());
        let store = Arc::new(SledStore::open(data, config.store.cache, clock.now())?);
        let auth = Auth::new(&config, Arc::clone(&store) as _, Arc::clone(&clock) as _).await?;
        let filler = Filler {
            auth,
            store,
            now: clock.now(),
        };
        let mut tokens = Vec::new();
        for filling in fillings {
            tokens.append(&mut filler.fill(filling).await?);
        }
        Ok(tokens)
    })
}

/// The settings of the library while it fills.
fn settings(algorithm: Option<&str>) -> Result<Config> {
    let algorithm = algorithm
        .map(|name| format!("algorithm = \"{name}\"\n"))
        .unwrap_or_default();
    let text = format!(
        "[token]\n{algorithm}lifetime = \"{}s\"\n[password]\nbcrypt_cost = {CHEAPEST}\nhash_queue = {AT_ONCE}\nhash_threads = {}",
        LONG.as_secs(),
        crate::machine::available(),
    );
    let mut settings = Settings::default();
    settings.add_file("the filling", &text)?;
    Ok(Config::read(&settings)?)
}

struct Filler {
    auth: Auth,
    store: Arc<SledStore>,
    now: Timestamp,
}

impl Filler {
    async fn fill(&self, filling: &Filling) -> Result<Vec<String>> {
        match *filling {
            Filling::SignedIn { first, users } => {
                let hash = hash(CHEAPEST)?;
                let signed_in = stream::iter(first..first + users).map(async |number| {
                    self.add(&resident(number), &hash).await?;
                    self.sign_in(&resident(number)).await
                });
                signed_in.buffer_unordered(AT_ONCE / 2).try_collect().await
            }
            Filling::Users { first, users } => {
                let hash = nobodys()?;
                let added = stream::iter(first..first + users).map(async |number| {
                    let user = self.add(&resident(number), &hash).await?;
                    self.open(user, LONG).await
                });
                added.buffer_unordered(AT_ONCE).try_collect::<()>().await?;
                Ok(Vec::new())
            }
            Filling::Sessions { sessions, users, end } => {
                let hash = nobodys()?;
                let names = (0..users).map(|number| format!("guest-{number:05}"));
                let added = stream::iter(names).map(async |name| self.add(&name, &hash).await);
                let users: Vec<UserId> = added.buffer_unordered(AT_ONCE).try_collect().await?;
                let opened = stream::iter(0..sessions)
                    .map(|number| self.open(users[number % users.len()], end.since(self.now)));
                opened.buffer_unordered(AT_ONCE).try_collect::<()>().await?;
                Ok(Vec::new())
            }
            Filling::CanSignIn { users, cost } => {
                let hash = hash(cost)?;
                for number in 0..users {
                    self.add(&visitor(number), &hash).await?;
                }
                Ok(Vec::new())
            }
        }
    }

    async fn add(&self, name: &str, hash: &PasswordHash) -> Result<UserId> {
        let user = User {
            id: UserId::generate(self.now),
            username: Username::parse(name)?,
            password_hash: hash.clone(),
            password_version: 0,
            roles: Roles::from_iter([Role::CLIENT]),
            disabled: false,
            display_name: None,
            created_at: self.now,
        };
        let id = user.id;
        match self.store.create_user(user, None).await? {
            UserCreation::Created => Ok(id),
            UserCreation::UsernameTaken => bail!("there is a {name} already"),
        }
    }

    async fn sign_in(&self, name: &str) -> Result<String> {
        let issued = self
            .auth
            .sign_in(Credentials::new(name, PASSWORD.into()), &Client::default())
            .await?;
        Ok(issued.token.expose_secret().to_owned())
    }

    async fn open(&self, user: UserId, lifetime: Duration) -> Result<()> {
        let (session, _) = Session::start(user, lifetime, 2 * LONG, self.now);
        let opened = self.store.open_session(session, 0, usize::MAX).await?;
        ensure!(opened.is_some(), "a session was not opened");
        Ok(())
    }
}

fn hash(cost: u32) -> Result<PasswordHash> {
    let text = bcrypt::hash(PASSWORD, cost)?;
    PasswordHash::parse(&text).context("bcrypt's hash has not the form of one")
}

/// A hash of the default cost that no password has.
fn nobodys() -> Result<PasswordHash> {
    PasswordHash::parse(&format!("$2b$12${}", ".".repeat(53))).context("this has the form of a hash")
}

//! Fills a database through the library, as fast as it can be made durable: users, their sessions, and tokens that the
//! server accepts, because the library itself has issued them.

use std::{
    net::{IpAddr, Ipv4Addr},
    ops::Range,
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use jwt_server::{
    Auth, Config,
    auth::{Credentials, Parts},
    clock::{Clock, SystemClock, Timestamp},
    config::Settings,
    domain::{
        Client, ClientAddress, Device, PasswordHash, RequestContext, Role, Session, User, UserId, Username,
    },
    event::Listeners,
    store::{self, Store, UserCreation},
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
    /// Users of these numbers. Returns the tokens that are known.
    Residents {
        numbers: Range<usize>,
        /// They are in the database already, without a session.
        there: bool,
        session: Live,
    },
    /// Sessions of the first `users` users, whose tokens run out at `end`.
    Sessions {
        sessions: usize,
        users: usize,
        end: Timestamp,
    },
    /// Users without sessions, of whom one in a hundred has the role EDITOR and one in a thousand is disabled, and one who
    /// administers, whose token is returned.
    Listed { users: usize },
    /// Users who can sign in, with a hash of this cost.
    CanSignIn { users: usize, cost: u32 },
}

/// The session that a user gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Live {
    /// None.
    No,
    /// One whose token is not kept.
    Unknown,
    /// One from a sign-in, whose token is returned.
    Known,
}

impl Filling {
    /// So many new users, each signed in.
    pub(crate) fn signed_in(users: usize) -> Self {
        Self::Residents {
            numbers: 0..users,
            there: false,
            session: Live::Known,
        }
    }
}

/// A number for each of the first 2³², in no order: users do not sign up in the order of the alphabet, and a tree that is filled
/// in order is smaller than others. Every call gives the same.
fn scrambled(number: usize) -> u32 {
    // Odd, and so one to one.
    u32::try_from(number)
        .expect("no benchmark fills in as many users")
        .wrapping_mul(0x9e37_79b1)
}

/// The name of a user with a session, or without one.
fn resident(number: usize) -> String {
    format!("resident-{:08x}", scrambled(number))
}

/// How the names of one in 256 of the listed users begin.
pub(crate) fn listed_prefix(number: usize) -> String {
    format!("resident-{:02x}", number % 256)
}

/// The name of a listed user.
pub(crate) fn listed_name(number: usize) -> String {
    resident(number)
}

/// The name of a user who can sign in.
pub(crate) fn visitor(number: usize) -> String {
    format!("visitor-{:08x}", scrambled(number))
}

/// The name of a user whose sessions run out.
fn guest(number: usize) -> String {
    format!("guest-{:08x}", scrambled(number))
}

/// What user `number` signs up and in with: an address that hardly any other user has, and a browser.
fn client(number: usize) -> Client {
    let address = Ipv4Addr::from((10 << 24) | (scrambled(number) >> 8));
    Client {
        address: Some(ClientAddress::new(IpAddr::V4(address))),
        device: Device::parse("Firefox on Linux"),
    }
}

/// Does all of `fillings` to the database in `data`, whose tokens are signed with `algorithm`, and returns the tokens.
pub(crate) fn fill(data: &Path, algorithm: Option<&str>, fillings: &[Filling]) -> Result<Vec<String>> {
    eprintln!("filling a database: {fillings:?}");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut config = settings(algorithm)?;
        config.store.path = data.to_owned();
        let clock = Arc::new(SystemClock::new());
        let store = store::open(&config.store, clock.now(), Listeners::default()).await?;
        let auth = Auth::new(
            &config,
            Parts::new(Arc::clone(&store) as _, Arc::clone(&clock) as _),
        )
        .await?;
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
    store: Arc<dyn Store>,
    now: Timestamp,
}

impl Filler {
    async fn fill(&self, filling: &Filling) -> Result<Vec<String>> {
        match *filling {
            Filling::Residents {
                ref numbers,
                there,
                session,
            } => {
                // Any of them may sign in later.
                let hash = hash(CHEAPEST)?;
                let tokens = stream::iter(numbers.clone()).map(async |number| {
                    let name = resident(number);
                    let new = if there {
                        None
                    } else {
                        Some(self.add(&name, number, &hash).await?)
                    };
                    match (session, new) {
                        (Live::No, _) => return Ok(None),
                        (Live::Unknown, Some(user)) => self.open(user, number, LONG).await?,
                        (Live::Unknown, None) => self.open(self.find(&name).await?, number, LONG).await?,
                        (Live::Known, _) => return self.sign_in(&name, number).await.map(Some),
                    }
                    Ok(None)
                });
                // No more sign in at once than there is room for in the queue of passwords.
                let at_once = if session == Live::Known {
                    AT_ONCE / 2
                } else {
                    AT_ONCE
                };
                let tokens = tokens.buffer_unordered(at_once);
                tokens.try_filter_map(async |token| Ok(token)).try_collect().await
            }
            Filling::Sessions { sessions, users, end } => {
                let hash = unusable_hash()?;
                let added =
                    stream::iter(0..users).map(async |number| self.add(&guest(number), number, &hash).await);
                let users: Vec<UserId> = added.buffer_unordered(AT_ONCE).try_collect().await?;
                let opened = stream::iter(0..sessions)
                    .map(|number| self.open(users[number % users.len()], number, end.since(self.now)));
                opened.buffer_unordered(AT_ONCE).try_collect::<()>().await?;
                Ok(Vec::new())
            }
            Filling::Listed { users } => {
                let hash = hash(CHEAPEST)?;
                let added = stream::iter(0..users).map(async |number| {
                    let mut user = self.new_user(&resident(number), &hash)?;
                    if number % 100 == 0 {
                        user.roles = [Role::CLIENT, Role::parse("EDITOR")?].into_iter().collect();
                    }
                    user.disabled = number % 1000 == 1;
                    self.create(user, number).await
                });
                added.buffer_unordered(AT_ONCE).try_collect::<Vec<_>>().await?;
                let mut administrator = self.new_user("administrator", &hash)?;
                administrator.roles = [Role::ADMIN].into_iter().collect();
                self.create(administrator, users).await?;
                Ok(vec![self.sign_in("administrator", users).await?])
            }
            Filling::CanSignIn { users, cost } => {
                let hash = hash(cost)?;
                for number in 0..users {
                    self.add(&visitor(number), number, &hash).await?;
                }
                Ok(Vec::new())
            }
        }
    }

    async fn add(&self, name: &str, number: usize, hash: &PasswordHash) -> Result<UserId> {
        self.create(self.new_user(name, hash)?, number).await
    }

    fn new_user(&self, name: &str, hash: &PasswordHash) -> Result<User> {
        let roles = [Role::CLIENT].into_iter().collect();
        Ok(User::new(Username::parse(name)?, hash.clone(), roles, self.now))
    }

    async fn create(&self, user: User, number: usize) -> Result<UserId> {
        let (id, name) = (user.id, user.username.clone());
        let network = client(number).address.map(ClientAddress::network);
        match self.store.create_user(user, network).await? {
            UserCreation::Created => Ok(id),
            UserCreation::UsernameTaken => bail!("there is a {name} already"),
        }
    }

    async fn find(&self, name: &str) -> Result<UserId> {
        let user = self.store.user_by_name(&Username::parse(name)?).await?;
        Ok(user.with_context(|| format!("there is no {name}"))?.id)
    }

    async fn sign_in(&self, name: &str, number: usize) -> Result<String> {
        let issued = self
            .auth
            .sign_in(
                Credentials::new(name, PASSWORD.into()),
                &RequestContext::of_client(client(number)),
            )
            .await?;
        Ok(issued.token.expose_secret().to_owned())
    }

    async fn open(&self, user: UserId, number: usize, lifetime: Duration) -> Result<()> {
        let (mut session, _) = Session::start(user, lifetime, 2 * LONG, self.now);
        session.client = client(number);
        let opened = self.store.open_session(session, 0, usize::MAX, None).await?;
        ensure!(opened.is_some(), "a session was not opened");
        Ok(())
    }
}

fn hash(cost: u32) -> Result<PasswordHash> {
    let text = bcrypt::hash(PASSWORD, cost)?;
    PasswordHash::parse(&text).context("bcrypt's hash has not the form of one")
}

/// A hash of the default cost that no password has.
fn unusable_hash() -> Result<PasswordHash> {
    PasswordHash::parse(&format!("$2b$12${}", ".".repeat(53))).context("this has the form of a hash")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_user_has_a_name_of_their_own_and_they_come_in_no_order() {
        let names: Vec<String> = (0..100_000).map(resident).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        let ascents = names.windows(2).filter(|pair| pair[0] < pair[1]).count();
        assert!((30_000..70_000).contains(&ascents), "{ascents}");
        assert!(names.iter().all(|name| Username::parse(name).is_ok()));
    }

    #[test]
    fn a_client_says_where_it_is_and_what_it_is() {
        let client = client(7);
        assert!(client.address.is_some() && client.device.is_some());
    }
}

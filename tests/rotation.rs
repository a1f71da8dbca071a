//! Refresh tokens as a state machine: random runs of sessions over a real store. Each step is compared with a model that is
//! written from the rules and shares no code with the server.
//!
//! The model says this, and no more:
//!
//! - The newest refresh token of a session is accepted for its lifetime, but not past the session's end. Its use gives the next
//!   one.
//! - The one before it gives the same next one within the grace.
//! - An older one, or the one before it after the grace, ends the session.
//! - An access token is accepted until its `exp`, or until the grace has passed since its successor was minted.
//! - Log-out ends the session, and a token presented after that is no reuse. A restart changes none of this.
//!
//! The environment variable `PROPTEST_CASES` sets the number of runs.

#![expect(
    clippy::unwrap_used,
    reason = "a test that can't go on should say where it stopped"
)]

use std::{sync::Arc, time::Duration};

use jwt_server::{
    Auth, AuthError, Config,
    auth::{Credentials, IssuedToken, Parts, TokenRefusal},
    clock::{Clock, ManualClock, Timestamp},
    domain::{BearerToken, Password, RequestContext, TokenPolicy, Username},
    event::Listeners,
    store,
};
use proptest::prelude::*;
use secrecy::ExposeSecret;
use tempfile::TempDir;
use tokio::runtime::Runtime;

const START: u64 = 1_800_000_000;
const PASSWORD: &str = "correct horse battery";

/// The settings of one run, in seconds.
#[derive(Clone, Copy, Debug)]
struct Rules {
    access: u64,
    grace: u64,
    refresh: u64,
    session: u64,
}

/// One thing that happens. The session is a number, taken modulo the number of sessions.
#[derive(Clone, Debug)]
enum Step {
    SignIn,
    /// `back` counts from the newest refresh token: mostly 0 or 1.
    Use {
        session: usize,
        back: usize,
    },
    UseAtOnce {
        session: usize,
        back: usize,
        times: usize,
    },
    LogOut(usize),
    Wait(u64),
    Restart,
}

fn rules() -> impl Strategy<Value = Rules> {
    (1..400_u64, 0..30_u64, 1..2000_u64, 1..5000_u64).prop_map(|(access, grace, refresh, session)| Rules {
        access,
        grace,
        refresh,
        session,
    })
}

fn step() -> impl Strategy<Value = Step> {
    let session = 0..2_usize;
    let back = prop_oneof![6 => Just(0_usize), 2 => Just(1), 1 => 2..4_usize];
    prop_oneof![
        1 => Just(Step::SignIn),
        8 => (session.clone(), back.clone()).prop_map(|(session, back)| Step::Use { session, back }),
        2 => (session.clone(), back, 2..6_usize)
            .prop_map(|(session, back, times)| Step::UseAtOnce { session, back, times }),
        1 => session.prop_map(Step::LogOut),
        3 => prop_oneof![4 => 0..3_u64, 2 => 0..40_u64, 1 => 0..3000_u64].prop_map(Step::Wait),
        1 => Just(Step::Restart),
    ]
}

/// An access token and a refresh token, and when they were issued.
struct Pair {
    access: String,
    refresh: String,
    issued_at: u64,
}

/// A session as the model has it.
struct SessionModel {
    pairs: Vec<Pair>,
    ends_at: u64,
    over: bool,
}

/// What the use of a refresh token should give.
#[derive(Debug, PartialEq)]
enum Expected {
    Next,
    Same,
    Reuse,
    Refused,
}

impl SessionModel {
    fn expect(&self, at: usize, rules: Rules, now: u64) -> Expected {
        let newest = self.pairs.len() - 1;
        let granted_at = self.pairs[newest].issued_at;
        if self.over || now >= (granted_at + rules.refresh).min(self.ends_at) {
            Expected::Refused
        } else if at == newest {
            Expected::Next
        } else if at + 1 == newest && now < granted_at + rules.grace {
            Expected::Same
        } else {
            Expected::Reuse
        }
    }

    /// Whether the access token of a pair is accepted.
    fn is_good(&self, at: usize, rules: Rules, now: u64) -> bool {
        let pair = &self.pairs[at];
        let end = (pair.issued_at + rules.access).min(self.ends_at);
        let grace = self.pairs.get(at + 1).map(|next| next.issued_at + rules.grace);
        !self.over && now < grace.map_or(end, |grace| grace.min(end))
    }
}

/// The server beside the model.
struct World {
    rules: Rules,
    sessions: Vec<SessionModel>,
    server: Option<Auth>,
    clock: Arc<ManualClock>,
    config: Config,
    runtime: Runtime,
    _directory: TempDir,
}

impl World {
    fn new(rules: Rules) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.store.path = directory.path().join("data");
        config.store.cache = 1 << 20;
        config.password.bcrypt_cost = 4;
        config.password.hash_threads = 1;
        config.session.max_lifetime = Duration::from_secs(rules.session);
        config.session.refresh_tokens = Some(Duration::from_secs(rules.refresh));
        config.token.policy = TokenPolicy {
            lifetime: Duration::from_secs(rules.access),
            refresh_window: Duration::ZERO,
            refresh_grace: Duration::from_secs(rules.grace),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build();
        let mut world = Self {
            rules,
            sessions: Vec::new(),
            server: None,
            clock: Arc::new(ManualClock::new(Timestamp::from_secs(START))),
            config,
            runtime: runtime.unwrap(),
            _directory: directory,
        };
        world.start();
        let (name, password) = (Username::parse("ada"), Password::parse(PASSWORD.into()));
        let auth = world.auth();
        let context = RequestContext::default();
        let added = auth.sign_up(name.unwrap(), password.unwrap(), &context);
        world.runtime.block_on(added).unwrap();
        world
    }

    fn start(&mut self) {
        self.server = None;
        let store = store::open(&self.config.store, self.clock.now(), Listeners::default());
        let store = self.runtime.block_on(store).unwrap();
        let auth = Auth::new(&self.config, Parts::new(store, Arc::clone(&self.clock) as _));
        self.server = Some(self.runtime.block_on(auth).unwrap());
    }

    fn auth(&self) -> Auth {
        self.server.clone().unwrap()
    }

    fn now(&self) -> u64 {
        self.clock.now().as_secs()
    }

    fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match *step {
            Step::SignIn => self.sign_in(),
            Step::Wait(seconds) => self.clock.advance(Duration::from_secs(seconds)),
            Step::Restart => self.start(),
            Step::LogOut(session) => self.log_out(session),
            Step::Use { session, back } => return self.use_at_once(session, back, 1),
            Step::UseAtOnce { session, back, times } => return self.use_at_once(session, back, times),
        }
        Ok(())
    }

    fn sign_in(&mut self) {
        let claimed = Credentials::new("ada", PASSWORD.into());
        let (auth, client) = (self.auth(), RequestContext::default());
        let issued = self.runtime.block_on(auth.sign_in(claimed, &client));
        let now = self.now();
        self.sessions.push(SessionModel {
            pairs: vec![pair(&issued.unwrap(), now)],
            ends_at: now + self.rules.session,
            over: false,
        });
    }

    fn log_out(&mut self, session: usize) {
        let count = self.sessions.len();
        let model = &mut self.sessions[session % count];
        let token = BearerToken::parse(&model.pairs.last().unwrap().access).unwrap();
        let auth = self.server.clone().unwrap();
        let logged_out = async {
            let user = auth.authenticate(&token).await?.signed_in()?;
            auth.log_out(&user, &RequestContext::default()).await
        };
        if self.runtime.block_on(logged_out).is_ok() {
            model.over = true;
        }
    }

    fn use_at_once(&mut self, session: usize, back: usize, times: usize) -> Result<(), TestCaseError> {
        let (now, rules, count) = (self.now(), self.rules, self.sessions.len());
        let model = &self.sessions[session % count];
        let at = model.pairs.len() - 1 - back % model.pairs.len();
        // The bound of accepted tokens, which so many uses within one grace reach, is tested in `model.rs`.
        let recent = model
            .pairs
            .iter()
            .filter(|pair| now < pair.issued_at + rules.grace + 1);
        if recent.count() > 25 {
            return Ok(());
        }
        let expected = model.expect(at, rules, now);
        let text = model.pairs[at].refresh.clone();
        let auth = self.auth();
        let answers: Vec<_> = self.runtime.block_on(async {
            let uses = (0..times).map(|_| {
                let (auth, text) = (auth.clone(), text.clone());
                tokio::spawn(async move { auth.refresh_with(&text.into(), &RequestContext::default()).await })
            });
            let uses: Vec<_> = uses.collect();
            let mut answers = Vec::new();
            for one in uses {
                answers.push(one.await.unwrap());
            }
            answers
        });
        let model = &mut self.sessions[session % count];
        let mut reused = 0;
        for answer in &answers {
            match (&expected, answer) {
                (Expected::Next, Ok(issued)) => {
                    let newest = pair(issued, now);
                    if model.pairs.len() == at + 1 {
                        model.pairs.push(newest);
                    } else {
                        prop_assert_eq!(&model.pairs[at + 1].refresh, &newest.refresh);
                    }
                }
                // Without a grace, the second of several concurrent uses comes too late.
                (Expected::Next, Err(AuthError::TokenRefused(_))) if rules.grace == 0 && times > 1 => {
                    model.over = true;
                }
                (Expected::Same, Ok(issued)) => {
                    prop_assert_eq!(&model.pairs[at + 1].refresh, &pair(issued, now).refresh);
                }
                (Expected::Reuse, Err(AuthError::TokenRefused(TokenRefusal::Reused))) => {
                    reused += 1;
                    model.over = true;
                }
                (Expected::Reuse, Err(AuthError::TokenRefused(_))) if reused > 0 || times > 1 => {}
                (Expected::Refused, Err(AuthError::TokenRefused(why))) => {
                    prop_assert_ne!(*why, TokenRefusal::Reused, "this is no reuse");
                }
                other => prop_assert!(false, "{other:?} at {now}"),
            }
        }
        prop_assert!(expected != Expected::Reuse || reused > 0);
        Ok(())
    }

    /// Every access token that was ever issued is accepted exactly if the model says so.
    fn check(&self) -> Result<(), TestCaseError> {
        let (auth, now) = (self.auth(), self.now());
        for (session, model) in self.sessions.iter().enumerate() {
            for (at, pair) in model.pairs.iter().enumerate() {
                let token = BearerToken::parse(&pair.access).unwrap();
                let accepted = self.runtime.block_on(auth.authenticate(&token)).is_ok();
                let good = model.is_good(at, self.rules, now);
                prop_assert_eq!(accepted, good, "session {}, pair {}, at {}", session, at, now);
            }
        }
        Ok(())
    }
}

fn pair(issued: &IssuedToken, now: u64) -> Pair {
    let refresh = &issued.refresh.as_ref().unwrap().token;
    Pair {
        access: issued.token.expose_secret().to_owned(),
        refresh: refresh.expose_secret().to_owned(),
        issued_at: now,
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if std::env::var_os("PROPTEST_CASES").is_some() { ProptestConfig::default().cases } else { 40 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn random_uses_of_refresh_tokens_follow_the_rules(
        rules in rules(),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut world = World::new(rules);
        world.take(&Step::SignIn)?;
        for step in &steps {
            world.take(step)?;
            world.check()?;
        }
    }
}

//! The refresh and whitelist rules as a state machine: random runs of a few users over a real store. Each step is compared with
//! a model that is written from the rules and shares no code with the server.
//!
//! The model says this, and no more:
//!
//! - A token is accepted for `lifetime` from its sign-in or refresh on, but not past the end of its session.
//! - In the last `refresh_window` of its life a refresh mints its successor. Earlier, a refresh returns the same token. So does
//!   every refresh if the token lasts to the end of its session, or if the session has 32 accepted tokens.
//! - A token with a successor stays accepted for `refresh_grace`, but not past its own `exp`. A refresh of it gives the same
//!   successor.
//! - Log-out ends the session. To disable a user ends every session of theirs, and to enable them brings none back.
//! - A new password ends every session of the user, also the one that asks, and starts one.
//! - An invitation adds one user who is not there yet, and a reset code gives one password. Each works once, until its second. A
//!   newer reset code of the user ends an older one; so does each new password, and to disable the user.
//! - A reset ends every session of the user and starts one.
//! - A temporary password ends every session of the user. A sign-in with it gives a reset code for 15 minutes, and no session.
//! - A restart changes none of this.
//!
//! The environment variable `PROPTEST_CASES` sets the number of runs.

#![expect(
    clippy::unwrap_used,
    reason = "a test that can't go on should say where it stopped"
)]

use std::{env, fmt, sync::Arc, time::Duration};

use jwt_server::{
    Auth, AuthError, Config,
    auth::{Credentials, DeviceClaim, IssuedToken, NewInvitation, Parts, PasswordChange, Reset, SetPassword},
    clock::{Clock, ManualClock, Timestamp},
    domain::{BearerToken, CodeLifetime, Password, RequestContext, Roles, TokenPolicy, UserChange, Username},
    event::{Actor, Listeners},
    store::{self, Store},
};
use proptest::{prelude::*, test_runner::FileFailurePersistence};
use secrecy::{ExposeSecret, SecretString};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const START: u64 = 1_800_000_000;
const NAMES: [&str; 3] = ["ada", "bob", "cyd"];
/// The most tokens of one session that are accepted at a time.
const MAX_ACCEPTED: usize = 32;
const TEMPORARY: &str = "a temporary password";
const OPERATOR: Actor = Actor::Operator { uid: None };

/// One thing that happens. The user or the token is a number, taken modulo how many there are.
#[derive(Clone, Debug)]
enum Step {
    SignUp(usize),
    SignIn {
        user: usize,
        right: bool,
    },
    Refresh(Pick),
    /// One refresh after the other, each of the token that the one before gave.
    RefreshAgainAndAgain(Pick, usize),
    /// Concurrent refreshes of the same token.
    RefreshAtOnce(Pick, usize),
    LogOut(Pick),
    LogOutAmidRefreshes(Pick),
    ChangePasswordAmidRefreshes(Pick),
    Disable(usize, bool),
    /// Makes an invitation that lasts for so many seconds.
    Invite(u64),
    SignUpInvited(usize, usize),
    /// Makes a reset code that lasts for so many seconds.
    MakeResetCode(usize, u64),
    GiveTemporaryPassword(usize),
    Reset(usize),
    ResetAtOnce(usize),
    Wait(Wait),
    Prune,
    Restart,
}

/// A token.
#[derive(Clone, Copy, Debug)]
enum Pick {
    /// One of the newest tokens, which are those in use.
    Newest(usize),
    Any(usize),
}

/// A step of the clock: some seconds, or to the next moment at which the model changes.
#[derive(Clone, Copy, Debug)]
enum Wait {
    Seconds(u64),
    /// To the second before, the second of, or the second after the next moment at which a token expires or its window opens.
    NextEdge(u64),
}

/// The settings of one run, in seconds.
#[derive(Clone, Copy, Debug)]
struct Rules {
    lifetime: u64,
    window: u64,
    grace: u64,
    max_lifetime: u64,
}

fn rules() -> impl Strategy<Value = Rules> {
    let window = |lifetime: u64| prop_oneof![Just(0), Just(lifetime), 0..=lifetime];
    let grace = |lifetime: u64| prop_oneof![Just(0), 1..=lifetime, lifetime..=3 * lifetime];
    let lifetime = prop_oneof![1..=4_u64, 5..=60_u64, Just(300)];
    lifetime.prop_flat_map(move |lifetime| {
        let max_lifetime = prop_oneof![1..=lifetime, lifetime..=20 * lifetime];
        (Just(lifetime), window(lifetime), grace(lifetime), max_lifetime).prop_map(
            |(lifetime, window, grace, max_lifetime)| Rules {
                lifetime,
                window,
                grace,
                max_lifetime,
            },
        )
    })
}

fn pick() -> impl Strategy<Value = Pick> {
    prop_oneof![3 => (0..3_usize).prop_map(Pick::Newest), 1 => any::<usize>().prop_map(Pick::Any)]
}

fn step() -> impl Strategy<Value = Step> {
    let user = 0..NAMES.len();
    let wait = prop_oneof![
        1 => (0..=400_u64).prop_map(Wait::Seconds),
        1 => (0..=3_u64).prop_map(Wait::Seconds),
        4 => (0..=2_u64).prop_map(Wait::NextEdge),
    ];
    prop_oneof![
        3 => user.clone().prop_map(Step::SignUp),
        6 => (user.clone(), prop::bool::weighted(0.9)).prop_map(|(user, right)| Step::SignIn { user, right }),
        10 => pick().prop_map(Step::Refresh),
        2 => (pick(), 2..40_usize).prop_map(|(token, times)| Step::RefreshAgainAndAgain(token, times)),
        2 => (pick(), 2..5_usize).prop_map(|(token, times)| Step::RefreshAtOnce(token, times)),
        2 => pick().prop_map(Step::LogOut),
        1 => pick().prop_map(Step::LogOutAmidRefreshes),
        1 => pick().prop_map(Step::ChangePasswordAmidRefreshes),
        2 => (user.clone(), any::<bool>()).prop_map(|(user, disabled)| Step::Disable(user, disabled)),
        1 => (1..=400_u64).prop_map(Step::Invite),
        2 => (0..4_usize, user.clone()).prop_map(|(code, user)| Step::SignUpInvited(code, user)),
        2 => (user.clone(), 1..=400_u64).prop_map(|(user, lasts)| Step::MakeResetCode(user, lasts)),
        1 => user.prop_map(Step::GiveTemporaryPassword),
        3 => (0..4_usize).prop_map(Step::Reset),
        1 => (0..4_usize).prop_map(Step::ResetAtOnce),
        12 => wait.prop_map(Step::Wait),
        1 => Just(Step::Prune),
        1 => Just(Step::Restart),
    ]
}

/// A token as the model has it.
struct Token {
    text: String,
    session: usize,
    expires_at: u64,
    /// The token that a refresh of this one gave, and when.
    successor: Option<(usize, u64)>,
}

/// A session as the model has it.
struct Session {
    user: usize,
    ends_at: u64,
    logged_out: bool,
    /// Whether the store still has it: a prune or a restart removes a session that has expired.
    kept: bool,
}

/// An invitation or a reset code as the model has it.
struct Code {
    text: SecretString,
    /// The user of a reset code; `None` for an invitation.
    user: Option<usize>,
    expires_at: u64,
    over: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Absent,
    In,
    Disabled,
}

/// What a refresh of a token should give.
#[derive(Debug, PartialEq, Eq)]
enum Expected {
    Refused,
    Same,
    Successor(usize),
    Minted,
}

struct Model {
    rules: Rules,
    now: u64,
    users: [Standing; NAMES.len()],
    /// Whose password is a temporary one.
    temporary: [bool; NAMES.len()],
    sessions: Vec<Session>,
    tokens: Vec<Token>,
    codes: Vec<Code>,
}

impl Model {
    fn new(rules: Rules) -> Self {
        Self {
            rules,
            now: START,
            users: [Standing::Absent; NAMES.len()],
            temporary: [false; NAMES.len()],
            sessions: Vec::new(),
            tokens: Vec::new(),
            codes: Vec::new(),
        }
    }

    /// The first second at which the token is refused, unless its session ends before.
    fn good_until(&self, token: &Token) -> u64 {
        let grace_ends = token.successor.map(|(_, at)| at + self.rules.grace);
        grace_ends.map_or(token.expires_at, |end| end.min(token.expires_at))
    }

    /// Whether the token is on the whitelist.
    fn is_good(&self, token: &Token) -> bool {
        !self.sessions[token.session].logged_out && self.now < self.good_until(token)
    }

    fn listed_in(&self, session: usize) -> usize {
        let of_it = |token: &&Token| token.session == session && self.is_good(token);
        self.tokens.iter().filter(of_it).count()
    }

    fn lasts_to_the_end(&self, token: &Token) -> bool {
        token.expires_at == self.sessions[token.session].ends_at
    }

    /// The first second at which a refresh mints a successor.
    fn window_opens(&self, token: &Token) -> u64 {
        if self.lasts_to_the_end(token) {
            token.expires_at
        } else {
            token.expires_at - self.rules.window
        }
    }

    fn refresh_of(&self, token: usize) -> Expected {
        let token = &self.tokens[token];
        if !self.is_good(token) {
            Expected::Refused
        } else if let Some((successor, _)) = token.successor {
            Expected::Successor(successor)
        } else if self.now < self.window_opens(token) || self.listed_in(token.session) >= MAX_ACCEPTED {
            Expected::Same
        } else {
            Expected::Minted
        }
    }

    fn sign_in(&mut self, user: usize, text: String) {
        self.sessions.push(Session {
            user,
            ends_at: self.now + self.rules.max_lifetime,
            logged_out: false,
            kept: true,
        });
        self.issue(self.sessions.len() - 1, text);
    }

    fn issue(&mut self, session: usize, text: String) -> usize {
        let expires_at = (self.now + self.rules.lifetime).min(self.sessions[session].ends_at);
        self.tokens.push(Token {
            text,
            session,
            expires_at,
            successor: None,
        });
        self.tokens.len() - 1
    }

    fn log_out(&mut self, token: usize) {
        let session = &mut self.sessions[self.tokens[token].session];
        session.logged_out = true;
        session.kept = false;
    }

    fn end_sessions_of(&mut self, user: usize) {
        for session in self.sessions.iter_mut().filter(|session| session.user == user) {
            session.logged_out = true;
            session.kept = false;
        }
    }

    /// Ends every reset code of the user.
    fn end_codes_of(&mut self, user: usize) {
        for code in self.codes.iter_mut().filter(|code| code.user == Some(user)) {
            code.over = true;
        }
    }

    fn add_code(&mut self, text: SecretString, user: Option<usize>, lasts: u64) {
        if let Some(user) = user {
            self.end_codes_of(user);
        }
        self.codes.push(Code {
            text,
            user,
            expires_at: self.now + lasts,
            over: false,
        });
    }

    /// Whether the code is accepted for what it is for.
    fn is_accepted(&self, code: &Code) -> bool {
        !code.over && self.now < code.expires_at
    }

    /// The `back`th of the newest invitations, or of the newest reset codes.
    fn pick_code(&self, back: usize, is_reset: bool) -> Option<usize> {
        let codes = (0..self.codes.len()).rev();
        codes
            .filter(|code| self.codes[*code].user.is_some() == is_reset)
            .nth(back)
    }

    /// Removes the sessions that have expired, and returns how many.
    fn prune(&mut self) -> usize {
        let gone: Vec<_> = (0..self.sessions.len())
            .filter(|session| self.sessions[*session].kept && self.listed_in(*session) == 0)
            .collect();
        for session in &gone {
            self.sessions[*session].kept = false;
        }
        gone.len()
    }

    /// The next second after this one at which a token expires or its window opens.
    fn next_edge(&self) -> Option<u64> {
        let listed = self.tokens.iter().filter(|token| self.is_good(token));
        let edges = listed.flat_map(|token| [self.window_opens(token), self.good_until(token)]);
        let codes = self.codes.iter().filter(|code| !code.over);
        let edges = edges.chain(codes.map(|code| code.expires_at));
        edges.filter(|edge| *edge > self.now).min()
    }

    fn pick(&self, pick: Pick) -> Option<usize> {
        let last = self.tokens.len().checked_sub(1)?;
        Some(match pick {
            Pick::Newest(back) => last.saturating_sub(back),
            Pick::Any(n) => n % self.tokens.len(),
        })
    }
}

/// The server beside the model.
struct World {
    model: Model,
    server: Option<(Auth, Arc<dyn Store>)>,
    clock: Arc<ManualClock>,
    config: Config,
    runtime: Runtime,
    _directory: TempDir,
}

/// Two refreshes of one token, one after the other.
async fn refresh_twice(
    auth: &Auth,
    token: &BearerToken,
) -> (Result<IssuedToken, AuthError>, Result<IssuedToken, AuthError>) {
    let first = auth.refresh(token).await;
    (first, auth.refresh(token).await)
}

async fn log_out(auth: &Auth, token: &BearerToken) -> Result<(), AuthError> {
    let user = auth.authenticate(token).await?.signed_in()?;
    auth.log_out(&user, &RequestContext::default()).await
}

async fn change_password(auth: &Auth, token: &BearerToken, user: usize) -> Result<IssuedToken, AuthError> {
    let signed_in = auth.authenticate(token).await?.signed_in()?;
    let change = PasswordChange {
        current: password_text(user).into(),
        new: password(user),
        keeps_api_tokens: false,
        device: DeviceClaim::default(),
    };
    auth.change_password(&signed_in, change, &RequestContext::default())
        .await
}

impl World {
    fn new(rules: Rules) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.store.path = directory.path().join("data");
        config.store.cache = 1 << 20;
        config.password.bcrypt_cost = 4;
        // The throttle is tested in `api::throttle`.
        config.throttle.account_failures = 100;
        config.password.hash_threads = 2;
        config.password.min_strength = 0;
        config.session.max_lifetime = Duration::from_secs(rules.max_lifetime);
        config.token.policy = TokenPolicy {
            lifetime: Duration::from_secs(rules.lifetime),
            refresh_window: Duration::from_secs(rules.window),
            refresh_grace: Duration::from_secs(rules.grace),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let mut world = Self {
            model: Model::new(rules),
            server: None,
            clock: Arc::new(ManualClock::new(Timestamp::from_secs(START))),
            config,
            runtime: runtime.unwrap(),
            _directory: directory,
        };
        world.start();
        world
    }

    fn start(&mut self) {
        self.server = None;
        let store = store::open(&self.config.store, self.clock.now(), Listeners::default());
        let store = self.runtime.block_on(store).unwrap();
        let auth = Auth::new(
            &self.config,
            Parts::new(Arc::clone(&store), Arc::clone(&self.clock) as _),
        );
        let auth = self.runtime.block_on(auth).unwrap();
        self.server = Some((auth, store));
    }

    fn auth(&self) -> &Auth {
        &self.server.as_ref().unwrap().0
    }

    fn store(&self) -> &dyn Store {
        self.server.as_ref().unwrap().1.as_ref()
    }

    fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match *step {
            Step::SignUp(user) => self.sign_up(user),
            Step::SignIn { user, right } => self.sign_in(user, right),
            Step::Disable(user, disabled) => {
                self.disable(user, disabled);
                Ok(())
            }
            Step::Invite(lasts) => {
                self.invite(lasts);
                Ok(())
            }
            Step::SignUpInvited(code, user) => self.sign_up_invited(code, user),
            Step::MakeResetCode(user, lasts) => self.make_reset_code(user, lasts),
            Step::GiveTemporaryPassword(user) => {
                self.give_temporary_password(user);
                Ok(())
            }
            Step::Reset(code) => self.reset(code, 1),
            Step::ResetAtOnce(code) => self.reset(code, 3),
            Step::Wait(wait) => {
                self.wait(wait);
                Ok(())
            }
            Step::Prune => self.prune(),
            Step::Restart => {
                self.model.prune();
                self.start();
                Ok(())
            }
            Step::Refresh(pick) => self.refresh(pick, 1),
            Step::RefreshAgainAndAgain(pick, times) => self.refresh(pick, times),
            Step::RefreshAtOnce(pick, times) => self.refresh_at_once(pick, times),
            Step::LogOut(pick) => self.log_out(pick),
            Step::LogOutAmidRefreshes(pick) => self.log_out_amid_refreshes(pick),
            Step::ChangePasswordAmidRefreshes(pick) => self.change_password_amid_refreshes(pick),
        }
    }

    fn sign_up(&mut self, user: usize) -> Result<(), TestCaseError> {
        let added = self.runtime.block_on(self.auth().sign_up(
            name(user),
            password(user),
            &RequestContext::default(),
        ));
        if self.model.users[user] == Standing::Absent {
            prop_assert!(added.is_ok(), "{added:?}");
            self.model.users[user] = Standing::In;
        } else {
            prop_assert!(matches!(added, Err(AuthError::UsernameTaken)), "{added:?}");
        }
        Ok(())
    }

    fn sign_in(&mut self, user: usize, right: bool) -> Result<(), TestCaseError> {
        let word = match right {
            true if self.model.temporary[user] => TEMPORARY.to_owned(),
            true => password_text(user),
            false => "not the password".into(),
        };
        let claimed = Credentials::new(NAMES[user], word.into());
        let answer = self
            .runtime
            .block_on(self.auth().sign_in(claimed, &RequestContext::default()));
        match self.model.users[user] {
            Standing::In if right && self.model.temporary[user] => {
                let Err(AuthError::PasswordChangeRequired { code, expires_in, .. }) = answer else {
                    return Err(TestCaseError::fail(format!("{answer:?}")));
                };
                self.model.add_code(code, Some(user), expires_in.as_secs());
                prop_assert_eq!(expires_in.as_secs(), 900);
                Ok(())
            }
            Standing::In if right => {
                let issued = answer.map_err(|error| refused(&error))?;
                prop_assert!(issued.refreshed);
                self.model.sign_in(user, issued.token.expose_secret().to_owned());
                self.check_times(&issued, self.model.tokens.len() - 1)
            }
            Standing::Disabled if right => {
                prop_assert!(matches!(answer, Err(AuthError::AccountDisabled(_))), "{answer:?}");
                Ok(())
            }
            _ => {
                prop_assert!(
                    matches!(answer, Err(AuthError::InvalidCredentials(_))),
                    "{answer:?}"
                );
                Ok(())
            }
        }
    }

    fn disable(&mut self, user: usize, disabled: bool) {
        if self.model.users[user] == Standing::Absent {
            return;
        }
        self.runtime.block_on(async {
            let store = self.store();
            let id = store.user_by_name(&name(user)).await.unwrap().unwrap().id;
            let changed = store.change_user(id, UserChange::Disabled(disabled)).await;
            assert!(changed.unwrap().changed().is_some());
        });
        if disabled {
            self.model.end_sessions_of(user);
            self.model.end_codes_of(user);
        }
        self.model.users[user] = if disabled {
            Standing::Disabled
        } else {
            Standing::In
        };
    }

    fn invite(&mut self, lasts: u64) {
        let wanted = NewInvitation {
            roles: Roles::default(),
            username: None,
            lifetime: lifetime(lasts),
        };
        let context = RequestContext::default();
        let made = self.auth().accounts().invite(wanted, OPERATOR, &context);
        let made = self.runtime.block_on(made).unwrap();
        self.model.add_code(made.text, None, lasts);
    }

    fn sign_up_invited(&mut self, back: usize, user: usize) -> Result<(), TestCaseError> {
        let Some(code) = self.model.pick_code(back, false) else {
            return Ok(());
        };
        let (text, context) = (self.model.codes[code].text.clone(), RequestContext::default());
        let signed_up = self
            .auth()
            .sign_up_invited(&text, name(user), password(user), &context);
        let signed_up = self.runtime.block_on(signed_up);
        if !self.model.is_accepted(&self.model.codes[code]) {
            prop_assert!(
                matches!(signed_up, Err(AuthError::InvitationRefused)),
                "{signed_up:?}"
            );
        } else if self.model.users[user] == Standing::Absent {
            prop_assert!(signed_up.is_ok(), "{signed_up:?}");
            self.model.users[user] = Standing::In;
            self.model.codes[code].over = true;
        } else {
            prop_assert!(
                matches!(signed_up, Err(AuthError::UsernameTaken)),
                "{signed_up:?}"
            );
        }
        Ok(())
    }

    fn make_reset_code(&mut self, user: usize, lasts: u64) -> Result<(), TestCaseError> {
        if self.model.users[user] == Standing::Absent {
            return Ok(());
        }
        let made = self.runtime.block_on(async {
            let id = self.store().user_by_name(&name(user)).await.unwrap().unwrap().id;
            let (accounts, context) = (self.auth().accounts(), RequestContext::default());
            accounts
                .make_reset_code(id, lifetime(lasts), OPERATOR, &context)
                .await
        });
        if self.model.users[user] == Standing::Disabled {
            prop_assert!(matches!(made, Err(AuthError::UserDisabled(_))), "{made:?}");
        } else {
            let made = made.map_err(|error| refused(&error))?.unwrap();
            self.model.add_code(made.text, Some(user), lasts);
        }
        Ok(())
    }

    fn give_temporary_password(&mut self, user: usize) {
        if self.model.users[user] == Standing::Absent {
            return;
        }
        self.runtime.block_on(async {
            let user = self.store().user_by_name(&name(user)).await.unwrap().unwrap();
            let password = SetPassword {
                password: Password::parse(TEMPORARY.into()).unwrap(),
                must_change: true,
                keeps_api_tokens: false,
            };
            let (accounts, context) = (self.auth().accounts(), RequestContext::default());
            let set = accounts.set_password(&user, password, OPERATOR, &context).await;
            assert!(set.unwrap().is_some());
        });
        self.model.temporary[user] = true;
        self.model.end_sessions_of(user);
        self.model.end_codes_of(user);
    }

    /// Uses a reset code so many times at once. At most one use changes the password.
    fn reset(&mut self, back: usize, times: usize) -> Result<(), TestCaseError> {
        let Some(code) = self.model.pick_code(back, true) else {
            return Ok(());
        };
        let user = self.model.codes[code].user.unwrap();
        let context = RequestContext::default();
        let reset = || Reset {
            code: self.model.codes[code].text.clone(),
            new: password(user),
            device: DeviceClaim::default(),
        };
        let resets = (0..times).map(|_| self.auth().reset_password(reset(), &context));
        let answers = self.runtime.block_on(futures_util::future::join_all(resets));
        let (mut done, failed): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
        for answer in failed {
            prop_assert!(matches!(answer, Err(AuthError::ResetCodeRefused)), "{answer:?}");
        }
        let accepted = self.model.is_accepted(&self.model.codes[code]);
        prop_assert_eq!(done.len(), usize::from(accepted));
        if let Some(Ok(issued)) = done.pop() {
            self.model.end_sessions_of(user);
            self.model.end_codes_of(user);
            self.model.temporary[user] = false;
            self.model.sign_in(user, issued.token.expose_secret().to_owned());
            self.check_times(&issued, self.model.tokens.len() - 1)?;
        }
        Ok(())
    }

    fn wait(&mut self, wait: Wait) {
        let span = match wait {
            Wait::Seconds(span) => span,
            Wait::NextEdge(beyond) => match self.model.next_edge() {
                Some(edge) => (edge + beyond - 1).saturating_sub(self.model.now),
                None => beyond,
            },
        };
        self.clock.advance(Duration::from_secs(span));
        self.model.now += span;
    }

    fn prune(&mut self) -> Result<(), TestCaseError> {
        let pruned = self.runtime.block_on(self.auth().prune()).unwrap();
        prop_assert_eq!(pruned, self.model.prune());
        Ok(())
    }

    fn refresh(&mut self, pick: Pick, times: usize) -> Result<(), TestCaseError> {
        let Some(mut token) = self.model.pick(pick) else {
            return Ok(());
        };
        for _ in 0..times {
            let answer = self.runtime.block_on(self.auth().refresh(&self.bearer(token)));
            let Some(next) = self.settle(token, answer)? else {
                break;
            };
            token = next;
        }
        Ok(())
    }

    /// All get the same token, and at most one refresh minted it.
    fn refresh_at_once(&mut self, pick: Pick, times: usize) -> Result<(), TestCaseError> {
        let Some(token) = self.model.pick(pick) else {
            return Ok(());
        };
        let bearer = self.bearer(token);
        let answers = self.runtime.block_on(futures_util::future::join_all(
            (0..times).map(|_| self.auth().refresh(&bearer)),
        ));
        if self.model.rules.grace == 0 && self.model.refresh_of(token) == Expected::Minted {
            // Without a grace the first refresh ends the token, and the others come too late.
            return self.settle_without_grace(token, answers);
        }
        let (mut minting, others): (Vec<_>, Vec<_>) = answers
            .into_iter()
            .partition(|answer| answer.as_ref().is_ok_and(|issued| issued.refreshed));
        prop_assert!(
            minting.len() <= 1,
            "{} refreshes minted a successor",
            minting.len()
        );
        for answer in minting.drain(..).chain(others) {
            self.settle(token, answer)?;
        }
        Ok(())
    }

    fn settle_without_grace(
        &mut self,
        token: usize,
        answers: Vec<Result<IssuedToken, AuthError>>,
    ) -> Result<(), TestCaseError> {
        let (made, late): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
        prop_assert_eq!(made.len(), 1);
        for answer in made.into_iter().chain(late) {
            self.settle(token, answer)?;
        }
        Ok(())
    }

    /// Compares the answer to a refresh of `token` with the model, and returns the token that the answer gave.
    fn settle(
        &mut self,
        token: usize,
        answer: Result<IssuedToken, AuthError>,
    ) -> Result<Option<usize>, TestCaseError> {
        let expected = self.model.refresh_of(token);
        if expected == Expected::Refused {
            prop_assert!(matches!(answer, Err(AuthError::TokenRefused(_))), "{answer:?}");
            return Ok(None);
        }
        let issued = answer.map_err(|error| refused(&error))?;
        let text = issued.token.expose_secret();
        prop_assert_eq!(issued.refreshed, expected == Expected::Minted, "{:?}", expected);
        let given = match expected {
            Expected::Refused => return Ok(None),
            Expected::Same => token,
            Expected::Successor(successor) => successor,
            Expected::Minted => {
                prop_assert!(self.model.tokens.iter().all(|known| known.text != text));
                let successor = self
                    .model
                    .issue(self.model.tokens[token].session, text.to_owned());
                self.model.tokens[token].successor = Some((successor, self.model.now));
                successor
            }
        };
        // A token's text depends on its claims and its key alone, so the same token has the same text.
        prop_assert_eq!(text, &self.model.tokens[given].text, "{:?}", expected);
        self.check_times(&issued, given)?;
        Ok(Some(given))
    }

    fn check_times(&self, issued: &IssuedToken, token: usize) -> Result<(), TestCaseError> {
        let token = &self.model.tokens[token];
        let opens = self.model.window_opens(token);
        prop_assert_eq!(issued.expires_in.as_secs(), token.expires_at - self.model.now);
        prop_assert_eq!(issued.refresh_in.as_secs(), opens.saturating_sub(self.model.now));
        Ok(())
    }

    fn log_out(&mut self, pick: Pick) -> Result<(), TestCaseError> {
        let Some(token) = self.model.pick(pick) else {
            return Ok(());
        };
        let answer = self.runtime.block_on(log_out(self.auth(), &self.bearer(token)));
        prop_assert_eq!(answer.is_ok(), self.model.is_good(&self.model.tokens[token]));
        if answer.is_ok() {
            self.model.log_out(token);
        }
        Ok(())
    }

    /// Once the log-out has been answered the session has ended, whatever the refreshes gave.
    fn log_out_amid_refreshes(&mut self, pick: Pick) -> Result<(), TestCaseError> {
        let Some(token) = self.model.pick(pick) else {
            return Ok(());
        };
        let bearer = self.bearer(token);
        let auth = self.auth();
        let (given, answer) = self
            .runtime
            .block_on(async { tokio::join!(refresh_twice(auth, &bearer), log_out(auth, &bearer),) });
        let good = self.model.is_good(&self.model.tokens[token]);
        if !good {
            prop_assert!(answer.is_err());
            return Ok(());
        }
        // Without a grace, a refresh may end the token before the log-out comes. Then the session goes on.
        if self.model.rules.grace == 0 && answer.is_err() {
            self.settle(token, given.0)?;
            return Ok(());
        }
        prop_assert!(answer.is_ok(), "{answer:?}");
        let session = self.model.tokens[token].session;
        for issued in [given.0, given.1].into_iter().flatten() {
            self.model.issue(session, issued.token.expose_secret().to_owned());
        }
        self.model.log_out(token);
        Ok(())
    }

    /// Once the new password has been answered, its own session is the only one, whatever the refreshes gave.
    fn change_password_amid_refreshes(&mut self, pick: Pick) -> Result<(), TestCaseError> {
        let Some(token) = self.model.pick(pick) else {
            return Ok(());
        };
        let session = self.model.tokens[token].session;
        let user = self.model.sessions[session].user;
        let bearer = self.bearer(token);
        let auth = self.auth();
        let (given, answer) = self.runtime.block_on(async {
            tokio::join!(refresh_twice(auth, &bearer), change_password(auth, &bearer, user),)
        });
        if !self.model.is_good(&self.model.tokens[token]) {
            prop_assert!(answer.is_err());
            return Ok(());
        }
        // Without a grace, a refresh may end the token before the new password comes. Then the session goes on.
        if self.model.rules.grace == 0 && answer.is_err() {
            self.settle(token, given.0)?;
            return Ok(());
        }
        let changed = answer.map_err(|error| refused(&error))?;
        prop_assert!(changed.refreshed);
        for issued in [given.0, given.1].into_iter().flatten() {
            self.model.issue(session, issued.token.expose_secret().to_owned());
        }
        self.model.end_sessions_of(user);
        self.model.end_codes_of(user);
        self.model.sign_in(user, changed.token.expose_secret().to_owned());
        self.check_times(&changed, self.model.tokens.len() - 1)
    }

    fn bearer(&self, token: usize) -> BearerToken {
        BearerToken::parse(&self.model.tokens[token].text).unwrap()
    }

    /// Every token that was ever issued is accepted exactly if the model says so, and speaks for the right user.
    fn check(&self) -> Result<(), TestCaseError> {
        let model = &self.model;
        for (n, token) in model.tokens.iter().enumerate() {
            let answer = self.runtime.block_on(self.auth().authenticate(&self.bearer(n)));
            let user = model.sessions[token.session].user;
            if model.is_good(token) {
                let principal = answer.map_err(|error| refused(&error))?;
                prop_assert_eq!(principal.username().as_str(), NAMES[user]);
                prop_assert_eq!(principal.expires_at().as_secs(), token.expires_at);
                continue;
            }
            prop_assert!(
                answer.is_err(),
                "token {n} should be refused at {}: {model}",
                model.now
            );
        }
        let count = self.runtime.block_on(self.auth().count()).unwrap();
        let users = model.users.iter().filter(|user| **user != Standing::Absent);
        let sessions = model.sessions.iter().filter(|session| session.kept);
        prop_assert_eq!(usize::try_from(count.users).unwrap(), users.count());
        prop_assert_eq!(count.sessions, Some(sessions.count()));
        Ok(())
    }
}

/// The tokens, for the message of a failed comparison.
impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, token) in self.tokens.iter().enumerate() {
            let (session, ends, good) = (token.session, token.expires_at, self.good_until(token));
            write!(
                f,
                "\n  token {n}: session {session}, exp {ends}, good until {good}"
            )?;
        }
        Ok(())
    }
}

fn name(user: usize) -> Username {
    Username::parse(NAMES[user]).unwrap()
}

fn password_text(user: usize) -> String {
    format!("a password of {}", NAMES[user])
}

fn password(user: usize) -> Password {
    Password::parse(password_text(user).into()).unwrap()
}

fn lifetime(seconds: u64) -> CodeLifetime {
    CodeLifetime::within(Duration::from_secs(seconds), CodeLifetime::LONGEST_RESET).unwrap()
}

fn refused(error: &AuthError) -> TestCaseError {
    TestCaseError::fail(format!("the model grants this, the server says: {error}"))
}

/// Few enough cases for every run of the tests.
fn settings() -> ProptestConfig {
    let given = ProptestConfig::default();
    ProptestConfig {
        cases: if env::var_os("PROPTEST_CASES").is_some() {
            given.cases
        } else {
            40
        },
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(
            "tests/model.regressions",
        ))),
        ..given
    }
}

proptest! {
    #![proptest_config(settings())]

    #[test]
    fn random_steps_of_sessions_follow_the_rules(
        rules in rules(),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut world = World::new(rules);
        // Without a user who has signed in, most runs would have no token.
        world.take(&Step::SignUp(0))?;
        world.take(&Step::SignIn { user: 0, right: true })?;
        for step in &steps {
            world.take(step)?;
            world.check()?;
        }
    }
}

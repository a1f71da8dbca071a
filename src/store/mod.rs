//! What the server remembers, behind one trait. Each method is one transaction, except where it says otherwise: it
//! happens whole or not at all, and when a writing one has answered, what it wrote outlives the process and the power.
//!
//! "Not found" is `None` and "taken" is an outcome; a [`StoreError`] means that something broke. No method assumes that
//! this process is the only one, and none holds a transaction open across calls, so a networked database fits behind
//! the same trait and the same contract tests (`tests/store_contract`).

mod sled;

pub use self::sled::{OpenError, SledStore, is_opening};

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use secrecy::SecretSlice;

use crate::{
    clock::Timestamp,
    domain::{
        ApiToken, ApiTokenHash, ApiTokenId, Attempts, KeyRing, Network, PasswordHash, Refresh,
        RefreshTokenOutcome, Session, SessionId, SharedUser, TokenId, TokenPolicy, TokenRecord, User,
        UserChange, UserId, Username,
    },
};

/// From how many networks at the most it is known that a user signed in from there.
pub const MAX_NETWORKS: usize = 64;

/// Where users, sessions, API tokens and the signing keys are kept.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Adds `user`, who signed up from `network` if that is known, unless somebody has the username.
    ///
    /// # Errors
    /// [`StoreError`], after which the user may or may not be there.
    async fn create_user(&self, user: User, network: Option<Network>) -> Result<UserCreation, StoreError>;

    /// The user who signs in as `name`.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn user_by_name(&self, name: &Username) -> Result<Option<Arc<User>>, StoreError>;

    /// Changes one user and returns them as they are now; `None` if there is no such user. It holds for every live token of
    /// theirs at once; another password ends every session and every API token of theirs.
    ///
    /// # Errors
    /// [`StoreError`], after which the change may or may not be there.
    async fn change_user(&self, id: UserId, change: UserChange) -> Result<Option<Arc<User>>, StoreError>;

    /// Gives a user another password, ends their sessions and API tokens except what is `kept`, and returns them as they are
    /// now. `None`, and nothing is changed, if the user is gone, or has another password by now than the one of version `verified`.
    ///
    /// # Errors
    /// [`StoreError`], after which the change may or may not be there, whole.
    async fn change_password(
        &self,
        id: UserId,
        verified: u32,
        to: PasswordHash,
        kept: Kept,
    ) -> Result<Option<Arc<User>>, StoreError>;

    /// Removes a user with all that is theirs: every session and API token ends, and the username is free. `false`, and nothing is changed,
    /// if the user is gone, or `verified` is not the version of their password.
    ///
    /// # Errors
    /// [`StoreError`], after which the user may or may not be there, whole.
    async fn delete_user(&self, id: UserId, verified: u32) -> Result<bool, StoreError>;

    /// Starts `session`, and returns its user as they are now. `None`, and nothing is written, if the user is gone, is
    /// disabled, or has another password by now than the one of version `verified`: checking one takes long enough for that.
    /// Of more than `at_most` live sessions of theirs the oldest end.
    ///
    /// # Errors
    /// [`StoreError`], after which the session may or may not be there.
    async fn open_session(
        &self,
        session: Session,
        verified: u32,
        at_most: usize,
    ) -> Result<Option<Arc<User>>, StoreError>;

    /// The live sessions of `user` at `now`, oldest first, with the moment of their last use: an implementation may have that
    /// in memory alone and forget it in a restart.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn sessions(&self, user: UserId, now: Timestamp) -> Result<Vec<Session>, StoreError>;

    /// Who the token named `token` of `session` speaks for; `None` unless the whitelist has it at `now`. This is asked
    /// at every request, unless there is a [`live_session`](Self::live_session): an implementation answers it from memory, as
    /// soon as it has its sessions there.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn accepted(
        &self,
        session: SessionId,
        token: TokenId,
        now: Timestamp,
    ) -> Result<Option<Accepted>, StoreError>;

    /// The session, to be asked again and again without being looked for. `None` if there is no such session, or if the
    /// implementation does not have it in memory: then [`accepted`](Self::accepted) is to be asked. Whoever has it may keep it
    /// for as long as they like.
    fn live_session(&self, _session: SessionId) -> Option<Arc<dyn LiveSession>> {
        None
    }

    /// Refreshes the token named `token` of `session` by the rules of [`Session::refresh`].
    ///
    /// # Errors
    /// [`StoreError`], after which the token may or may not have a successor: asking again gives the same one.
    async fn refresh(
        &self,
        session: SessionId,
        token: TokenId,
        policy: TokenPolicy,
        now: Timestamp,
    ) -> Result<Refresh, StoreError>;

    /// Uses the refresh token of this `generation` of `session` by the rules of [`Session::rotate`]; refused as well if the
    /// session's user is gone or disabled. One that is used again ends the session.
    ///
    /// # Errors
    /// [`StoreError`], after which the token may or may not be spent: asking again gives the same successor.
    async fn rotate(
        &self,
        session: SessionId,
        generation: u32,
        policy: TokenPolicy,
        lifetime: Duration,
        now: Timestamp,
    ) -> Result<RefreshTokenOutcome, StoreError>;

    /// Ends the sessions and API tokens of `user` except what is `kept`, and returns how many did.
    ///
    /// # Errors
    /// [`StoreError`], after which they may or may not have ended, all of them.
    async fn close_sessions(&self, user: UserId, kept: Kept) -> Result<usize, StoreError>;

    /// Ends `session` with all its tokens, and returns whose it was; `None` if it is not there (any more). Anybody may ask for
    /// that with an old token again and again, so an implementation answers it without a write.
    ///
    /// # Errors
    /// [`StoreError`], after which the session may or may not have ended.
    async fn close_session(&self, session: SessionId) -> Result<Option<UserId>, StoreError>;

    /// Forgets up to `at_most` sessions none of whose tokens is accepted at `now`, and API tokens that have expired; returns how
    /// many.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn prune(&self, now: Timestamp, at_most: usize) -> Result<usize, StoreError>;

    /// Adds an API token, unless `session` is no live one of its user's (any more), or its user is disabled, or has `at_most`
    /// API tokens that are good. None goes for it: a service would stand still.
    ///
    /// # Errors
    /// [`StoreError`], after which the token may or may not be there.
    async fn create_api_token(
        &self,
        token: ApiToken,
        session: SessionId,
        at_most: usize,
    ) -> Result<ApiTokenCreation, StoreError>;

    /// Who the API token whose text has this `hash` speaks for; `None` unless it is good at `now`. This is asked at every
    /// request: an implementation answers it from memory. It is a use of the token, unless its user is disabled.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn api_token_accepted(
        &self,
        hash: ApiTokenHash,
        now: Timestamp,
    ) -> Result<Option<AcceptedApiToken>, StoreError>;

    /// The API tokens of `user` that are good at `now`, oldest first, with the moment of their last use.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn api_tokens(&self, user: UserId, now: Timestamp) -> Result<Vec<ApiToken>, StoreError>;

    /// Revokes an API token of `user`; `false` if they have no such token.
    ///
    /// # Errors
    /// [`StoreError`], after which the token may or may not be revoked.
    async fn remove_api_token(&self, user: UserId, id: ApiTokenId) -> Result<bool, StoreError>;

    /// Writes down when up to `at_most` API tokens were used last, and returns of how many. An implementation may have that in
    /// memory alone until then, and need not write what would move a last use by less than an hour: so it costs no write a
    /// request.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn keep_api_token_uses(&self, at_most: usize) -> Result<usize, StoreError>;

    /// The key that refresh tokens are made with: the one that is kept, else `fresh`, which is kept from now on.
    ///
    /// # Errors
    /// [`StoreError`], after which `fresh` may or may not be kept.
    async fn refresh_key(&self, fresh: SecretSlice<u8>) -> Result<SecretSlice<u8>, StoreError>;

    /// The keys that tokens are signed with, as they were last kept: none before the first start.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn key_ring(&self) -> Result<StoredRing, StoreError>;

    /// Keeps these keys in place of those of the revision `instead_of`, unless somebody has kept others since. Until it has
    /// answered, no key of theirs may sign.
    ///
    /// # Errors
    /// [`StoreError`], after which the old keys or the new ones may be kept.
    async fn keep_key_ring(
        &self,
        keys: KeyRing<KeyMaterial>,
        instead_of: u64,
    ) -> Result<KeyRingUpdate, StoreError>;

    /// Ends every session, in one or several transactions, and returns how many: for keys whose tokens are good no more. Then
    /// forgets the key of refresh tokens, which may have been copied with them. API tokens, which no key signs, stay.
    ///
    /// # Errors
    /// [`StoreError`], after which some may have ended.
    async fn close_every_session(&self) -> Result<usize, StoreError>;

    /// When `user` last signed in or signed up from `network`, if that was noted.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn last_sign_in(&self, user: UserId, network: Network) -> Result<Option<Timestamp>, StoreError>;

    /// Notes that `user`, if they are still there, signed in from `network`. Of more than [`MAX_NETWORKS`] a user the one noted
    /// longest ago is forgotten.
    ///
    /// # Errors
    /// [`StoreError`], after which it may or may not be noted.
    async fn note_sign_in(&self, user: UserId, network: Network, now: Timestamp) -> Result<(), StoreError>;

    /// What is remembered of failed attempts; `None` if nothing ever was.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn attempts(&self) -> Result<Option<KeptAttempts>, StoreError>;

    /// Remembers what has changed of failed attempts: a place at which there is nothing any more is forgotten.
    ///
    /// # Errors
    /// [`StoreError`], after which it may or may not be remembered.
    async fn keep_attempts(&self, changed: KeptAttempts) -> Result<(), StoreError>;

    /// How many users and live sessions there are.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn count(&self) -> Result<Count, StoreError>;
}

/// A session that a store has in memory, together with its user.
pub trait LiveSession: Send + Sync + 'static {
    /// What [`Store::accepted`] says of its token named `token`. Once a write that takes something back is answered, this does
    /// not grant it any more.
    ///
    /// # Errors
    /// [`Outdated`], once the session has ended or its user has changed: the store says what is true now.
    fn accepted(self: Arc<Self>, token: TokenId, now: Timestamp) -> Result<Option<Accepted>, Outdated>;

    /// Whether it would say that it is [`Outdated`].
    fn is_outdated(&self) -> bool;

    /// Hears that it is most likely to be asked next: what has to be waited for can be sent for now. It need do nothing.
    fn approach(&self) {}
}

/// What was kept of the store's memory is not a part of it any more, and never will be again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outdated;

/// What became of a new user.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserCreation {
    /// They are in.
    Created,
    /// Somebody else has the username; nothing was changed.
    UsernameTaken,
}

/// Who an accepted token speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The user as they are now.
    pub user: SharedUser,
    /// The token as the whitelist has it.
    pub token: TokenRecord,
    /// When the token's session ends.
    pub session_ends_at: Timestamp,
}

/// What stays of a user's when all else ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// This session.
    pub session: Option<SessionId>,
    /// Every API token.
    pub api_tokens: bool,
}

/// What became of a new API token.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiTokenCreation {
    /// It is good.
    Created,
    /// The session that asked for it is no live one of its user's, who may be disabled or gone; nothing was changed.
    SessionOver,
    /// The user has as many as one may have; nothing was changed.
    TooMany,
}

/// Who an API token speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedApiToken {
    /// The user as they are now.
    pub user: SharedUser,
    /// The token, without the uses since it was loaded.
    pub token: Arc<ApiToken>,
}

/// The signing keys, as they are kept.
#[derive(Clone, Debug, Default)]
pub struct StoredRing {
    /// Counts how often they have changed.
    pub revision: u64,
    /// The keys.
    pub keys: KeyRing<KeyMaterial>,
}

/// What is kept of a signing key, beside its times.
#[derive(Clone, Debug)]
pub struct KeyMaterial {
    /// The private key, if this server made it: a secret, or a key in the form of PKCS #8. `None` if it comes from the
    /// settings at every start.
    pub private: Option<SecretSlice<u8>>,
    /// Tells whether a key is still the same, and is no secret. Of a secret: what it makes of a fixed text. Of a key pair: its
    /// public half, as a JSON Web Key.
    pub mark: String,
}

/// What became of new signing keys.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRingUpdate {
    /// They are kept, as this revision.
    Kept(u64),
    /// Somebody else kept others; nothing was changed.
    ChangedMeanwhile,
}

/// What is remembered of failed attempts, at numbered places that a keyed hash of their subject picks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptAttempts {
    /// The key of that hash.
    pub hash_key: [u8; 16],
    /// The places, and what is there.
    pub places: Vec<(u32, Attempts)>,
}

/// How much there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Users, disabled ones included.
    pub users: u64,
    /// Sessions that have not been ended or pruned, unless the store has just been opened and does not know yet.
    pub sessions: Option<usize>,
}

/// The store broke. The cause goes to the log, never to a client.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The database could not read or write.
    #[error("the database failed: {0}")]
    Failed(Arc<dyn std::error::Error + Send + Sync>),
    /// A record is there but makes no sense.
    #[error("the database has a record that can't be read: {0}")]
    Unreadable(String),
    /// There is no room on the store's disk, or it can't be written. What is in memory goes on being answered; reads and
    /// writes of the database are refused until there is room, which the store finds out by itself.
    #[error("the database is not read or written until there is room on its disk")]
    NoRoom,
    /// The store takes no writes any more: its writing thread has ended, after an error that is in the log.
    #[error("the database takes no writes until the server is restarted")]
    Closed,
}

impl StoreError {
    /// Wraps what a backend said.
    pub fn failed(cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Failed(Arc::new(cause))
    }

    /// Whether this is how things have been since a moment that is in the log: whom it meets has nothing to add there.
    #[must_use]
    pub fn is_logged(&self) -> bool {
        matches!(self, Self::NoRoom | Self::Closed)
    }
}

//! What a store does for sessions: it keeps the whitelist, answers the token check, and applies the rules of refresh and
//! log-out, which are the domain's.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use super::error::StoreError;
use crate::{
    clock::Timestamp,
    domain::{
        DeviceSignIn, Network, Refresh, RefreshTokenOutcome, Session, SessionId, SharedUser, TokenId,
        TokenPolicy, TokenRecord, User, UserId,
    },
};

/// The sessions, each with the access tokens and the refresh token that are accepted.
#[async_trait]
pub trait Sessions: Send + Sync + 'static {
    /// Starts `session` and returns its user. Returns `None` and writes nothing if the user is deleted or disabled, or if
    /// `verified` is not the version of the user's present password: the password may change while one is being verified.
    /// If the user then has more than `at_most` live sessions, the oldest ones end. The store remembers that the user has signed
    /// in from the network of the session's client, and with `device`: see [`last_sign_in`](super::Users::last_sign_in) and
    /// [`last_sign_in_with`](super::Devices::last_sign_in_with). A presented device token that has ended stays ended.
    ///
    /// # Errors
    /// [`StoreError`]; the session may or may not exist then.
    async fn open_session(
        &self,
        session: Session,
        verified: u32,
        at_most: usize,
        device: Option<DeviceSignIn>,
    ) -> Result<Option<Arc<User>>, StoreError>;

    /// Notes that the user of `session` has given their password again at `now`. Returns `false` and changes nothing if the session
    /// has ended, or if `verified` is not the version of its user's present password.
    ///
    /// # Errors
    /// [`StoreError`]; the moment may or may not be noted then.
    async fn confirm_session(
        &self,
        session: SessionId,
        verified: u32,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Returns when the user of `session` last gave their password in it: when it began, or when they last confirmed it. A store
    /// need remember that only as long as it [counts](crate::domain::CONFIRMED_FOR). Returns `None` if there is no such session.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn confirmed_at(&self, session: SessionId) -> Result<Option<Timestamp>, StoreError>;

    /// Returns the user of `session`. Returns `None` if there is no such session.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn user_of(&self, session: SessionId) -> Result<Option<UserId>, StoreError>;

    /// Returns the sessions of `user` that are live at `now`, oldest first, each with the moment of its last use. A backend
    /// may keep that moment in memory alone and lose it in a restart.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn sessions(&self, user: UserId, now: Timestamp) -> Result<Vec<Session>, StoreError>;

    /// Returns the user that the token named `token` of `session` speaks for; `None` unless the whitelist has the token at
    /// `now`. The server calls this at every request, unless it has a [`live_session`](Self::live_session). A backend answers
    /// from memory as soon as it has loaded its sessions.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn accepted(
        &self,
        session: SessionId,
        token: TokenId,
        now: Timestamp,
    ) -> Result<Option<Accepted>, StoreError>;

    /// Returns a handle of the session, which checks tokens without a lookup. Returns `None` if there is no such session, or if
    /// the backend does not have it in memory: then the caller uses [`accepted`](Self::accepted). The caller may keep the
    /// handle without limit.
    fn live_session(&self, _session: SessionId) -> Option<Arc<dyn LiveSession>> {
        None
    }

    /// Refreshes the token named `token` of `session` by the rules of [`Session::refresh`].
    ///
    /// # Errors
    /// [`StoreError`]; the token may or may not have a successor then. A second call returns the same successor.
    async fn refresh(
        &self,
        session: SessionId,
        token: TokenId,
        policy: TokenPolicy,
        now: Timestamp,
    ) -> Result<Refresh, StoreError>;

    /// Uses the refresh token of this `generation` of `session` by the rules of [`Session::rotate`]. Refuses it also if the
    /// session's user is deleted or disabled. Reuse of a spent refresh token ends the session.
    ///
    /// # Errors
    /// [`StoreError`]; the refresh token may or may not be spent then. A second call returns the same successor.
    async fn rotate(
        &self,
        session: SessionId,
        generation: u32,
        policy: TokenPolicy,
        lifetime: Duration,
        now: Timestamp,
    ) -> Result<RefreshTokenOutcome, StoreError>;

    /// Ends the sessions and API tokens of `user` except what is `kept`, forgets from where the user has signed in except
    /// from the network that is `kept`, ends every device token except the one with which the `kept` session began, and
    /// returns how many sessions and API tokens ended.
    ///
    /// # Errors
    /// [`StoreError`]; either all of them have ended then, or none.
    async fn close_sessions(&self, user: UserId, kept: Kept) -> Result<usize, StoreError>;

    /// Ends `session` with all its tokens and returns its user; `None` if the session has ended already. Of concurrent calls,
    /// one returns the user. A client can repeat this call with an old token at will, so a backend answers `None` without a
    /// write.
    ///
    /// # Errors
    /// [`StoreError`]; the session may or may not have ended then.
    async fn close_session(&self, session: SessionId) -> Result<Option<UserId>, StoreError>;

    /// Ends every session, in one or several transactions, and returns how many ended: for keys whose tokens are no longer
    /// accepted. Then removes the refresh key, which may have been copied with those keys. API tokens, which no key signs, stay.
    ///
    /// # Errors
    /// [`StoreError`]; some sessions may have ended then.
    async fn close_every_session(&self) -> Result<usize, StoreError>;

    /// Removes up to `at_most` sessions that have no token accepted at `now` and API tokens that have expired. Returns how many.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn prune(&self, now: Timestamp, at_most: usize) -> Result<usize, StoreError>;
}

/// A session that a backend has in memory, together with its user.
pub trait LiveSession: Send + Sync + 'static {
    /// Returns what [`Sessions::accepted`] returns for the session's token named `token`. From the moment a write that revokes
    /// something is answered, this no longer grants it.
    ///
    /// # Errors
    /// [`Outdated`] once the session has ended or its user has changed: the caller asks the store again.
    fn accepted(self: Arc<Self>, token: TokenId, now: Timestamp) -> Result<Option<Accepted>, Outdated>;

    /// Whether [`accepted`](Self::accepted) would fail with [`Outdated`].
    fn is_outdated(&self) -> bool;

    /// Tells the session that it is most likely the next to be asked, so that it can prefetch its memory. It need do nothing.
    fn approach(&self) {}
}

/// The handle of a session is no longer part of the store's memory, and never will be again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outdated;

/// The user that an accepted token speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The user's present state.
    pub user: SharedUser,
    /// The token as the whitelist has it.
    pub token: TokenRecord,
    /// When the token's session ends.
    pub session_ends_at: Timestamp,
}

/// What of a user's is kept when everything else ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// This session.
    pub session: Option<SessionId>,
    /// Every API token.
    pub api_tokens: bool,
    /// That the user has signed in from this network.
    pub network: Option<Network>,
}

//! A store that can be told to fail: at new signing keys, at the token check, at the end of a session.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use jwt_server::{
    clock::Timestamp,
    domain::{
        ApiToken, ApiTokenHash, ApiTokenId, DeviceSignIn, DeviceTokenHash, Invitation, InvitationHash,
        InvitationId, InvitationPage, InvitationQuery, KeyRing, Network, Refresh, RefreshTokenOutcome,
        ResetCode, ResetCodeHash, Session, SessionId, TokenId, TokenPolicy, User, UserChange, UserId,
        UserPage, UserQuery, Username,
    },
    event::{Event, TrailBounds, TrailPage, TrailQuery},
    store::{
        Accepted, AcceptedApiToken, ApiTokenCreation, ApiTokens, Attempts, AuditTrail, Devices, Import,
        Imports, InvitationRedemption, Kept, KeptAttempts, KeyMaterial, KeyRingUpdate, Keys, OneTimeCodes,
        PasswordReplacement, PasswordReset, ResetCodeCreation, Sessions, Store, StoreCounts, StoreError,
        StoredRing, UserCreation, UserDeletion, UserUpdate, Users,
    },
};
use secrecy::SecretSlice;
use tokio::sync::Mutex;

pub(crate) struct BrokenStore {
    pub(crate) inner: Arc<dyn Store>,
    pub(crate) refuses_keys: AtomicBool,
    /// How many times it was called to keep signing keys.
    pub(crate) key_writes: AtomicU32,
    /// A test that holds this holds up such calls.
    pub(crate) keeps_keys: Mutex<()>,
    /// How many more tokens it checks before it fails.
    pub(crate) accepts: AtomicU32,
    pub(crate) ends_sessions: AtomicBool,
    /// Whether it fails to revoke the API tokens of every user.
    pub(crate) keeps_api_tokens: AtomicBool,
}

impl BrokenStore {
    /// Does all that `inner` does until it is told to fail. It hands out no sessions, so each request calls it.
    pub(crate) fn around(inner: Arc<dyn Store>) -> Self {
        Self {
            inner,
            refuses_keys: false.into(),
            key_writes: 0.into(),
            keeps_keys: Mutex::new(()),
            accepts: u32::MAX.into(),
            ends_sessions: true.into(),
            keeps_api_tokens: false.into(),
        }
    }
}

#[async_trait]
impl Users for BrokenStore {
    async fn create_user(&self, user: User, network: Option<Network>) -> Result<UserCreation, StoreError> {
        self.inner.create_user(user, network).await
    }

    async fn user_by_name(&self, name: &Username) -> Result<Option<Arc<User>>, StoreError> {
        self.inner.user_by_name(name).await
    }

    async fn user(&self, id: UserId) -> Result<Option<Arc<User>>, StoreError> {
        self.inner.user(id).await
    }

    async fn list_users(&self, query: UserQuery, now: Timestamp) -> Result<UserPage, StoreError> {
        self.inner.list_users(query, now).await
    }

    async fn change_user(&self, id: UserId, change: UserChange) -> Result<UserUpdate, StoreError> {
        self.inner.change_user(id, change).await
    }

    async fn change_password(&self, change: PasswordReplacement) -> Result<Option<Arc<User>>, StoreError> {
        self.inner.change_password(change).await
    }

    async fn reset_password(
        &self,
        id: UserId,
        reset: PasswordReset,
    ) -> Result<Option<Arc<User>>, StoreError> {
        self.inner.reset_password(id, reset).await
    }

    async fn delete_user(&self, id: UserId, verified: Option<u32>) -> Result<UserDeletion, StoreError> {
        self.inner.delete_user(id, verified).await
    }

    async fn last_sign_in(&self, user: UserId, network: Network) -> Result<Option<Timestamp>, StoreError> {
        self.inner.last_sign_in(user, network).await
    }
}

#[async_trait]
impl Imports for BrokenStore {
    async fn begin_import(&self, replaces: bool) -> Result<Option<Box<dyn Import + '_>>, StoreError> {
        self.inner.begin_import(replaces).await
    }
}

#[async_trait]
impl Sessions for BrokenStore {
    async fn open_session(
        &self,
        session: Session,
        verified: u32,
        at_most: usize,
        device: Option<DeviceSignIn>,
    ) -> Result<Option<Arc<User>>, StoreError> {
        self.inner.open_session(session, verified, at_most, device).await
    }

    async fn confirm_session(
        &self,
        session: SessionId,
        verified: u32,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.inner.confirm_session(session, verified, now).await
    }

    async fn confirmed_at(&self, session: SessionId) -> Result<Option<Timestamp>, StoreError> {
        self.inner.confirmed_at(session).await
    }

    async fn sessions(&self, user: UserId, now: Timestamp) -> Result<Vec<Session>, StoreError> {
        self.inner.sessions(user, now).await
    }

    async fn accepted(
        &self,
        session: SessionId,
        token: TokenId,
        now: Timestamp,
    ) -> Result<Option<Accepted>, StoreError> {
        let (set, read) = (Ordering::SeqCst, Ordering::SeqCst);
        let left = self.accepts.fetch_update(set, read, |left| left.checked_sub(1));
        left.map_err(|_| StoreError::Closed)?;
        self.inner.accepted(session, token, now).await
    }

    async fn refresh(
        &self,
        session: SessionId,
        token: TokenId,
        policy: TokenPolicy,
        now: Timestamp,
    ) -> Result<Refresh, StoreError> {
        self.inner.refresh(session, token, policy, now).await
    }

    async fn rotate(
        &self,
        session: SessionId,
        generation: u32,
        policy: TokenPolicy,
        lifetime: Duration,
        now: Timestamp,
    ) -> Result<RefreshTokenOutcome, StoreError> {
        self.inner
            .rotate(session, generation, policy, lifetime, now)
            .await
    }

    async fn close_sessions(&self, user: UserId, kept: Kept) -> Result<usize, StoreError> {
        self.inner.close_sessions(user, kept).await
    }

    async fn user_of(&self, session: SessionId) -> Result<Option<UserId>, StoreError> {
        self.inner.user_of(session).await
    }

    async fn close_session(&self, session: SessionId) -> Result<Option<UserId>, StoreError> {
        if !self.ends_sessions.load(Ordering::SeqCst) {
            return Err(StoreError::Closed);
        }
        self.inner.close_session(session).await
    }

    async fn close_every_session(&self) -> Result<usize, StoreError> {
        self.inner.close_every_session().await
    }

    async fn prune(&self, now: Timestamp, at_most: usize) -> Result<usize, StoreError> {
        self.inner.prune(now, at_most).await
    }
}

#[async_trait]
impl Devices for BrokenStore {
    async fn last_sign_in_with(
        &self,
        user: UserId,
        token: DeviceTokenHash,
    ) -> Result<Option<Timestamp>, StoreError> {
        self.inner.last_sign_in_with(user, token).await
    }
}

#[async_trait]
impl ApiTokens for BrokenStore {
    async fn create_api_token(
        &self,
        token: ApiToken,
        session: SessionId,
        at_most: usize,
    ) -> Result<ApiTokenCreation, StoreError> {
        self.inner.create_api_token(token, session, at_most).await
    }

    async fn api_token_accepted(
        &self,
        hash: ApiTokenHash,
        now: Timestamp,
    ) -> Result<Option<AcceptedApiToken>, StoreError> {
        self.inner.api_token_accepted(hash, now).await
    }

    async fn api_tokens(&self, user: UserId, now: Timestamp) -> Result<Vec<ApiToken>, StoreError> {
        self.inner.api_tokens(user, now).await
    }

    async fn remove_api_token(&self, user: UserId, id: ApiTokenId) -> Result<bool, StoreError> {
        self.inner.remove_api_token(user, id).await
    }

    async fn remove_api_tokens(&self, user: UserId) -> Result<usize, StoreError> {
        self.inner.remove_api_tokens(user).await
    }

    async fn remove_every_api_token(&self) -> Result<usize, StoreError> {
        if self.keeps_api_tokens.load(Ordering::SeqCst) {
            return Err(StoreError::Closed);
        }
        self.inner.remove_every_api_token().await
    }

    async fn keep_api_token_uses(&self, at_most: usize) -> Result<usize, StoreError> {
        self.inner.keep_api_token_uses(at_most).await
    }
}

#[async_trait]
impl OneTimeCodes for BrokenStore {
    async fn add_invitation(&self, invitation: Invitation, at_most: usize) -> Result<bool, StoreError> {
        self.inner.add_invitation(invitation, at_most).await
    }

    async fn invitation(
        &self,
        hash: InvitationHash,
        now: Timestamp,
    ) -> Result<Option<Invitation>, StoreError> {
        self.inner.invitation(hash, now).await
    }

    async fn list_invitations(
        &self,
        query: InvitationQuery,
        now: Timestamp,
    ) -> Result<InvitationPage, StoreError> {
        self.inner.list_invitations(query, now).await
    }

    async fn revoke_invitation(&self, id: InvitationId) -> Result<bool, StoreError> {
        self.inner.revoke_invitation(id).await
    }

    async fn redeem_invitation(
        &self,
        hash: InvitationHash,
        user: User,
        network: Option<Network>,
    ) -> Result<InvitationRedemption, StoreError> {
        self.inner.redeem_invitation(hash, user, network).await
    }

    async fn add_reset_code(
        &self,
        code: ResetCode,
        verified: Option<u32>,
        now: Timestamp,
    ) -> Result<ResetCodeCreation, StoreError> {
        self.inner.add_reset_code(code, verified, now).await
    }

    async fn reset_code(&self, hash: ResetCodeHash, now: Timestamp) -> Result<Option<Arc<User>>, StoreError> {
        self.inner.reset_code(hash, now).await
    }

    async fn redeem_reset_code(
        &self,
        hash: ResetCodeHash,
        change: PasswordReplacement,
    ) -> Result<Option<Arc<User>>, StoreError> {
        self.inner.redeem_reset_code(hash, change).await
    }

    async fn prune_codes(&self, now: Timestamp, at_most: usize) -> Result<usize, StoreError> {
        self.inner.prune_codes(now, at_most).await
    }
}

#[async_trait]
impl Keys for BrokenStore {
    async fn refresh_key(&self, fresh: SecretSlice<u8>) -> Result<SecretSlice<u8>, StoreError> {
        self.inner.refresh_key(fresh).await
    }

    async fn key_ring(&self) -> Result<StoredRing, StoreError> {
        self.inner.key_ring().await
    }

    async fn keep_key_ring(
        &self,
        keys: KeyRing<KeyMaterial>,
        instead_of: u64,
    ) -> Result<KeyRingUpdate, StoreError> {
        self.key_writes.fetch_add(1, Ordering::SeqCst);
        drop(self.keeps_keys.lock().await);
        if self.refuses_keys.load(Ordering::SeqCst) {
            return Err(StoreError::Closed);
        }
        self.inner.keep_key_ring(keys, instead_of).await
    }
}

#[async_trait]
impl Attempts for BrokenStore {
    async fn attempts(&self) -> Result<Option<KeptAttempts>, StoreError> {
        self.inner.attempts().await
    }

    async fn keep_attempts(&self, changed: KeptAttempts) -> Result<(), StoreError> {
        self.inner.keep_attempts(changed).await
    }
}

#[async_trait]
impl AuditTrail for BrokenStore {
    fn append(&self, event: &Event) {
        self.inner.append(event);
    }

    async fn keep_events(&self) -> Result<(), StoreError> {
        self.inner.keep_events().await
    }

    async fn events(&self, query: TrailQuery) -> Result<TrailPage, StoreError> {
        self.inner.events(query).await
    }

    async fn prune_events(&self, bounds: TrailBounds, at_most: usize) -> Result<usize, StoreError> {
        self.inner.prune_events(bounds, at_most).await
    }
}

#[async_trait]
impl Store for BrokenStore {
    fn latest(&self) -> Timestamp {
        self.inner.latest()
    }

    fn settled(&self) -> Timestamp {
        self.inner.settled()
    }

    fn note_time(&self, now: Timestamp, settled: Timestamp) {
        self.inner.note_time(now, settled);
    }

    async fn go_back(&self, from: Timestamp, to: Timestamp) -> Result<(), StoreError> {
        self.inner.go_back(from, to).await
    }

    async fn count(&self) -> Result<StoreCounts, StoreError> {
        self.inner.count().await
    }
}

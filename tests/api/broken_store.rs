//! A store that can be told to refuse new signing keys.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use jwt_server::{
    clock::Timestamp,
    domain::{
        KeyRing, Refresh, Session, SessionId, TokenId, TokenPolicy, User, UserChange, UserId, Username,
    },
    store::{Accepted, Count, KeyMaterial, KeyRingUpdate, Store, StoreError, StoredRing, UserCreation},
};

pub(crate) struct BrokenStore {
    pub(crate) inner: Arc<dyn Store>,
    pub(crate) refuses_keys: AtomicBool,
}

#[async_trait]
impl Store for BrokenStore {
    async fn create_user(&self, user: User) -> Result<UserCreation, StoreError> {
        self.inner.create_user(user).await
    }

    async fn user_by_name(&self, name: &Username) -> Result<Option<Arc<User>>, StoreError> {
        self.inner.user_by_name(name).await
    }

    async fn change_user(&self, id: UserId, change: UserChange) -> Result<Option<Arc<User>>, StoreError> {
        self.inner.change_user(id, change).await
    }

    async fn open_session(&self, session: Session, verified: u32) -> Result<Option<Arc<User>>, StoreError> {
        self.inner.open_session(session, verified).await
    }

    async fn accepted(
        &self,
        session: SessionId,
        token: TokenId,
        now: Timestamp,
    ) -> Result<Option<Accepted>, StoreError> {
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

    async fn close_session(&self, session: SessionId) -> Result<(), StoreError> {
        self.inner.close_session(session).await
    }

    async fn prune(&self, now: Timestamp, at_most: usize) -> Result<usize, StoreError> {
        self.inner.prune(now, at_most).await
    }

    async fn key_ring(&self) -> Result<StoredRing, StoreError> {
        self.inner.key_ring().await
    }

    async fn keep_key_ring(
        &self,
        keys: KeyRing<KeyMaterial>,
        instead_of: u64,
    ) -> Result<KeyRingUpdate, StoreError> {
        if self.refuses_keys.load(Ordering::SeqCst) {
            return Err(StoreError::Closed);
        }
        self.inner.keep_key_ring(keys, instead_of).await
    }

    async fn close_every_session(&self) -> Result<usize, StoreError> {
        self.inner.close_every_session().await
    }

    async fn count(&self) -> Result<Count, StoreError> {
        self.inner.count().await
    }
}

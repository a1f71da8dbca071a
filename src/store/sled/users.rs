//! The users of a [`SledStore`].

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    SledStore, blocking,
    commit::group::{Effect, Group},
    memory::index::Ended,
    trees::Trees,
};
use crate::{
    clock::Timestamp,
    domain::{Network, User, UserChange, UserId, UserPage, UserQuery, Username},
    store::{
        error::StoreError,
        sessions::Kept,
        users::{PasswordReplacement, PasswordReset, UserCreation, UserDeletion, UserUpdate, Users},
    },
};

/// What a user who is shut out keeps: their API tokens are refused meanwhile, and good again afterwards.
const API_TOKENS_KEPT: Kept = Kept {
    session: None,
    api_tokens: true,
    network: None,
};

#[async_trait]
impl Users for SledStore {
    async fn create_user(&self, user: User, network: Option<Network>) -> Result<UserCreation, StoreError> {
        self.index.saw(user.created_at);
        self.committer
            .commit(move |trees, group| Ok((group.create_user(trees, &user, network, None)?, Effect::None)))
            .await
    }

    async fn user_by_name(&self, name: &Username) -> Result<Option<Arc<User>>, StoreError> {
        let user = self.committer.read(|trees| trees.user_by_name(name))?;
        Ok(user.map(Arc::new))
    }

    async fn user(&self, id: UserId) -> Result<Option<Arc<User>>, StoreError> {
        let user = self.committer.read(|trees| trees.user(id))?;
        Ok(user.map(Arc::new))
    }

    async fn list_users(&self, query: UserQuery, now: Timestamp) -> Result<UserPage, StoreError> {
        self.index.saw(now);
        // A page may lie in many places of the disk.
        let read = self
            .committer
            .deferred_read(move |trees| trees.list_users(&query, now));
        blocking(read).await?
    }

    async fn change_user(&self, id: UserId, change: UserChange) -> Result<UserUpdate, StoreError> {
        self.committer
            .commit(move |trees, group| {
                let Some(before) = trees.user(id)? else {
                    return Ok((UserUpdate::NoSuchUser, Effect::None));
                };
                let is_password =
                    matches!(change, UserChange::Password(_) | UserChange::TemporaryPassword(_));
                let user = Arc::new(before.clone().with(change));
                if before.stops_administering(Some(&user))
                    && !trees.has_administrator_besides(Some(id), &group.index.reserved)?
                {
                    return Ok((UserUpdate::LastAdministrator, Effect::None));
                }
                let ended = if is_password {
                    let ended = group.all_but(id, Kept::default());
                    trees.put_new_password(&user, &ended, None)?;
                    ended
                } else {
                    let ended = if before.disabled || user.disabled {
                        // Also those that an earlier version left alive.
                        group.all_but(id, API_TOKENS_KEPT)
                    } else {
                        Ended::default()
                    };
                    trees.put_user(&user, &ended)?;
                    ended
                };
                let effect = Effect::Change(Arc::clone(&user), ended);
                Ok((UserUpdate::Changed(user), effect))
            })
            .await
    }

    async fn change_password(&self, change: PasswordReplacement) -> Result<Option<Arc<User>>, StoreError> {
        self.index.saw(change.session.created_at);
        self.committer
            .commit(move |trees, group| replace_password(trees, group, change))
            .await
    }

    async fn reset_password(
        &self,
        id: UserId,
        reset: PasswordReset,
    ) -> Result<Option<Arc<User>>, StoreError> {
        let change = if reset.must_change {
            UserChange::TemporaryPassword(reset.to)
        } else {
            UserChange::Password(reset.to)
        };
        let kept = Kept {
            api_tokens: reset.keeps_api_tokens,
            ..Kept::default()
        };
        self.committer
            .commit(move |trees, group| {
                let Some(user) = trees.user(id)? else {
                    return Ok((None, Effect::None));
                };
                let ended = group.all_but(id, kept);
                let user = Arc::new(user.with(change));
                trees.put_new_password(&user, &ended, None)?;
                Ok((Some(Arc::clone(&user)), Effect::Change(user, ended)))
            })
            .await
    }

    async fn delete_user(&self, id: UserId, verified: Option<u32>) -> Result<UserDeletion, StoreError> {
        self.committer
            .commit(move |trees, group| {
                let is_verified =
                    |user: &User| verified.is_none_or(|version| user.password_version == version);
                let Some(user) = trees.user(id)?.filter(is_verified) else {
                    return Ok((UserDeletion::NoSuchUser, Effect::None));
                };
                if user.stops_administering(None)
                    && !trees.has_administrator_besides(Some(id), &group.index.reserved)?
                {
                    return Ok((UserDeletion::LastAdministrator, Effect::None));
                }
                let ended = group.all_but(id, Kept::default());
                group.index.waiting.note_deleted(id, &user.username);
                trees.remove_user(&user, &ended)?;
                Ok((UserDeletion::Deleted, Effect::End(ended)))
            })
            .await
    }

    async fn last_sign_in(&self, user: UserId, network: Network) -> Result<Option<Timestamp>, StoreError> {
        self.committer.read(|trees| trees.last_sign_in(user, network))
    }
}

/// Changes a password by the rules of [`Users::change_password`].
pub(super) fn replace_password(
    trees: &Trees,
    group: &Group<'_>,
    change: PasswordReplacement,
) -> Result<(Option<Arc<User>>, Effect), StoreError> {
    let PasswordReplacement {
        verified,
        to,
        keeps_api_tokens,
        session,
        device,
    } = change;
    let user = trees.user(session.user)?;
    let Some(user) = user.filter(|user| !user.disabled && user.password_version == verified) else {
        return Ok((None, Effect::None));
    };
    let kept = Kept {
        api_tokens: keeps_api_tokens,
        ..Kept::default()
    };
    let ended = group.all_but(user.id, kept);
    let user = Arc::new(user.with(UserChange::Password(to)));
    trees.put_new_password(&user, &ended, Some((&session, device)))?;
    let effect = Effect::Renew {
        user: Arc::clone(&user),
        ended,
        session,
    };
    Ok((Some(user), effect))
}

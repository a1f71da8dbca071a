//! The one-time codes of a [`SledStore`].

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    RECORDS, SledStore, blocking,
    commit::group::Effect,
    trees::one_time_codes::{key_of_invitation, key_of_reset_code},
    users::replace_password,
};
use crate::{
    clock::Timestamp,
    domain::{
        Invitation, InvitationHash, InvitationId, InvitationPage, InvitationQuery, Network, ResetCode,
        ResetCodeHash, User, UserChange,
    },
    store::{
        error::StoreError,
        one_time_codes::{InvitationRedemption, OneTimeCodes, ResetCodeCreation},
        users::{PasswordReplacement, UserCreation},
    },
};

#[async_trait]
impl OneTimeCodes for SledStore {
    async fn add_invitation(&self, invitation: Invitation, at_most: usize) -> Result<bool, StoreError> {
        let now = invitation.created_at;
        self.index.saw(now);
        self.committer
            .commit(move |trees, _| {
                let has_room = trees.count_invitations(now)? < at_most;
                if has_room {
                    trees.put_invitation(&invitation)?;
                }
                Ok((has_room, Effect::None))
            })
            .await
    }

    async fn invitation(
        &self,
        hash: InvitationHash,
        now: Timestamp,
    ) -> Result<Option<Invitation>, StoreError> {
        self.index.saw(now);
        self.committer.read(|trees| trees.invitation(hash, now))
    }

    async fn list_invitations(
        &self,
        query: InvitationQuery,
        now: Timestamp,
    ) -> Result<InvitationPage, StoreError> {
        self.index.saw(now);
        let read = self
            .committer
            .deferred_read(move |trees| trees.list_invitations(query, now));
        blocking(read).await?
    }

    async fn revoke_invitation(&self, id: InvitationId) -> Result<bool, StoreError> {
        self.committer
            .commit(move |trees, _| {
                let Some(found) = trees.invitation_by_id(id)? else {
                    return Ok((false, Effect::None));
                };
                trees.remove_codes(&[(key_of_invitation(found.hash), Some(id))])?;
                Ok((true, Effect::None))
            })
            .await
    }

    async fn redeem_invitation(
        &self,
        hash: InvitationHash,
        user: User,
        network: Option<Network>,
    ) -> Result<InvitationRedemption, StoreError> {
        let now = user.created_at;
        self.index.saw(now);
        self.committer
            .commit(move |trees, group| {
                let Some(invitation) = trees.invitation(hash, now)? else {
                    return Ok((InvitationRedemption::Refused, Effect::None));
                };
                if !invitation.is_for(&user.username) {
                    return Ok((InvitationRedemption::AnotherUsername, Effect::None));
                }
                let user = user.with(UserChange::Roles(invitation.roles.clone().into()));
                let outcome = match group.create_user(trees, &user, network, Some(&invitation))? {
                    UserCreation::Created => InvitationRedemption::Created(user),
                    UserCreation::UsernameTaken => InvitationRedemption::UsernameTaken,
                };
                Ok((outcome, Effect::None))
            })
            .await
    }

    async fn add_reset_code(
        &self,
        code: ResetCode,
        verified: Option<u32>,
        now: Timestamp,
    ) -> Result<ResetCodeCreation, StoreError> {
        self.index.saw(now);
        self.committer
            .commit(move |trees, _| Ok((trees.put_reset_code(&code, verified)?, Effect::None)))
            .await
    }

    async fn reset_code(&self, hash: ResetCodeHash, now: Timestamp) -> Result<Option<Arc<User>>, StoreError> {
        self.index.saw(now);
        let user = self
            .committer
            .read(|trees| trees.holder_of_reset_code(hash, now))?;
        Ok(user.map(Arc::new))
    }

    async fn redeem_reset_code(
        &self,
        hash: ResetCodeHash,
        change: PasswordReplacement,
    ) -> Result<Option<Arc<User>>, StoreError> {
        let now = change.session.created_at;
        self.index.saw(now);
        self.committer
            .commit(move |trees, group| {
                let holder = trees.holder_of_reset_code(hash, now)?;
                if holder.is_none_or(|user| user.id != change.session.user) {
                    return Ok((None, Effect::None));
                }
                // The user's record has no reset code from here on.
                let changed = replace_password(trees, group, change)?;
                if changed.0.is_some() {
                    trees.remove_codes(&[(key_of_reset_code(hash), None)])?;
                }
                Ok(changed)
            })
            .await
    }

    async fn prune_codes(&self, now: Timestamp, at_most: usize) -> Result<usize, StoreError> {
        self.index.saw(now);
        let find = self
            .committer
            .deferred_read(move |trees| trees.expired_codes(now, at_most));
        let over = blocking(find).await??;
        let count = over.len();
        for some in over.chunks(RECORDS) {
            let some = some.to_vec();
            self.committer
                .commit(move |trees, _| Ok((trees.remove_codes(&some)?, Effect::None)))
                .await?;
        }
        Ok(count)
    }
}

//! What a store does for one-time codes: it finds them by the hash of their text, and redeems each in the transaction of what it
//! allows. It never sees a text.
//!
//! A code that an administrator made is accepted only while they [vouch](User::vouches_as) for it.

use std::sync::Arc;

use async_trait::async_trait;

use super::{error::StoreError, users::PasswordReplacement};
use crate::{
    clock::Timestamp,
    domain::{
        Invitation, InvitationHash, InvitationId, InvitationPage, InvitationQuery, Network, ResetCode,
        ResetCodeHash, User,
    },
};

/// The invitations, and the reset codes of the users.
#[async_trait]
pub trait OneTimeCodes: Send + Sync + 'static {
    /// Adds an invitation. Returns `false` and adds nothing if there are `at_most` that have not expired when it is made.
    ///
    /// # Errors
    /// [`StoreError`]; the invitation may or may not exist then.
    async fn add_invitation(&self, invitation: Invitation, at_most: usize) -> Result<bool, StoreError>;

    /// Returns the invitation with this hash. Returns `None` unless it is accepted at `now`.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn invitation(
        &self,
        hash: InvitationHash,
        now: Timestamp,
    ) -> Result<Option<Invitation>, StoreError>;

    /// Returns a page of the invitations that have not expired by `now`, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn list_invitations(
        &self,
        query: InvitationQuery,
        now: Timestamp,
    ) -> Result<InvitationPage, StoreError>;

    /// Revokes an invitation. Returns `false` if there is no such invitation.
    ///
    /// # Errors
    /// [`StoreError`]; the invitation may or may not be revoked then.
    async fn revoke_invitation(&self, id: InvitationId) -> Result<bool, StoreError>;

    /// Adds `user` with the roles of the invitation that has this hash, and no others, and spends the invitation. `user` signs up
    /// from `network` if that is known, when they are created. Of concurrent calls, one adds a user.
    ///
    /// # Errors
    /// [`StoreError`]; either all of it or none of it has happened then.
    async fn redeem_invitation(
        &self,
        hash: InvitationHash,
        user: User,
        network: Option<Network>,
    ) -> Result<InvitationRedemption, StoreError>;

    /// Gives a user a reset code, made at `now`, in place of an earlier one. The code ends with the user's present password, and
    /// when the user is disabled or deleted. If `verified` is a version, it must be that of the user's present password.
    ///
    /// # Errors
    /// [`StoreError`]; the code may or may not exist then.
    async fn add_reset_code(
        &self,
        code: ResetCode,
        verified: Option<u32>,
        now: Timestamp,
    ) -> Result<ResetCodeCreation, StoreError>;

    /// Returns the user whose reset code has this hash. Returns `None` unless the code is accepted at `now`.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn reset_code(&self, hash: ResetCodeHash, now: Timestamp) -> Result<Option<Arc<User>>, StoreError>;

    /// Gives the user whose reset code has this hash another password, and starts a session, by the rules of
    /// [`change_password`](super::Users::change_password). Spends the code. Returns `None` and changes nothing unless the code is
    /// accepted when that session begins, and is of the session's user. Of concurrent calls, one returns the user.
    ///
    /// # Errors
    /// [`StoreError`]; either all of the change or none of it has happened then.
    async fn redeem_reset_code(
        &self,
        hash: ResetCodeHash,
        change: PasswordReplacement,
    ) -> Result<Option<Arc<User>>, StoreError>;

    /// Removes up to `at_most` codes that have expired by `now`, and returns how many.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn prune_codes(&self, now: Timestamp, at_most: usize) -> Result<usize, StoreError>;
}

/// The outcome of [`redeem_invitation`](OneTimeCodes::redeem_invitation).
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvitationRedemption {
    /// This user exists, and the invitation is spent.
    Created(User),
    /// The invitation is not accepted; nothing was changed.
    Refused,
    /// The invitation is for another username; nothing was changed.
    AnotherUsername,
    /// Another user has the username; nothing was changed.
    UsernameTaken,
}

/// The outcome of [`add_reset_code`](OneTimeCodes::add_reset_code).
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetCodeCreation {
    /// The user has the code.
    Created,
    /// There is no such user, or the password was changed since it was verified; nothing was changed.
    NoSuchUser,
    /// The user is disabled; nothing was changed.
    Disabled,
}

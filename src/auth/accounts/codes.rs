//! One-time codes, which an operator or an administrator makes and passes on: invitations, and reset codes for users who have
//! forgotten their password. Their texts are shown once.

use std::sync::Arc;

use secrecy::SecretString;

use super::Accounts;
use crate::{
    auth::{AuthError, Principal, TokenRefusal, parts::to_its_end},
    clock::Timestamp,
    domain::{
        CodeLifetime, Invitation, InvitationId, InvitationPage, InvitationQuery, MAX_INVITATIONS, Maker,
        RequestContext, ResetCode, Roles, SessionId, UserId, Username, is_confirmed,
    },
    event::{Actor, EventKind},
    store::ResetCodeCreation,
    tokens::one_time_code,
};

/// What an invitation is to be.
#[derive(Clone, Debug)]
pub struct NewInvitation {
    /// The roles that the new user gets.
    pub roles: Roles,
    /// The only username that it is for; `None` for any.
    pub username: Option<Username>,
    /// How long it lasts.
    pub lifetime: CodeLifetime,
}

/// A new invitation. The server can't show its text again.
#[derive(Debug)]
pub struct IssuedInvitation {
    /// The invitation itself.
    pub text: SecretString,
    /// What the store keeps of it.
    pub record: Invitation,
}

/// A new reset code. The server can't show its text again.
#[derive(Debug)]
pub struct IssuedResetCode {
    /// The code itself.
    pub text: SecretString,
    /// The first second at which it is refused.
    pub expires_at: Timestamp,
}

impl Accounts {
    /// Makes an invitation: one sign-up, also while sign-up is closed. If an administrator makes it, it is accepted only while
    /// they administer, and until they have another password.
    ///
    /// # Errors
    /// [`AuthError::TooManyInvitations`], [`TokenRefused`](AuthError::TokenRefused) if the administrator's session has ended
    /// meanwhile, or a failure of the store.
    pub async fn invite(
        &self,
        wanted: NewInvitation,
        actor: Actor,
        context: &RequestContext,
    ) -> Result<IssuedInvitation, AuthError> {
        let made_by = self.maker(actor).await?;
        // No code of a time that goes back is made behind it.
        let minting = Arc::clone(&self.minting).read_owned().await;
        let (text, hash) = one_time_code::fresh_invitation();
        let now = self.parts.now();
        let record = Invitation {
            id: InvitationId::generate(now),
            hash,
            roles: wanted.roles,
            username: wanted.username,
            made_by,
            created_at: now,
            expires_at: now.plus(wanted.lifetime.get()),
        };
        let (parts, context) = (self.parts.clone(), context.clone());
        let making = async move {
            let _minting = minting;
            let added = parts.store.add_invitation(record.clone(), MAX_INVITATIONS);
            if !added.await? {
                return Err(AuthError::TooManyInvitations);
            }
            let kind = EventKind::InvitationMade {
                invitation: record.id,
                roles: record.roles.clone(),
            };
            parts.emit(kind, None, actor, &context);
            Ok(IssuedInvitation { text, record })
        };
        to_its_end(making).await
    }

    /// Returns a page of the invitations that are neither used nor revoked and have not expired, oldest first.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn invitations(&self, query: InvitationQuery) -> Result<InvitationPage, AuthError> {
        let now = self.parts.now();
        Ok(self.parts.store.list_invitations(query, now).await?)
    }

    /// Revokes an invitation. Returns `false` if there is no such invitation.
    ///
    /// # Errors
    /// A failure of the store; the invitation may or may not be revoked then.
    pub async fn revoke_invitation(
        &self,
        invitation: InvitationId,
        actor: Actor,
        context: &RequestContext,
    ) -> Result<bool, AuthError> {
        let (parts, context) = (self.parts.clone(), context.clone());
        let revocation = async move {
            let revoked = parts.store.revoke_invitation(invitation).await?;
            if revoked {
                let kind = EventKind::InvitationRevoked { invitation };
                parts.emit(kind, None, actor, &context);
            }
            Ok(revoked)
        };
        to_its_end(revocation).await
    }

    /// Makes a reset code, with which the user chooses another password, in place of an earlier one. It ends with the present
    /// password, and when the user is disabled or deleted. If an administrator makes it, it is accepted only while they
    /// administer, and until they have another password. Returns `None` if there is no such user.
    ///
    /// # Errors
    /// [`AuthError::UserDisabled`], [`TokenRefused`](AuthError::TokenRefused) if the administrator's session has ended meanwhile, or a failure of the store.
    pub async fn make_reset_code(
        &self,
        user: UserId,
        lifetime: CodeLifetime,
        actor: Actor,
        context: &RequestContext,
    ) -> Result<Option<IssuedResetCode>, AuthError> {
        let (accounts, context) = (self.clone(), context.clone());
        let making = async move {
            let made_by = accounts.maker(actor).await?;
            let (made, creation) = accounts.add_reset_code(user, None, lifetime, made_by).await?;
            match creation {
                ResetCodeCreation::Created => {
                    let parts = &accounts.parts;
                    parts.emit(EventKind::ResetCodeMade, Some(user), actor, &context);
                    Ok(Some(made))
                }
                ResetCodeCreation::NoSuchUser => Ok(None),
                ResetCodeCreation::Disabled => Err(AuthError::UserDisabled(user)),
            }
        };
        to_its_end(making).await
    }

    /// Adds a reset code, if `verified` is `None` or the version of the user's present password.
    pub(in crate::auth) async fn add_reset_code(
        &self,
        user: UserId,
        verified: Option<u32>,
        lifetime: CodeLifetime,
        made_by: Option<Maker>,
    ) -> Result<(IssuedResetCode, ResetCodeCreation), AuthError> {
        let _minting = self.minting.read().await;
        let (text, hash) = one_time_code::fresh_reset_code();
        let now = self.parts.now();
        let expires_at = now.plus(lifetime.get());
        let code = ResetCode {
            hash,
            user,
            made_by,
            expires_at,
        };
        let creation = self.parts.store.add_reset_code(code, verified, now).await?;
        Ok((IssuedResetCode { text, expires_at }, creation))
    }

    /// The administrator who acts; `None` for the operator. The version of the password is read before it is known that the session
    /// lives on: a password that was changed since the token was checked has ended the session.
    async fn maker(&self, actor: Actor) -> Result<Option<Maker>, AuthError> {
        let Actor::User { id, session, .. } = actor else {
            return Ok(None);
        };
        let store = &self.parts.store;
        let user = store.user(id).await?.ok_or(AuthError::AccountGone)?;
        if let Some(session) = session
            && store.confirmed_at(session).await?.is_none()
        {
            return Err(AuthError::TokenRefused(TokenRefusal::NotOnTheWhitelist));
        }
        Ok(Some(Maker {
            user: id,
            password_version: user.password_version,
        }))
    }

    /// Requires a user who has given their password in this session within the last [15 minutes](crate::domain::CONFIRMED_FOR), at
    /// the sign-in or to confirm it: for what gives power and what can't be undone. An API token needs no confirmation; whether it
    /// may do this is decided by its scope, and giving it that scope has asked for one.
    ///
    /// # Errors
    /// [`AuthError::ConfirmationRequired`], or a failure of the store.
    pub async fn confirmed_recently(&self, principal: &Principal) -> Result<(), AuthError> {
        match principal.session_id() {
            Some(session) => self.require_confirmed(session, principal.id()).await,
            None => Ok(()),
        }
    }

    /// The same for a session of `user`.
    pub(in crate::auth) async fn require_confirmed(
        &self,
        session: SessionId,
        user: UserId,
    ) -> Result<(), AuthError> {
        let confirmed_at = self.parts.store.confirmed_at(session).await?;
        if confirmed_at.is_some_and(|at| is_confirmed(at, self.parts.now())) {
            Ok(())
        } else {
            Err(AuthError::ConfirmationRequired(user))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{pin::pin, sync::Arc, time::Duration};

    use super::*;
    use crate::{auth::Parts, clock::ManualClock, config::Config, event::Listeners, store};

    #[tokio::test]
    async fn a_code_waits_while_the_time_goes_back() {
        let directory = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.store.path = directory.path().join("data");
        let start = Timestamp::from_secs(1_800_000_000);
        let store = store::open(&config.store, start, Listeners::default())
            .await
            .unwrap();
        let clock = Arc::new(ManualClock::new(start));
        let parts = Parts::new(store, Arc::clone(&clock) as _);
        let accounts = Accounts::new(&config, parts);
        let wanted = NewInvitation {
            roles: Roles::default(),
            username: None,
            lifetime: CodeLifetime::INVITATION,
        };
        let (operator, context) = (Actor::Operator { uid: None }, RequestContext::default());
        let no_minting = accounts.minting.write().await;
        let mut invitation = pin!(accounts.invite(wanted, operator, &context));
        let mut reset =
            pin!(accounts.add_reset_code(UserId::generate(start), None, CodeLifetime::LONGEST_RESET, None));
        let a_while = Duration::from_millis(200);
        assert!(tokio::time::timeout(a_while, &mut invitation).await.is_err());
        assert!(tokio::time::timeout(a_while, &mut reset).await.is_err());
        clock.advance(Duration::from_mins(1));
        drop(no_minting);
        let made = invitation.await.unwrap();
        assert_eq!(made.record.created_at, start.plus(Duration::from_mins(1)));
        let (_, creation) = reset.await.unwrap();
        assert_eq!(creation, ResetCodeCreation::NoSuchUser);
    }
}

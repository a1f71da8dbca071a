//! Changes a user, and deletes one. Each change holds from the next request on, for cached tokens too.

use std::sync::Arc;

use super::Accounts;
use crate::{
    auth::{AuthError, parts::to_its_end},
    clock::Timestamp,
    domain::{
        AttributeError, AttributeValue, Attributes, DisplayName, Password, RequestContext, Role, Roles, User,
        UserChange, UserId,
    },
    event::{Actor, EventKind},
    passwords::HashFor,
    store::{PasswordReset, UserDeletion, UserUpdate},
};

/// A password that another person chose for a user.
#[derive(Debug)]
pub struct SetPassword {
    /// The password.
    pub password: Password,
    /// Whether the user must change it before anything else.
    pub must_change: bool,
    /// Whether the user's API tokens stay.
    pub keeps_api_tokens: bool,
}

impl Accounts {
    /// Gives a user other roles, and returns the user as they are now. Returns `None` if there is no such user.
    ///
    /// # Errors
    /// [`AuthError::LastAdministrator`] if no administrator would be left, or a failure of the store.
    pub async fn set_roles(
        &self,
        user: UserId,
        roles: Roles,
        actor: Actor,
        context: &RequestContext,
    ) -> Result<Option<Arc<User>>, AuthError> {
        let change = UserChange::Roles(roles.into());
        self.change_roles(user, change, actor, context).await
    }

    /// Gives a user one role, until a moment if that is given, and returns the user as they are now. Returns `None` if there is
    /// no such user.
    ///
    /// # Errors
    /// [`AuthError::LastAdministrator`] if no administrator without an end would be left, or a failure of the store.
    pub async fn give_role(
        &self,
        user: UserId,
        role: Role,
        until: Option<Timestamp>,
        actor: Actor,
        context: &RequestContext,
    ) -> Result<Option<Arc<User>>, AuthError> {
        let change = UserChange::GiveRole(role, until);
        self.change_roles(user, change, actor, context).await
    }

    /// Takes a role from a user, and returns the user as they are now. Returns `None` if there is no such user, or if they have not
    /// got it.
    ///
    /// # Errors
    /// As [`give_role`](Self::give_role).
    pub async fn take_role(
        &self,
        user: UserId,
        role: Role,
        actor: Actor,
        context: &RequestContext,
    ) -> Result<Option<Arc<User>>, AuthError> {
        let known = self.parts.store.user(user).await?;
        if known.is_none_or(|known| !known.roles.was_given(&role)) {
            return Ok(None);
        }
        let change = UserChange::TakeRole(role);
        self.change_roles(user, change, actor, context).await
    }

    async fn change_roles(
        &self,
        user: UserId,
        change: UserChange,
        actor: Actor,
        context: &RequestContext,
    ) -> Result<Option<Arc<User>>, AuthError> {
        let now = self.parts.now();
        let kind = move |user: &User| EventKind::RolesChanged {
            roles: user.roles.at(now),
        };
        self.change_as(user, change, kind, actor, context).await
    }

    /// Disables a user, or enables them again, and returns the user as they are now. To disable a user ends
    /// their sessions. No sign-in and no API token of theirs is accepted meanwhile. Returns `None` if there is no such user.
    ///
    /// # Errors
    /// [`AuthError::LastAdministrator`] if no administrator would be left, or a failure of the store.
    pub async fn set_disabled(
        &self,
        user: UserId,
        disabled: bool,
        actor: Actor,
        context: &RequestContext,
    ) -> Result<Option<Arc<User>>, AuthError> {
        let known = self.parts.store.user(user).await?;
        if known.as_ref().is_none_or(|known| known.disabled == disabled) {
            return Ok(known);
        }
        let kind = if disabled {
            EventKind::UserDisabled
        } else {
            EventKind::UserEnabled
        };
        let change = UserChange::Disabled(disabled);
        self.change(user, change, kind, actor, context).await
    }

    /// Gives a user another display name, or none, and returns the user as they are now. Returns `None` if there is no such user.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn set_display_name(
        &self,
        user: UserId,
        name: Option<DisplayName>,
        actor: Actor,
        context: &RequestContext,
    ) -> Result<Option<Arc<User>>, AuthError> {
        let (change, kind) = (UserChange::DisplayName(name), EventKind::DisplayNameChanged);
        self.change(user, change, kind, actor, context).await
    }

    /// Gives a user other attributes in place of all they have, and returns the user as they are now. Those that the settings
    /// name are claims of the tokens that are issued from then on. Returns `None` if there is no such user.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn set_attributes(
        &self,
        user: UserId,
        attributes: Attributes,
        actor: Actor,
        context: &RequestContext,
    ) -> Result<Option<Arc<User>>, AuthError> {
        let (change, kind) = (UserChange::Attributes(attributes), EventKind::AttributesChanged);
        self.change(user, change, kind, actor, context).await
    }

    /// Gives a user one attribute, or another value of it, and returns the user as they are now. Returns `None` if there is no such
    /// user.
    ///
    /// # Errors
    /// [`AuthError::AttributeRejected`] if the name has a meaning in tokens, or if all together are too long; or a failure of the
    /// store.
    pub async fn set_attribute(
        &self,
        user: UserId,
        name: &str,
        value: AttributeValue,
        actor: Actor,
        context: &RequestContext,
    ) -> Result<Option<Arc<User>>, AuthError> {
        let Some(known) = self.parts.store.user(user).await? else {
            return Ok(None);
        };
        known.attributes.with(name, value.clone())?;
        let change = UserChange::SetAttribute(name.to_owned(), value.clone());
        let changed = self.change(user, change, EventKind::AttributesChanged, actor, context);
        let changed = changed.await?;
        // Another command may have added one meanwhile.
        match &changed {
            Some(changed) if changed.attributes.value(name) != Some(&value) => {
                Err(AttributeError::TooLong.into())
            }
            _ => Ok(changed),
        }
    }

    /// Takes an attribute from a user, and returns the user as they are now. Returns `None` if there is no such user, or if they have
    /// not got it.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn take_attribute(
        &self,
        user: UserId,
        name: &str,
        actor: Actor,
        context: &RequestContext,
    ) -> Result<Option<Arc<User>>, AuthError> {
        let known = self.parts.store.user(user).await?;
        if known.is_none_or(|known| known.attributes.value(name).is_none()) {
            return Ok(None);
        }
        let change = UserChange::TakeAttribute(name.to_owned());
        self.change(user, change, EventKind::AttributesChanged, actor, context)
            .await
    }

    /// Gives a user another password, and returns the user as they are now. It ends the user's sessions and, unless it is said
    /// otherwise, their API tokens. Returns `None` if there is no such user.
    ///
    /// # Errors
    /// [`AuthError::PasswordRejected`], [`Busy`](AuthError::Busy), or a failure of the server.
    pub async fn set_password(
        &self,
        user: &User,
        password: SetPassword,
        actor: Actor,
        context: &RequestContext,
    ) -> Result<Option<Arc<User>>, AuthError> {
        let SetPassword {
            password,
            must_change,
            keeps_api_tokens,
        } = password;
        self.passwords.check_length(&password)?;
        let hashed = self
            .passwords
            .hash_new(password, &user.username, HashFor::SignIn(None));
        let hash = hashed.await?;
        let reset = PasswordReset {
            to: hash,
            must_change,
            keeps_api_tokens,
        };
        let (parts, user, context) = (self.parts.clone(), user.id, context.clone());
        let change = async move {
            let changed = parts.store.reset_password(user, reset).await?;
            if changed.is_some() {
                parts.emit(EventKind::PasswordSet, Some(user), actor, &context);
            }
            Ok(changed)
        };
        to_its_end(change).await
    }

    /// Deletes a user with every session and API token, and frees the username. Returns `false` if there is no such user.
    ///
    /// # Errors
    /// [`AuthError::LastAdministrator`] if no administrator would be left, or a failure of the store.
    pub async fn delete(
        &self,
        user: UserId,
        actor: Actor,
        context: &RequestContext,
    ) -> Result<bool, AuthError> {
        let (parts, context) = (self.parts.clone(), context.clone());
        let deletion = async move {
            match parts.store.delete_user(user, None).await? {
                UserDeletion::Deleted => {
                    parts.emit(EventKind::UserDeleted, Some(user), actor, &context);
                    Ok(true)
                }
                UserDeletion::NoSuchUser => Ok(false),
                UserDeletion::LastAdministrator => Err(AuthError::LastAdministrator),
            }
        };
        to_its_end(deletion).await
    }

    /// Changes a user, and emits an event of this `kind`.
    pub(in crate::auth) async fn change(
        &self,
        user: UserId,
        change: UserChange,
        kind: EventKind,
        actor: Actor,
        context: &RequestContext,
    ) -> Result<Option<Arc<User>>, AuthError> {
        self.change_as(user, change, move |_| kind, actor, context).await
    }

    /// Changes a user, and emits an event of the kind that their new state asks for.
    async fn change_as(
        &self,
        user: UserId,
        change: UserChange,
        kind: impl FnOnce(&User) -> EventKind + Send + 'static,
        actor: Actor,
        context: &RequestContext,
    ) -> Result<Option<Arc<User>>, AuthError> {
        let (parts, context) = (self.parts.clone(), context.clone());
        let change = async move {
            match parts.store.change_user(user, change).await? {
                UserUpdate::Changed(changed) => {
                    parts.emit(kind(&changed), Some(user), actor, &context);
                    Ok(Some(changed))
                }
                UserUpdate::NoSuchUser => Ok(None),
                UserUpdate::LastAdministrator => Err(AuthError::LastAdministrator),
            }
        };
        to_its_end(change).await
    }
}

//! One user of an import, checked.

use crate::{
    clock::Timestamp,
    domain::{
        Attributes, DisplayName, ImportedUser, PasswordHash, Roles, User, UserField, UserId, UserRoles,
        Username,
    },
};

/// One user of an import. What is `None` is not said: the importing server chooses it for a new user, and leaves it as it is for
/// one who exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The id that the user had; an export has it.
    pub id: Option<UserId>,
    /// The name that the user signs in with.
    pub username: Username,
    /// The bcrypt hash of their password, as it came.
    pub password_hash: PasswordHash,
    /// Whether they must change the password before anything else.
    pub must_change_password: Option<bool>,
    /// Their roles. Not an empty set, unless the line says so.
    pub roles: Option<UserRoles>,
    /// Whether the user is disabled.
    pub disabled: Option<bool>,
    /// The name under which they are shown; `Some(None)` if they have none.
    pub display_name: Option<Option<DisplayName>>,
    /// What administrators noted of them.
    pub attributes: Option<Attributes>,
    /// When the user was created.
    pub created_at: Option<Timestamp>,
}

impl Entry {
    /// The user, who is imported at `now`. A new user whose roles are not said has `roles`.
    #[must_use]
    pub fn imported(self, roles: &Roles, now: Timestamp) -> ImportedUser {
        let unsaid = [
            (UserField::Roles, self.roles.is_none()),
            (UserField::Disabled, self.disabled.is_none()),
            (UserField::DisplayName, self.display_name.is_none()),
            (UserField::Attributes, self.attributes.is_none()),
            (UserField::MustChangePassword, self.must_change_password.is_none()),
        ];
        let roles = self.roles.unwrap_or_else(|| roles.clone().into());
        let mut user = User::new(self.username, self.password_hash, roles, now);
        user.id = self.id.unwrap_or(user.id);
        user.created_at = self.created_at.unwrap_or(now);
        user.disabled = self.disabled.unwrap_or_default();
        user.must_change_password = self.must_change_password.unwrap_or_default();
        user.display_name = self.display_name.flatten();
        user.attributes = self.attributes.unwrap_or_default();
        ImportedUser {
            user,
            unsaid: unsaid
                .into_iter()
                .filter_map(|(field, is_unsaid)| is_unsaid.then_some(field))
                .collect(),
        }
    }
}

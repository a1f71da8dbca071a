//! A user who comes from elsewhere, and what becomes of a user who has the name already.

use serde::{Deserialize, Serialize};

use super::User;

/// A user who comes from elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedUser {
    /// The user, as created if no user has the name.
    pub user: User,
    /// What the source does not say. A user who has the name already keeps it.
    pub unsaid: Vec<UserField>,
}

/// Something of a user that a source may leave unsaid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserField {
    /// The roles.
    Roles,
    /// Whether the user is disabled.
    Disabled,
    /// The display name.
    DisplayName,
    /// The attributes.
    Attributes,
    /// Whether the password must be changed.
    MustChangePassword,
}

impl ImportedUser {
    /// Whether `present` has another password than this user.
    #[must_use]
    pub fn changes_password_of(&self, present: &User) -> bool {
        self.user.password_hash != present.password_hash
    }

    /// The user `present`, who has the name already, with what the source says. The id and the moment of the creation stay.
    #[must_use]
    pub fn update(&self, present: &User) -> User {
        let (new, says) = (&self.user, |field| !self.unsaid.contains(&field));
        let mut user = present.clone();
        if self.changes_password_of(present) {
            user.password_hash = new.password_hash.clone();
            user.password_version = user.password_version.wrapping_add(1);
            // A password that the source does not call temporary is the user's own.
            user.must_change_password = new.must_change_password;
        }
        if says(UserField::MustChangePassword) {
            user.must_change_password = new.must_change_password;
        }
        if says(UserField::Roles) {
            user.roles = new.roles.clone();
        }
        if says(UserField::Disabled) {
            user.disabled = new.disabled;
        }
        if says(UserField::DisplayName) {
            user.display_name.clone_from(&new.display_name);
        }
        if says(UserField::Attributes) {
            user.attributes = new.attributes.clone();
        }
        user
    }

    /// Whether a user is an [administrator](User::is_administrator) after this, whatever they were before. `is_added` says whether
    /// no user has the name.
    #[must_use]
    pub fn begins_administration(&self, is_added: bool) -> bool {
        let says_all = [UserField::Roles, UserField::Disabled]
            .iter()
            .all(|field| !self.unsaid.contains(field));
        self.user.is_administrator() && (is_added || says_all)
    }

    /// Whether a user who has the name is no [administrator](User::is_administrator) after [`update`](Self::update), whatever
    /// they were before.
    #[must_use]
    pub fn ends_administration(&self) -> bool {
        let says = |field| !self.unsaid.contains(&field);
        let loses_role = says(UserField::Roles) && !self.user.roles.lasting().contains(&super::Role::ADMIN);
        loses_role || (says(UserField::Disabled) && self.user.disabled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Timestamp,
        domain::{DisplayName, PasswordHash, Role, UserRoles},
    };

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
    const ALL: [UserField; 5] = [
        UserField::Roles,
        UserField::Disabled,
        UserField::DisplayName,
        UserField::Attributes,
        UserField::MustChangePassword,
    ];

    fn ada() -> User {
        User {
            roles: UserRoles::from_iter([Role::ADMIN]),
            display_name: DisplayName::parse("Ada").ok(),
            must_change_password: true,
            ..User::sample("ada", NOW)
        }
    }

    #[test]
    fn an_update_replaces_what_the_source_says_and_nothing_else() {
        let present = ada();
        let new = User {
            disabled: true,
            ..User::sample("ada", Timestamp::from_secs(1))
        };
        let said = |unsaid: Vec<UserField>| ImportedUser {
            user: new.clone(),
            unsaid,
        };
        assert_eq!(said(ALL.to_vec()).update(&present), present);
        let expected = User {
            id: present.id,
            created_at: NOW,
            ..new.clone()
        };
        assert_eq!(said(Vec::new()).update(&present), expected);
    }

    #[test]
    fn another_password_counts_as_a_change_and_the_same_one_does_not() {
        let mut new = ImportedUser {
            user: User::sample("ada", NOW),
            unsaid: ALL.to_vec(),
        };
        assert!(!new.changes_password_of(&ada()));
        new.user.password_hash = PasswordHash::parse(&format!("$2b$05${}", "a".repeat(53))).unwrap();
        let updated = new.update(&ada());
        assert_eq!(updated.password_hash, new.user.password_hash);
        assert_eq!(
            (updated.password_version, updated.must_change_password),
            (1, false)
        );
    }

    #[test]
    fn it_is_known_who_stops_administering() {
        let with = |roles: Option<UserRoles>, disabled: Option<bool>| {
            let mut unsaid = Vec::new();
            unsaid.extend(roles.is_none().then_some(UserField::Roles));
            unsaid.extend(disabled.is_none().then_some(UserField::Disabled));
            let user = User {
                roles: roles.unwrap_or_default(),
                disabled: disabled.unwrap_or(false),
                ..User::sample("ada", NOW)
            };
            ImportedUser { user, unsaid }
        };
        let roles = [
            None,
            Some(UserRoles::default()),
            Some(UserRoles::from_iter([Role::ADMIN])),
        ];
        for roles in roles {
            for disabled in [None, Some(false), Some(true)] {
                let imported = with(roles.clone(), disabled);
                let ends = ada().stops_administering(Some(&imported.update(&ada())));
                assert_eq!(imported.ends_administration(), ends, "{imported:?}");
            }
        }
    }
}

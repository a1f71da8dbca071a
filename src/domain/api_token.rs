//! API tokens: what a service presents instead of a user's password. An API token speaks for the user who made it, with some
//! of that user's roles, until it expires. Its text is not handled here: see `tokens`.

use std::time::Duration;

use super::{ApiTokenHash, ApiTokenId, ApiTokenName, Roles, User, UserId};
use crate::clock::Timestamp;

/// An API token, as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiToken {
    /// The id by which its user lists and revokes it.
    pub id: ApiTokenId,
    /// The user who made it and for whom it speaks.
    pub user: UserId,
    /// The hash of its text.
    pub hash: ApiTokenHash,
    /// The name that its user gave it.
    pub name: ApiTokenName,
    /// The most roles that it can have.
    pub roles: Roles,
    /// Whether it may use the administration, with the role ADMIN: it was made with the scope `admin`.
    pub may_administer: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// The first second at which it is refused.
    pub expires_at: Timestamp,
    /// When it was used last, as far as the store has noted it; `None` if it was never noted.
    pub used_at: Option<Timestamp>,
}

impl ApiToken {
    /// The roles that it has at `now` while its `user` is this one: never more than the user has. So a role that ends, or is taken
    /// from the user, is taken from their tokens.
    #[must_use]
    pub fn roles_as_of(&self, user: &User, now: Timestamp) -> Roles {
        self.roles.shared_with(&user.roles.at(now))
    }

    /// The token as it would be if the clock had not been ahead `by` so much. What is left of its life stays the same.
    #[must_use]
    pub fn moved_back(self, by: Duration) -> Self {
        Self {
            created_at: self.created_at.minus(by),
            expires_at: self.expires_at.minus(by),
            used_at: self.used_at.map(|used_at| used_at.minus(by)),
            ..self
        }
    }
}

#[cfg(test)]
impl ApiToken {
    /// A token of `user` without roles, whose hash belongs to no known text.
    pub(crate) fn sample_of(user: UserId, created_at: Timestamp) -> Self {
        Self {
            id: ApiTokenId::generate(created_at),
            user,
            hash: ApiTokenHash::from_bytes(super::random()),
            name: ApiTokenName::parse("deploy").unwrap(),
            roles: Roles::default(),
            may_administer: false,
            created_at,
            expires_at: created_at.plus(std::time::Duration::from_hours(24)),
            used_at: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Role;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    #[test]
    fn an_api_token_has_no_role_that_its_user_lost() {
        let roles = |roles: &[Role]| roles.iter().cloned().collect::<Roles>();
        let mut user = User::sample("ada", NOW);
        let mut token = ApiToken::sample_of(user.id, NOW);
        token.roles = roles(&[Role::CLIENT, Role::ADMIN]);
        user.roles = roles(&[Role::ADMIN, Role::CLIENT]).into();
        assert_eq!(token.roles_as_of(&user, NOW), token.roles);
        user.roles = roles(&[Role::CLIENT]).into();
        assert_eq!(&token.roles_as_of(&user, NOW), user.roles.lasting());
        user.roles = roles(&[]).into();
        assert!(token.roles_as_of(&user, NOW).is_empty());
    }

    #[test]
    fn the_hash_of_an_api_token_reads_back_and_is_not_shown() {
        let hash = ApiTokenHash::from_bytes([0xab; 32]);
        assert_eq!(ApiTokenHash::from_bytes(*hash.as_bytes()), hash);
        assert_eq!(format!("{hash:?}"), "ApiTokenHash(…)");
    }
}

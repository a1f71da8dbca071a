//! Finds users.

use std::sync::Arc;

use super::Accounts;
use crate::{
    auth::AuthError,
    domain::{Role, User, UserId, UserPage, UserQuery},
};

impl Accounts {
    /// Returns a page of the users whom `query` asks for, in the order of their usernames.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn list(&self, query: UserQuery) -> Result<UserPage, AuthError> {
        Ok(self.parts.store.list_users(query, self.parts.now()).await?)
    }

    /// Whether there is an enabled user with the role ADMIN.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn have_administrator(&self) -> Result<bool, AuthError> {
        let query = UserQuery {
            role: Some(Role::ADMIN),
            disabled: Some(false),
            ..UserQuery::default()
        };
        Ok(!self.list(query).await?.users.is_empty())
    }

    /// Returns the user with this id; `None` if there is none.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn find(&self, user: UserId) -> Result<Option<Arc<User>>, AuthError> {
        Ok(self.parts.store.user(user).await?)
    }
}

//! Exports users, page by page.

use super::Accounts;
use crate::{
    auth::AuthError,
    domain::{PageLimit, RequestContext, UserCursor, UserQuery},
    event::{Actor, EventKind},
    transfer::write_line,
};

impl Accounts {
    /// Returns some of the users behind `after`, in the order of their names, as lines of JSON that an import reads; and where to
    /// go on, if there are more. The lines have the hashes of passwords only if they are `with_hashes`. The first page, which is
    /// behind no user, is an event.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn export(
        &self,
        after: Option<UserCursor>,
        with_hashes: bool,
        actor: Actor,
        context: &RequestContext,
    ) -> Result<(Vec<u8>, Option<UserCursor>), AuthError> {
        if after.is_none() {
            let kind = EventKind::UsersExported { with_hashes };
            self.parts.emit(kind, None, actor, context);
        }
        let query = UserQuery {
            after,
            limit: PageLimit::MAX,
            ..UserQuery::default()
        };
        let page = self.list(query).await?;
        let mut lines = Vec::new();
        for user in &page.users {
            let written = write_line(&mut lines, user, with_hashes);
            written.map_err(|error| AuthError::Internal(error.to_string()))?;
        }
        Ok((lines, page.next))
    }
}

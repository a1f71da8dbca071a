//! Those who wait at the throttle: lists them, and frees one of them. What is freed is free at once, and stays so after a crash.

use std::sync::Arc;

use super::Accounts;
use crate::{
    auth::AuthError,
    domain::{Network, PageLimit, RequestContext, User, Username},
    event::{Actor, EventKind},
    throttle::{Waiting, key},
};

/// A page of those who wait.
#[derive(Clone, Debug, Default)]
pub struct WaitingPage {
    /// Those who wait, in the order of their keys.
    pub waiting: Vec<Waiting>,
    /// Where the next page begins. `None` at the end.
    pub next: Option<String>,
}

impl Accounts {
    /// Returns a page of the users and networks that wait, of those whom a server of this process has refused lately. If `user` or
    /// `network` is given, returns what that one waits for, also if it was not refused lately. The page begins behind `after`, the
    /// `next` of an earlier one.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn throttled(
        &self,
        user: Option<&User>,
        network: Option<Network>,
        after: Option<&str>,
        limit: PageLimit,
    ) -> Result<WaitingPage, AuthError> {
        let throttle = self.throttle().await?;
        let at_most = limit.get();
        // One more tells whether there is another page.
        let mut waiting = throttle.waiting(user, network, after, at_most + 1).await?;
        let has_more = waiting.len() > at_most;
        waiting.truncate(at_most);
        let next = waiting.last().filter(|_| has_more);
        Ok(WaitingPage {
            next: next.map(|last| key(last.wait)),
            waiting,
        })
    }

    /// Lets `user` in again: takes back the failures at their account, and lets those clients of theirs come next that wait all the
    /// same, as far as they were refused lately or are at `network`.
    ///
    /// # Errors
    /// A failure of the store; then they are free until a restart.
    pub async fn clear_user(
        &self,
        user: &User,
        network: Option<Network>,
        actor: Actor,
        context: &RequestContext,
    ) -> Result<(), AuthError> {
        let throttle = self.throttle().await?;
        let sessions: Vec<_> = self.sessions(user.id).await?.iter().map(|one| one.id).collect();
        throttle.clear_user(user, network, &sessions);
        let kind = EventKind::ThrottleCleared { network };
        self.parts.emit(kind, Some(user.id), actor, context);
        Ok(throttle.keep().await?)
    }

    /// Lets `network` try again.
    ///
    /// # Errors
    /// As [`clear_user`](Self::clear_user).
    pub async fn clear_network(
        &self,
        network: Network,
        actor: Actor,
        context: &RequestContext,
    ) -> Result<(), AuthError> {
        let throttle = self.throttle().await?;
        throttle.clear_network(network);
        let network = Some(network);
        let kind = EventKind::ThrottleCleared { network };
        self.parts.emit(kind, None, actor, context);
        Ok(throttle.keep().await?)
    }

    /// Returns the user with this name; `None` if there is none.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn find_by_name(&self, name: &Username) -> Result<Option<Arc<User>>, AuthError> {
        Ok(self.parts.store.user_by_name(name).await?)
    }
}

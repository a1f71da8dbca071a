//! One write, and the group of writes that one sync makes durable.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::queue::Queued;
use crate::{
    domain::{ApiToken, Invitation, Network, Session, SessionId, User, UserId},
    store::{
        error::StoreError,
        sessions::Kept,
        sled::{
            memory::index::{Ended, Index},
            trees::Trees,
        },
        users::UserCreation,
    },
};

/// How many writes one sync may carry. The others wait for the next sync, which bounds how long one answer takes.
///
/// It also keeps a group of writes, and what sled moves meanwhile, shorter than two segments of sled's log (1 MiB). In a longer
/// one sled may write over a segment whose pages have been moved, but not yet durably, and a power cut would leave neither.
/// 128 writes are some 130 KiB, and half a segment is moved at a time. Sign-ins also write the users' records: if each user had
/// as many networks and devices as the server remembers, 128 of them would be some 750 KiB.
pub(crate) const BATCH: usize = 128;

/// What a write changes in memory once the disk has it.
pub(crate) enum Effect {
    /// Nothing.
    None,
    /// A session begins, and the surplus sessions of its user end.
    Open {
        session: Session,
        user: Arc<User>,
        closed: Vec<SessionId>,
    },
    /// A session has been refreshed.
    Replace(Session),
    /// A user has another API token.
    Add(Arc<ApiToken>, Arc<User>),
    /// API tokens have other moments.
    Move(Vec<ApiToken>),
    /// Sessions and API tokens end.
    End(Ended),
    /// A user has changed, and sessions and API tokens of that user end.
    Change(Arc<User>, Ended),
    /// The same for several users.
    ChangeAll(Vec<(Arc<User>, Ended)>),
    /// A user has another password, sessions and API tokens of that user end, and a session begins.
    Renew {
        user: Arc<User>,
        ended: Ended,
        session: Session,
    },
}

impl Effect {
    fn show(self, index: &Index) {
        match self {
            Self::None => {}
            Self::Open {
                session,
                user,
                closed,
            } => {
                index.close(&closed);
                index.open(session, User::clone(&user));
            }
            Self::Replace(session) => index.replace(session),
            Self::Add(token, user) => index.add_api_token(token, user.into()),
            Self::Move(tokens) => {
                for token in tokens {
                    index.api_tokens.replace(Arc::new(token));
                }
            }
            Self::End(ended) => index.end(&ended),
            Self::Change(user, ended) => {
                index.end(&ended);
                index.change(&user);
            }
            Self::ChangeAll(changes) => {
                for (user, ended) in changes {
                    index.end(&ended);
                    index.change(&user);
                }
            }
            Self::Renew { user, ended, session } => {
                index.end(&ended);
                index.change(&user);
                index.open(session, User::clone(&user));
            }
        }
    }
}

/// A write that has been applied and waits for the sync. Told how the sync went, it changes the memory and answers.
pub(crate) type Finish = Box<dyn FnOnce(Result<(), StoreError>, &Index) + Send>;
/// Applies a write.
type Apply = Box<dyn FnOnce(&Trees, &mut Group<'_>) -> Finish + Send>;

/// A write that waits to be applied.
pub(crate) struct Write {
    apply: Apply,
    independent: bool,
}

impl Queued for Write {
    fn is_independent(&self) -> bool {
        self.independent
    }
}

impl Write {
    /// A write that runs `write` on the committing thread. The receiver gets what that returned once it is durable and its
    /// [`Effect`] is visible in memory. The write happens even if the receiver is dropped.
    pub(crate) fn new<T: Send + 'static>(
        write: impl FnOnce(&Trees, &Group<'_>) -> Result<(T, Effect), StoreError> + Send + 'static,
        independent: bool,
    ) -> (Self, oneshot::Receiver<Result<T, StoreError>>) {
        let (answer, answered) = oneshot::channel();
        let apply = Box::new(move |trees: &Trees, group: &mut Group<'_>| -> Finish {
            let applied = write(trees, group);
            if let Ok((_, effect)) = &applied {
                group.note(effect);
            }
            Box::new(move |synced, index| {
                let result = synced.and(applied).map(|(value, effect)| {
                    effect.show(index);
                    value
                });
                // If the caller has gone, nothing receives the answer. The write holds all the same.
                let _ = answer.send(result);
            })
        });
        (Self { apply, independent }, answered)
    }

    pub(crate) fn apply(self, trees: &Trees, group: &mut Group<'_>) -> Finish {
        (self.apply)(trees, group)
    }
}

/// What a write knows besides the trees: the memory, which shows nothing of the group that is being applied, and what that
/// memory lacks.
pub(crate) struct Group<'a> {
    pub(crate) index: &'a Index,
    opened: Vec<(UserId, SessionId)>,
    added: Vec<Arc<ApiToken>>,
}

impl<'a> Group<'a> {
    /// An empty group.
    pub(crate) fn over(index: &'a Index) -> Self {
        Self {
            index,
            opened: Vec::new(),
            added: Vec::new(),
        }
    }

    /// Returns every session of `user`, including those opened in this group.
    pub(crate) fn sessions_of(&self, user: UserId) -> Vec<SessionId> {
        let opened = self.opened.iter().filter(|(owner, _)| *owner == user);
        let known = self.index.sessions_of(user);
        known.into_iter().chain(opened.map(|(_, id)| *id)).collect()
    }

    /// Returns how many sessions `user` has at most: one may have been closed in this group.
    pub(crate) fn count_of(&self, user: UserId) -> usize {
        let opened = self.opened.iter().filter(|(owner, _)| *owner == user);
        self.index.count_of(user) + opened.count()
    }

    /// Returns every API token of `user`, including those added in this group.
    pub(crate) fn api_tokens_of(&self, user: UserId) -> Vec<Arc<ApiToken>> {
        let added = self.added.iter().filter(|token| token.user == user);
        let known = self.index.api_tokens_of(user);
        known.into_iter().chain(added.cloned()).collect()
    }

    /// Returns up to `at_most` API tokens, and those added in this group. Some may have been removed in it.
    pub(crate) fn any_api_tokens(&self, at_most: usize) -> Vec<Arc<ApiToken>> {
        let mut tokens = self.index.api_tokens.any(at_most);
        tokens.extend(self.added.iter().cloned());
        tokens
    }

    /// Returns every session and API token of `user` except what is `kept`.
    pub(crate) fn all_but(&self, user: UserId, kept: Kept) -> Ended {
        let mut sessions = self.sessions_of(user);
        sessions.retain(|id| Some(*id) != kept.session);
        let api_tokens = if kept.api_tokens {
            Vec::new()
        } else {
            self.api_tokens_of(user)
        };
        Ended { sessions, api_tokens }
    }

    /// Creates `user`, by an invitation if there is one, unless another user has the name or is about to get it by an import.
    pub(crate) fn create_user(
        &self,
        trees: &Trees,
        user: &User,
        network: Option<Network>,
        invitation: Option<&Invitation>,
    ) -> Result<UserCreation, StoreError> {
        if self.index.reserved.has(user.username.as_str()) {
            return Ok(UserCreation::UsernameTaken);
        }
        trees.create_user_by(user, network, invitation)
    }

    fn note(&mut self, effect: &Effect) {
        match effect {
            Effect::Open { session, .. } | Effect::Renew { session, .. } => {
                self.opened.push((session.user, session.id));
            }
            Effect::Add(token, _) => self.added.push(Arc::clone(token)),
            Effect::None
            | Effect::Replace(_)
            | Effect::Move(_)
            | Effect::End(_)
            | Effect::Change(..)
            | Effect::ChangeAll(_) => {}
        }
    }
}

//! The sessions of a [`SledStore`].

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use super::{RECORDS, SledStore, blocking, commit::group::Effect, memory::index::Ended};
use crate::{
    clock::Timestamp,
    domain::{
        DeviceSignIn, Refresh, RefreshTokenOutcome, Session, SessionId, TokenId, TokenPolicy, User, UserId,
    },
    store::{
        error::StoreError,
        sessions::{Accepted, Kept, LiveSession, Sessions},
    },
};

/// How many expired records one write removes. No caller waits for their removal, but every write meanwhile waits for that
/// one.
const PRUNED_AT_ONCE: usize = 25;

impl SledStore {
    /// Checks a token while the index is being filled.
    fn accepted_meanwhile(
        &self,
        session: SessionId,
        token: TokenId,
        now: Timestamp,
    ) -> Result<Option<Accepted>, StoreError> {
        let found = self.committer.read(|trees| trees.accepted(session, token, now));
        if self.committer.loading.is_whole()? {
            return Ok(self.index.accepted(session, token, now));
        }
        found
    }
}

/// Returns those of `sessions` that must end so that `at_most` live ones stay: the expired ones and the oldest.
fn surplus(sessions: Vec<Session>, at_most: usize, now: Timestamp) -> Vec<SessionId> {
    let (mut live, over): (Vec<_>, Vec<_>) = sessions
        .into_iter()
        .partition(|session| now < session.expires_at());
    live.sort_by_key(|session| (session.created_at, session.id));
    let too_many = live.len().saturating_sub(at_most);
    let closed = over.iter().chain(&live[..too_many]);
    closed.map(|session| session.id).collect()
}

#[async_trait]
impl Sessions for SledStore {
    async fn open_session(
        &self,
        session: Session,
        verified: u32,
        at_most: usize,
        device: Option<DeviceSignIn>,
    ) -> Result<Option<Arc<User>>, StoreError> {
        let now = session.created_at;
        self.index.saw(now);
        self.committer
            .commit(move |trees, group| {
                let Some(mut record) = trees.user_record(session.user)? else {
                    return Ok((None, Effect::None));
                };
                let user = record.user(session.user)?;
                if user.disabled || user.password_version != verified {
                    return Ok((None, Effect::None));
                }
                let closed = if group.count_of(user.id) < at_most {
                    Vec::new()
                } else {
                    let others = trees.sessions(&group.sessions_of(user.id))?;
                    surplus(others, at_most.saturating_sub(1), now)
                };
                if record.note_session(&session, device)? {
                    trees.open_session(&session, &record, &closed)?;
                } else {
                    trees.change_sessions(Some(&session), &closed)?;
                }
                let user = Arc::new(user);
                let effect = Effect::Open {
                    session,
                    user: Arc::clone(&user),
                    closed,
                };
                Ok((Some(user), effect))
            })
            .await
    }

    async fn confirm_session(
        &self,
        session: SessionId,
        verified: u32,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.index.saw(now);
        self.committer
            .commit(move |trees, _| {
                let user = match trees.session(session)? {
                    Some(session) => trees.user(session.user)?,
                    None => None,
                };
                let confirmed = user.is_some_and(|user| user.password_version == verified);
                if confirmed {
                    trees.put_confirmation(session, now)?;
                }
                Ok((confirmed, Effect::None))
            })
            .await
    }

    async fn confirmed_at(&self, session: SessionId) -> Result<Option<Timestamp>, StoreError> {
        self.committer.loading.whole().await?;
        let Some(known) = self.index.session(session) else {
            return Ok(None);
        };
        let again = self.committer.read(|trees| trees.confirmation(session))?;
        Ok(Some(known.created_at).max(again))
    }

    async fn user_of(&self, session: SessionId) -> Result<Option<UserId>, StoreError> {
        self.committer.loading.whole().await?;
        Ok(self.index.session(session).map(|session| session.user))
    }

    async fn sessions(&self, user: UserId, now: Timestamp) -> Result<Vec<Session>, StoreError> {
        self.index.saw(now);
        self.committer.loading.whole().await?;
        let ids = self.index.sessions_of(user).into_iter();
        let sessions = ids.filter_map(|id| self.index.session_as_used(id));
        let mut sessions: Vec<_> = sessions.filter(|session| now < session.expires_at()).collect();
        sessions.sort_by_key(|session| (session.created_at, session.id));
        Ok(sessions)
    }

    async fn accepted(
        &self,
        session: SessionId,
        token: TokenId,
        now: Timestamp,
    ) -> Result<Option<Accepted>, StoreError> {
        self.index.saw(now);
        let was_whole = self.committer.loading.is_whole()?;
        match self.index.accepted(session, token, now) {
            None if !was_whole => self.accepted_meanwhile(session, token, now),
            known => Ok(known),
        }
    }

    fn live_session(&self, session: SessionId) -> Option<Arc<dyn LiveSession>> {
        // Until the index is whole, what it lacks may be on the disk.
        let whole = self.committer.loading.is_whole().unwrap_or(false);
        let live = whole.then(|| self.index.live(session)).flatten()?;
        Some(live)
    }

    async fn refresh(
        &self,
        session: SessionId,
        token: TokenId,
        policy: TokenPolicy,
        now: Timestamp,
    ) -> Result<Refresh, StoreError> {
        self.index.saw(now);
        self.committer.loading.whole().await?;
        // The rules are a pure function, so memory tells whether there is anything to write.
        let Some(mut known) = self.index.session(session) else {
            return Ok(Refresh::Refused);
        };
        match known.refresh(token, &policy, now) {
            settled @ (Refresh::Stands(_) | Refresh::Refused) => return Ok(settled),
            Refresh::Minted(_) => {}
        }
        self.committer
            .commit(move |trees, _| {
                let Some(mut session) = trees.session(session)? else {
                    return Ok((Refresh::Refused, Effect::End(vec![session].into())));
                };
                let outcome = session.refresh(token, &policy, now);
                if let Refresh::Minted(_) = outcome {
                    trees.put_session(&session)?;
                }
                Ok((outcome, Effect::Replace(session)))
            })
            .await
    }

    async fn rotate(
        &self,
        session: SessionId,
        generation: u32,
        policy: TokenPolicy,
        lifetime: Duration,
        now: Timestamp,
    ) -> Result<RefreshTokenOutcome, StoreError> {
        self.index.saw(now);
        self.committer.loading.whole().await?;
        let Some(mut known) = self.index.session(session) else {
            return Ok(RefreshTokenOutcome::Refused);
        };
        if self.index.user(known.user).is_none_or(|user| user.disabled) {
            return Ok(RefreshTokenOutcome::Refused);
        }
        match known.rotate(generation, &policy, lifetime, now) {
            settled @ (RefreshTokenOutcome::Stands(..) | RefreshTokenOutcome::Refused) => return Ok(settled),
            RefreshTokenOutcome::Minted(..) | RefreshTokenOutcome::Reused(_) => {}
        }
        self.committer
            .commit(move |trees, _| {
                let Some(mut session) = trees.session(session)? else {
                    return Ok((RefreshTokenOutcome::Refused, Effect::End(vec![session].into())));
                };
                let outcome = session.rotate(generation, &policy, lifetime, now);
                match outcome {
                    RefreshTokenOutcome::Minted(..) => trees.put_session(&session)?,
                    RefreshTokenOutcome::Reused(_) => {
                        trees.remove_sessions(&[session.id])?;
                        return Ok((outcome, Effect::End(vec![session.id].into())));
                    }
                    RefreshTokenOutcome::Stands(..) | RefreshTokenOutcome::Refused => {}
                }
                Ok((outcome, Effect::Replace(session)))
            })
            .await
    }

    async fn close_sessions(&self, user: UserId, kept: Kept) -> Result<usize, StoreError> {
        self.committer
            .commit(move |trees, group| {
                let ended = group.all_but(user, kept);
                let count = trees.count(&ended)?;
                trees.end_all_but(user, &ended, kept)?;
                Ok((count, Effect::End(ended)))
            })
            .await
    }

    async fn close_session(&self, session: SessionId) -> Result<Option<UserId>, StoreError> {
        self.committer.loading.whole().await?;
        // It leaves memory once its end is on the disk, and no client knows of a session that memory does not have yet.
        let Some(known) = self.index.session(session) else {
            return Ok(None);
        };
        self.committer
            .commit(move |trees, _| {
                // An earlier write of the same group may have ended it.
                let there = trees.has_session(session)?;
                trees.remove_sessions(&[session])?;
                let whose = there.then_some(known.user);
                Ok((whose, Effect::End(vec![session].into())))
            })
            .await
    }

    async fn close_every_session(&self) -> Result<usize, StoreError> {
        let mut ended = 0;
        loop {
            let removed = self
                .committer
                .commit(|trees, group| {
                    let some = group.index.any(RECORDS);
                    trees.remove_sessions(&some)?;
                    if some.is_empty() {
                        trees.forget_refresh_key()?;
                    }
                    Ok((some.len(), Effect::End(some.into())))
                })
                .await?;
            if removed == 0 {
                return Ok(ended);
            }
            ended += removed;
        }
    }

    async fn prune(&self, now: Timestamp, at_most: usize) -> Result<usize, StoreError> {
        self.index.saw(now);
        // A timer calls this method, so no write waits without end.
        blocking(self.committer.nudge()).await?;
        let mut pruned = 0;
        loop {
            let part = PRUNED_AT_ONCE.min(at_most - pruned);
            let removed = self
                .committer
                .commit(move |trees, group| {
                    let sessions = trees.remove_expired(&group.index.expired(now, part), now)?;
                    let api_tokens = group.index.api_tokens.expired(now, part - sessions.len());
                    trees.remove_api_tokens(api_tokens.iter().map(|token| token.id))?;
                    let ended = Ended { sessions, api_tokens };
                    Ok((ended.len(), Effect::End(ended)))
                })
                .await?;
            pruned += removed;
            if removed < part || pruned == at_most {
                break;
            }
        }
        // Those that are left are for the next time.
        let find = self
            .committer
            .deferred_read(move |trees| trees.old_confirmations(now, RECORDS));
        let old = blocking(find).await??;
        if !old.is_empty() {
            self.committer
                .commit(move |trees, _| Ok((trees.remove_confirmations(&old)?, Effect::None)))
                .await?;
        }
        Ok(pruned)
    }
}

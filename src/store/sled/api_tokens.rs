//! The API tokens of a [`SledStore`].

use std::sync::Arc;

use async_trait::async_trait;

use super::{RECORDS, SledStore, blocking, commit::group::Effect, memory::index::Ended};
use crate::{
    clock::Timestamp,
    domain::{ApiToken, ApiTokenHash, ApiTokenId, SessionId, UserId},
    store::{
        api_tokens::{AcceptedApiToken, ApiTokenCreation, ApiTokens},
        error::StoreError,
    },
};

#[async_trait]
impl ApiTokens for SledStore {
    async fn create_api_token(
        &self,
        token: ApiToken,
        session: SessionId,
        at_most: usize,
    ) -> Result<ApiTokenCreation, StoreError> {
        let now = token.created_at;
        self.index.saw(now);
        self.committer
            .commit(move |trees, group| {
                let session = trees.session(session)?;
                let session =
                    session.filter(|session| session.user == token.user && now < session.expires_at());
                let user = trees.user(token.user)?.filter(|user| !user.disabled);
                let (Some(_), Some(user)) = (session, user) else {
                    return Ok((ApiTokenCreation::SessionOver, Effect::None));
                };
                let others = group.api_tokens_of(user.id).into_iter();
                if others.filter(|other| now < other.expires_at).count() >= at_most {
                    return Ok((ApiTokenCreation::TooMany, Effect::None));
                }
                trees.put_api_token(&token)?;
                let effect = Effect::Add(Arc::new(token), Arc::new(user));
                Ok((ApiTokenCreation::Created, effect))
            })
            .await
    }

    async fn api_token_accepted(
        &self,
        hash: ApiTokenHash,
        now: Timestamp,
    ) -> Result<Option<AcceptedApiToken>, StoreError> {
        self.index.saw(now);
        self.committer.loading.whole().await?;
        Ok(self.index.accepted_api_token(hash, now))
    }

    async fn api_tokens(&self, user: UserId, now: Timestamp) -> Result<Vec<ApiToken>, StoreError> {
        self.index.saw(now);
        self.committer.loading.whole().await?;
        let tokens = self.index.api_tokens_of(user).into_iter();
        let tokens = tokens.filter(|token| now < token.expires_at);
        let mut tokens: Vec<_> = tokens
            .filter_map(|token| self.index.api_tokens.as_used(token.hash))
            .collect();
        tokens.sort_by_key(|token| (token.created_at, token.id));
        Ok(tokens)
    }

    async fn remove_api_token(&self, user: UserId, id: ApiTokenId) -> Result<bool, StoreError> {
        self.committer
            .commit(move |trees, group| {
                let mut tokens = group.api_tokens_of(user);
                tokens.retain(|token| token.id == id);
                let there = trees.has_api_token(id)? && !tokens.is_empty();
                let ended = Ended {
                    api_tokens: tokens,
                    ..Ended::default()
                };
                trees.remove(&ended)?;
                Ok((there, Effect::End(ended)))
            })
            .await
    }

    async fn remove_api_tokens(&self, user: UserId) -> Result<usize, StoreError> {
        self.committer
            .commit(move |trees, group| {
                let mut ended = Ended::default();
                for token in group.api_tokens_of(user) {
                    // Memory has those that this group of writes has ended.
                    if trees.has_api_token(token.id)? {
                        ended.api_tokens.push(token);
                    }
                }
                trees.remove(&ended)?;
                Ok((ended.len(), Effect::End(ended)))
            })
            .await
    }

    async fn remove_every_api_token(&self) -> Result<usize, StoreError> {
        let mut revoked = 0;
        loop {
            let removed = self
                .committer
                .commit(|trees, group| {
                    let some = Ended {
                        api_tokens: group.any_api_tokens(RECORDS),
                        ..Ended::default()
                    };
                    let there = trees.count(&some)?;
                    trees.remove(&some)?;
                    Ok(((some.len(), there), Effect::End(some)))
                })
                .await?;
            match removed {
                (0, _) => return Ok(revoked),
                (_, there) => revoked += there,
            }
        }
    }

    async fn keep_api_token_uses(&self, at_most: usize) -> Result<usize, StoreError> {
        let index = Arc::clone(&self.index);
        let used = blocking(move || index.api_tokens.uses_to_keep(at_most)).await?;
        if used.is_empty() {
            return Ok(0);
        }
        for some in used.chunks(RECORDS) {
            let some = some.to_vec();
            let kept = self
                .committer
                .commit(move |trees, _| {
                    trees.update_api_tokens(&some)?;
                    Ok((some, Effect::None))
                })
                .await?;
            self.index.api_tokens.kept(&kept);
        }
        Ok(used.len())
    }
}

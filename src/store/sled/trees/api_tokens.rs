//! Reads and writes of the tree of API tokens.

use std::{collections::HashSet, sync::Arc};

use sled::{
    Batch,
    transaction::{Transactional, TransactionalTree, UnabortableTransactionError},
};

use super::{Trees, transaction_failed};
use crate::{
    clock::Timestamp,
    domain::{ApiToken, ApiTokenId},
    store::{
        error::StoreError,
        records::{api_token::ApiTokenRecord, format},
        sled::memory::index::{Ended, Index},
    },
};

impl Trees {
    pub(crate) fn put_api_token(&self, token: &ApiToken) -> Result<(), StoreError> {
        let (id, record) = (token.id, ApiTokenRecord::write(token)?);
        let done = self.api_tokens.insert(id.as_bytes(), record);
        done.map(|_| ()).map_err(StoreError::failed)
    }

    pub(crate) fn has_api_token(&self, id: ApiTokenId) -> Result<bool, StoreError> {
        let found = self.api_tokens.contains_key(id.as_bytes());
        found.map_err(StoreError::failed)
    }

    pub(crate) fn api_token(&self, id: ApiTokenId) -> Result<Option<ApiToken>, StoreError> {
        let bytes = self.api_tokens.get(id.as_bytes()).map_err(StoreError::failed)?;
        bytes
            .map(|bytes| ApiTokenRecord::read(id.as_bytes(), &bytes))
            .transpose()
    }

    /// Writes those of the tokens that still exist.
    pub(crate) fn update_api_tokens(&self, tokens: &[ApiToken]) -> Result<(), StoreError> {
        for token in tokens {
            if self.has_api_token(token.id)? {
                self.put_api_token(token)?;
            }
        }
        Ok(())
    }

    pub(crate) fn remove_api_tokens(
        &self,
        ids: impl IntoIterator<Item = ApiTokenId>,
    ) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        for id in ids {
            batch.remove(id.as_bytes().as_slice());
        }
        self.api_tokens.apply_batch(batch).map_err(StoreError::failed)
    }

    /// How many of these sessions and API tokens there are: the index shows nothing of the group of writes that is being applied.
    pub(crate) fn count(&self, ended: &Ended) -> Result<usize, StoreError> {
        let mut count = 0;
        for id in &ended.sessions {
            count += usize::from(self.has_session(*id)?);
        }
        for token in &ended.api_tokens {
            count += usize::from(self.has_api_token(token.id)?);
        }
        Ok(count)
    }

    /// Removes sessions and API tokens, together.
    pub(crate) fn remove(&self, ended: &Ended) -> Result<(), StoreError> {
        let done = (&self.sessions, &self.api_tokens)
            .transaction(|(sessions, tokens)| Ok(end(sessions, tokens, ended)?));
        done.map_err(transaction_failed)
    }

    /// Fills `index` with every API token that had not expired by `settled`, and removes the others.
    pub(crate) fn load_api_tokens(&self, index: &Index, settled: Timestamp) -> Result<(), StoreError> {
        let mut over = Vec::new();
        for entry in &self.api_tokens {
            let (key, value) = entry.map_err(StoreError::failed)?;
            let token = ApiTokenRecord::read(&key, &value)?;
            let user = if token.expires_at <= settled {
                None
            } else {
                match index.user(token.user) {
                    Some(known) => Some(known),
                    None => self.user(token.user)?.map(|user| Arc::new(user).into()),
                }
            };
            match user {
                Some(user) => index.add_api_token(Arc::new(token), user),
                None => over.push(token.id),
            }
        }
        self.remove_api_tokens(over)
    }

    /// Makes the API tokens those that are in `index`. A token that is in both is the same: only its last use ever changes.
    pub(crate) fn restore_api_tokens(&self, index: &Index) -> Result<(), StoreError> {
        let known = index.api_tokens.all();
        let ids: HashSet<_> = known.iter().map(|token| token.id).collect();
        let mut unknown = Vec::new();
        for key in self.api_tokens.iter().keys() {
            let key = key.map_err(StoreError::failed)?;
            let id = ApiTokenId::from_bytes(format::fixed(&key, "API token id")?);
            if !ids.contains(&id) {
                unknown.push(id);
            }
        }
        self.remove_api_tokens(unknown)?;
        for token in &known {
            if !self.has_api_token(token.id)? {
                self.put_api_token(token)?;
            }
        }
        Ok(())
    }
}

/// Removes what `ended`, as part of a transaction.
pub(crate) fn end(
    sessions: &TransactionalTree,
    api_tokens: &TransactionalTree,
    ended: &Ended,
) -> Result<(), UnabortableTransactionError> {
    for id in &ended.sessions {
        sessions.remove(id.as_bytes())?;
    }
    for token in &ended.api_tokens {
        api_tokens.remove(token.id.as_bytes())?;
    }
    Ok(())
}

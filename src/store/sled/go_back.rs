//! The time goes back: the clock that the server believed was wrong. By then every session has ended.

use super::{RECORDS, SledStore, blocking, commit::group::Effect};
use crate::{clock::Timestamp, store::error::StoreError};

impl SledStore {
    /// See [`Store::go_back`](crate::store::Store::go_back).
    pub(super) async fn go_back_to(&self, from: Timestamp, to: Timestamp) -> Result<(), StoreError> {
        let by = from.since(to);
        self.committer.loading.whole().await?;
        let tokens = self.index.api_tokens.all().into_iter();
        let ids: Vec<_> = tokens
            .filter(|token| token.created_at > to)
            .map(|token| token.id)
            .collect();
        for some in ids.chunks(RECORDS) {
            let some = some.to_vec();
            self.committer
                .commit(move |trees, _| {
                    let mut moved = Vec::with_capacity(some.len());
                    for id in some {
                        let token = trees.api_token(id)?.filter(|token| token.created_at > to);
                        if let Some(token) = token.map(|token| token.moved_back(by)) {
                            trees.put_api_token(&token)?;
                            moved.push(token);
                        }
                    }
                    Ok(((), Effect::Move(moved)))
                })
                .await?;
        }
        let find = self
            .committer
            .deferred_read(move |trees| trees.codes_made_after(to));
        for some in blocking(find).await??.chunks(RECORDS) {
            let some = some.to_vec();
            self.committer
                .commit(move |trees, _| Ok((trees.remove_codes(&some)?, Effect::None)))
                .await?;
        }
        self.index.go_back(to);
        self.committer
            .commit(move |trees, _| Ok((trees.note_step_back(to)?, Effect::None)))
            .await
    }
}

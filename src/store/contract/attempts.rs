//! Failed attempts.

use super::{
    Backend,
    support::{NOW, later},
};
use crate::{domain::FailedAttempts, store::attempts::KeptAttempts};

pub async fn failed_attempts_are_kept_as_last_told(backend: &impl Backend) {
    let attempts = |failures, at| FailedAttempts { failures, at };
    let kept = |places: &[(u32, FailedAttempts)]| KeptAttempts {
        hash_key: [7; 16],
        places: places.to_vec(),
    };
    let store = backend.open(NOW).await;
    assert_eq!(store.attempts().await.unwrap(), None);
    let (first, second) = (attempts(3, NOW), attempts(u32::MAX, later(9)));
    store
        .keep_attempts(kept(&[(0, first), (5, first), (u32::MAX, second)]))
        .await
        .unwrap();
    store
        .keep_attempts(kept(&[(5, second), (0, FailedAttempts::default())]))
        .await
        .unwrap();
    drop(store);
    let store = backend.open(NOW).await;
    assert_eq!(
        store.attempts().await.unwrap(),
        Some(kept(&[(5, second), (u32::MAX, second)]))
    );
}

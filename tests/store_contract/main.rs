//! What every store must do. A backend is added by one `contract!` line and a way to open it; it then runs all of this.

#![expect(
    clippy::unwrap_used,
    reason = "a test that can't go on should say where it stopped"
)]

mod contract;

use std::sync::Arc;

use jwt_server::{
    clock::Timestamp,
    config::StoreConfig,
    event::Listeners,
    store::{self, Store},
};
use tempfile::TempDir;

/// A place where a store keeps its data, fresh for each test.
trait Backend {
    fn fresh() -> Self;

    /// Opens the store, at `now`. Opened again after the first has been dropped, it holds what that one was told.
    async fn open(&self, now: Timestamp) -> Arc<dyn Store>;
}

struct Sled(TempDir);

impl Backend for Sled {
    fn fresh() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    async fn open(&self, now: Timestamp) -> Arc<dyn Store> {
        let config = StoreConfig {
            path: self.0.path().to_owned(),
            cache: 1 << 20,
        };
        store::open(&config, now, Listeners::default()).await.unwrap()
    }
}

macro_rules! contract {
    ($module:ident, $backend:ty: $($test:ident),* $(,)?) => {
        mod $module {
            use super::{Backend, contract};

            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    contract::$test(&<$backend as Backend>::fresh()).await;
                }
            )*
        }
    };
}

contract!(sled, super::Sled:
    a_user_is_found_by_name_as_they_were_created,
    a_username_is_given_once_even_to_many_at_once,
    a_change_of_a_user_is_seen_at_once_and_after_a_restart,
    a_rehash_never_undoes_a_later_change_of_the_password,
    a_session_is_opened_only_for_a_user_as_verified,
    an_accepted_token_speaks_for_the_user_as_they_are_now,
    a_change_of_a_user_reaches_each_of_their_sessions_and_api_tokens,
    whoever_changes_is_accepted_all_the_while_as_they_were_last_answered_to_be,
    a_session_at_hand_says_what_the_store_says_whatever_changes,
    a_refresh_mints_one_successor_and_keeps_to_it,
    a_closed_session_stays_closed,
    a_session_that_was_closed_is_not_refreshed,
    a_refresh_token_is_spent_once_and_its_reuse_ends_the_session,
    of_sixty_four_uses_of_a_refresh_token_at_once_all_get_the_same_successor,
    another_password_ends_every_session_but_the_one_that_is_kept,
    a_deleted_user_takes_everything_along_and_frees_the_name,
    one_session_too_many_ends_the_oldest,
    sessions_are_listed_oldest_first_with_their_last_use,
    an_api_token_speaks_for_its_user_as_they_are_now_until_it_expires,
    an_api_token_is_made_only_from_a_live_session_of_its_user,
    a_revoked_api_token_stays_revoked_and_nobody_revokes_anothers,
    a_user_has_no_more_api_tokens_than_the_bound_however_many_ask_at_once,
    api_tokens_end_with_the_password_with_all_sessions_and_with_their_user,
    the_last_use_of_an_api_token_is_known_at_once_and_kept_by_the_hour,
    the_key_of_refresh_tokens_stays_the_same_until_every_session_is_closed,
    pruning_forgets_what_has_run_out_in_batches_and_nothing_else,
    opening_forgets_what_has_run_out,
    the_signing_keys_are_kept_whole,
    of_many_who_change_the_signing_keys_at_once_one_does,
    every_session_can_be_closed,
    a_sign_in_is_noted_by_network_and_the_oldest_of_too_many_is_forgotten,
    attempts_are_kept_as_they_were_last_told,
    counts_are_right_after_a_restart,
    sixty_four_writers_at_once_lose_nothing,
);

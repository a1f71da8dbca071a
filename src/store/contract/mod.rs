//! What every store must do: one function a promise. [`store_contract!`](crate::store_contract) runs them all against a backend,
//! in this crate or in another one.
//!
//! They are part of the library, and not of its tests, because a backend may live in another crate. A test there is two steps:
//! implement [`Backend`], and write `jwt_server::store_contract!(MyBackend);`. The crate needs `tokio` with the features
//! `macros` and `rt-multi-thread` among its development dependencies. A program that does not name this module does not
//! contain it.

#![expect(
    clippy::unwrap_used,
    reason = "a promise that is broken is a panic, as in any test"
)]

use std::sync::Arc;

use super::backend::Store;
use crate::clock::Timestamp;

#[doc(hidden)]
pub mod administration;
#[doc(hidden)]
pub mod api_tokens;
#[doc(hidden)]
pub mod attempts;
#[doc(hidden)]
pub mod devices;
#[doc(hidden)]
pub mod imports;
#[doc(hidden)]
pub mod keys;
#[doc(hidden)]
pub mod live_sessions;
#[doc(hidden)]
pub mod one_time_codes;
#[doc(hidden)]
pub mod passwords;
#[doc(hidden)]
pub mod refresh;
#[doc(hidden)]
pub mod sessions;
mod support;
#[doc(hidden)]
pub mod trail;
#[doc(hidden)]
pub mod users;
#[doc(hidden)]
pub mod whole;

/// A place where a store keeps its data. Each promise has one of its own.
pub trait Backend: Sized + Send + Sync {
    /// Makes an empty place.
    fn fresh() -> impl Future<Output = Self> + Send;

    /// Opens the store in this place at `now`. A store that is opened after the last one was dropped has what that one was told.
    fn open(&self, now: Timestamp) -> impl Future<Output = Arc<dyn Store>> + Send;
}

/// Makes a test of each promise that a store keeps, for one [`Backend`](crate::store::contract::Backend).
#[macro_export(local_inner_macros)]
macro_rules! store_contract {
    ($backend:ty) => {
        store_contract! { @promises $backend;
            users:
                a_user_is_found_by_name_as_created,
                concurrent_sign_ups_get_a_username_once,
                a_user_change_is_visible_at_once_and_after_a_restart,
                a_rehash_never_undoes_a_later_password_change,
                a_user_change_reaches_every_session_and_api_token,
                deleting_a_user_ends_everything_and_frees_the_name,
                sign_ins_are_noted_by_network_up_to_a_bound;
            passwords:
                a_new_password_ends_every_session_and_starts_one,
                a_new_password_forgets_every_other_network,
                no_copy_of_a_session_outlives_a_new_password,
                ending_other_sessions_forgets_other_networks;
            administration:
                a_user_is_found_by_id_until_deleted,
                users_are_listed_by_name_in_pages,
                each_filter_lists_exactly_its_users,
                a_role_that_has_ended_is_listed_no_more,
                what_is_noted_of_a_user_is_kept,
                a_reset_ends_every_session_and_keeps_api_tokens_if_told,
                every_api_token_of_a_user_is_revoked_at_once,
                the_last_administrator_stays,
                of_racing_demotions_one_administrator_stays;
            sessions:
                a_session_opens_only_for_a_user_as_verified,
                a_shut_out_user_has_no_session_and_gets_none_back,
                an_accepted_token_has_the_present_user,
                no_check_shows_a_user_older_than_the_last_answer,
                a_closed_session_stays_closed,
                of_concurrent_ends_of_a_session_one_ends_it,
                every_session_can_be_closed,
                one_session_too_many_ends_the_oldest,
                sessions_are_listed_oldest_first_with_their_last_use,
                pruning_removes_only_what_has_expired_in_batches,
                opening_removes_expired_sessions,
                a_session_is_confirmed_by_the_present_password;
            live_sessions:
                a_live_session_agrees_with_the_store;
            refresh:
                a_refresh_mints_one_successor,
                a_closed_session_is_not_refreshed,
                reuse_of_a_refresh_token_ends_the_session,
                concurrent_uses_of_a_refresh_token_get_one_successor;
            devices:
                a_device_token_is_noted_at_each_sign_in_with_it,
                a_new_password_ends_every_device_token_but_its_own,
                ending_other_sessions_ends_their_device_tokens,
                device_tokens_are_bounded_and_used_ones_stay;
            api_tokens:
                an_api_token_is_accepted_until_it_expires,
                an_api_token_needs_a_live_session_of_its_user,
                only_the_owner_revokes_an_api_token_and_for_good,
                concurrent_creations_keep_the_bound_of_api_tokens,
                api_tokens_end_with_the_password_and_with_the_user,
                every_api_token_of_every_user_can_be_revoked,
                the_last_use_of_an_api_token_is_kept_by_the_hour;
            one_time_codes:
                an_invitation_adds_one_user_with_its_roles,
                of_concurrent_uses_of_an_invitation_one_adds_a_user,
                an_invitation_ends_when_revoked_and_at_its_second,
                there_are_only_so_many_invitations,
                what_an_invitation_does_not_allow_leaves_it_unspent,
                a_code_is_accepted_while_its_maker_administers,
                invitations_are_listed_oldest_first_in_pages,
                a_reset_code_gives_one_password_and_ends_all_else,
                of_concurrent_uses_of_a_reset_code_one_wins,
                a_reset_code_ends_with_what_it_was_made_for,
                pruning_removes_only_expired_codes,
                no_code_of_a_wrong_clock_outlives_it;
            imports:
                an_imported_user_is_like_any_other,
                staged_users_do_not_exist_and_their_names_are_reserved,
                a_decided_import_is_finished_by_the_next_opening,
                an_import_replaces_users_only_if_it_is_told_to,
                an_imported_user_keeps_an_id_that_is_free,
                a_user_deleted_meanwhile_stays_deleted,
                an_import_leaves_an_administrator,
                an_import_and_other_writes_go_on_together;
            keys:
                the_refresh_key_stays_until_every_session_is_closed,
                the_signing_keys_are_kept_whole,
                of_concurrent_changes_of_the_signing_keys_one_wins;
            attempts:
                failed_attempts_are_kept_as_last_told;
            trail:
                an_event_is_kept_as_it_happened,
                events_are_written_with_the_next_write_or_the_close,
                a_deleted_user_has_id_and_name_in_the_trail,
                events_are_read_in_pages_in_both_orders,
                a_page_has_what_the_query_asks_for,
                each_class_of_events_is_bounded_by_itself,
                old_events_are_pruned_also_after_the_time_went_back,
                a_place_is_given_once_also_when_all_is_pruned,
                the_trail_keeps_every_event_of_concurrent_writers;
            whole:
                counts_are_right_after_a_restart,
                sixty_four_writers_at_once_lose_nothing,
                the_latest_moment_survives_a_restart,
                the_settled_moment_survives_a_restart,
                a_store_goes_back_and_moves_what_was_made_meanwhile;
        }
    };
    (@promises $backend:ty; $($noun:ident: $($promise:ident),+ $(,)?;)+) => {
        $($(
            #[::tokio::test(flavor = "multi_thread")]
            async fn $promise() {
                let backend = <$backend as $crate::store::contract::Backend>::fresh().await;
                $crate::store::contract::$noun::$promise(&backend).await;
            }
        )+)+
    };
}

#[cfg(test)]
mod tests {
    /// A promise that the macro does not list would never be run.
    #[test]
    fn the_macro_lists_every_promise() {
        let listed = include_str!("mod.rs");
        let sources = [
            include_str!("administration.rs"),
            include_str!("api_tokens.rs"),
            include_str!("attempts.rs"),
            include_str!("devices.rs"),
            include_str!("imports.rs"),
            include_str!("keys.rs"),
            include_str!("live_sessions.rs"),
            include_str!("one_time_codes.rs"),
            include_str!("passwords.rs"),
            include_str!("refresh.rs"),
            include_str!("sessions.rs"),
            include_str!("trail.rs"),
            include_str!("users.rs"),
            include_str!("whole.rs"),
        ];
        let mut promises = 0;
        for source in sources {
            for (_, rest) in source
                .match_indices("\npub async fn ")
                .map(|(at, mark)| source.split_at(at + mark.len()))
            {
                let name = rest.split('(').next().unwrap();
                assert!(
                    listed.contains(&format!("                {name},\n"))
                        || listed.contains(&format!("                {name};\n")),
                    "{name}"
                );
                promises += 1;
            }
        }
        assert_eq!(promises, 86);
    }
}

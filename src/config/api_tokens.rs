//! `[api_tokens]`: how long API tokens last, and how many a user has.

use std::time::Duration;

use super::{
    accepts::{CENTURY, Seconds, Whole},
    section::section,
};

section! {
    /// API tokens. Times are whole seconds.
    #[derive(Copy)]
    pub struct ApiTokenConfig in "api_tokens" {
        /// How long an API token lasts at most. A change leaves existing tokens as they are.
        max_lifetime: Duration = "365d", Seconds(1..=CENTURY);
        /// How many API tokens a user has at most. The server refuses one more, so that it never ends another service's
        /// token. With 0, users can't make any.
        max_per_user: usize = 50, Whole(0..=1000);
    }
}

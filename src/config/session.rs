//! `[session]`: how long a sign-in lasts, and whether refresh tokens prolong it.

use std::time::Duration;

use super::{
    accepts::{Boolean, CENTURY, Seconds, Whole},
    error::ConfigError,
    section::section,
    setting::AnySetting,
    settings::Settings,
};

section! {
    /// The section as it is written.
    pub(super) struct Values in "session" {
        /// How long one sign-in lasts at most, however often its token is refreshed.
        max_lifetime: Duration = "30d", Seconds(1..=CENTURY);
        /// How many sessions a user has at most. One more ends the oldest.
        max_per_user: usize = 50, Whole(1..=1000);
        /// Whether a sign-in also gives a refresh token, which continues the session long after its access token has
        /// expired.
        refresh_tokens: bool = false, Boolean;
        /// How long a refresh token is good if it is not used. Each use gives another one.
        refresh_token_lifetime: Duration = "7d", Seconds(1..=CENTURY);
    }
}

pub(super) const SETTINGS: &[AnySetting] = Values::SETTINGS;

/// How long a sign-in lasts. Times are whole seconds.
#[derive(Clone, Copy, Debug)]
pub struct SessionConfig {
    /// How long one lasts at most, however often its token is refreshed.
    pub max_lifetime: Duration,
    /// How many sessions a user has at most.
    pub max_per_user: usize,
    /// How long a refresh token is good if it is not used. `None` if there are no refresh tokens.
    pub refresh_tokens: Option<Duration>,
}

impl SessionConfig {
    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        Ok(Self::of(&Values::read(settings)?))
    }

    fn of(values: &Values) -> Self {
        Self {
            max_lifetime: values.max_lifetime,
            max_per_user: values.max_per_user,
            refresh_tokens: values.refresh_tokens.then_some(values.refresh_token_lifetime),
        }
    }

    /// The section as it would be written.
    fn values(self) -> Values {
        Values {
            max_lifetime: self.max_lifetime,
            max_per_user: self.max_per_user,
            refresh_tokens: self.refresh_tokens.is_some(),
            // Without refresh tokens, any accepted time does.
            refresh_token_lifetime: self.refresh_tokens.unwrap_or(Duration::from_secs(1)),
        }
    }

    pub(super) fn check(self) -> Result<(), ConfigError> {
        self.values().check()
    }

    /// As a section's own.
    #[cfg(test)]
    pub(super) fn at_the_ends(self) -> Vec<(&'static str, bool, Self)> {
        let copies = self.values().at_the_ends().into_iter();
        copies
            .map(|(key, is_accepted, values)| (key, is_accepted, Self::of(&values)))
            .collect()
    }
}

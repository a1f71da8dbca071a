//! Every number and every time of the settings, at the ends of what is accepted and right outside, for tests.

use std::time::Duration;

use super::Config;

impl Config {
    /// Copies of this configuration, each with one value at an end of what its setting accepts, or right outside: with the
    /// setting, and whether it accepts the value.
    pub(crate) fn at_the_ends(&self) -> Vec<(&'static str, bool, Self)> {
        let mut base = self.clone();
        // With these, a number or a time contradicts none of the others, except a window that is longer than a lifetime.
        base.token.policy.lifetime = Duration::from_mins(1);
        base.token.policy.refresh_window = Duration::ZERO;
        base.token.publish_ahead = Duration::ZERO;
        base.session.refresh_tokens = Some(Duration::from_hours(1));
        let mut copies = Vec::new();
        macro_rules! add {
            ($($section:ident)+) => {$(
                for (key, is_accepted, $section) in base.$section.at_the_ends() {
                    copies.push((key, is_accepted, Self { $section, ..base.clone() }));
                }
            )+};
        }
        add!(server store token session api_tokens signup password throttle introspection admin audit log);
        copies
    }
}

//! `check-config`: prints the settings in force, as a configuration file that says where each value came from.

use std::fmt::Write as _;

use crate::config::{self, Config, Settings};

/// The text of that file. It shows where the secret came from, and never the secret.
pub(super) fn effective(settings: &Settings, config: &Config) -> String {
    let mut text = String::new();
    let mut section = "";
    for setting in config::settings() {
        if setting.section() != section {
            let gap = if section.is_empty() { "" } else { "\n" };
            section = setting.section();
            let _ = writeln!(text, "{gap}[{section}]");
            if section == "token" {
                let secret = config.token.secret.as_ref();
                let secret = secret.map_or(
                    "made by the server and kept in its database".to_owned(),
                    |secret| format!("(not shown) from {}", secret.origin),
                );
                let _ = writeln!(text, "# secret: {secret}");
                if let Some(file) = &config.token.key_file {
                    let _ = writeln!(text, "# key: {}", file.pair.public().thumbprint());
                }
            }
        }
        let (value, origin) = settings.shown(&setting);
        let line = format!("{} = {value}", setting.name());
        let _ = writeln!(text, "{line:<32} # {origin}");
    }
    text
}

//! The settings as documents: the text of `jwt-server.toml`, and the table of `docs/settings.md`.

use std::fmt::Write as _;

use super::{settings::Settings, table::settings};

/// The text of the shipped `jwt-server.toml`: every setting at its default, with its help and what is accepted.
#[must_use]
pub fn default_file() -> String {
    file_of(&Settings::default())
}

/// The text of a configuration file with the values of `given`.
pub(crate) fn file_of(given: &Settings) -> String {
    let mut text = String::from(
        "# The settings of jwt-server. Without this file, and for a setting that it leaves out, the default is in force.\n\
         # A setting can also come from the environment (JWT_SERVER__SECTION__KEY) or a flag (--section.key). The environment\n\
         # wins over the file, and a flag wins over both. `jwt-server check-config` prints the settings in force, and where\n\
         # each came from.\n",
    );
    let mut section = "";
    for setting in settings() {
        if setting.section() != section {
            section = setting.section();
            let _ = writeln!(text, "\n[{section}]");
        }
        let (value, _) = given.shown(&setting);
        let (name, help, accepts) = (setting.name(), setting.help, setting.accepts());
        let _ = writeln!(text, "# {help}\n# Accepted: {accepts}.\n{name} = {value}");
    }
    text
}

/// The table of `docs/settings.md`: a row for each setting, in Markdown.
#[must_use]
pub fn settings_table() -> String {
    let mut text = String::from("| setting | default | accepted | what it does |\n|---|---|---|---|\n");
    for setting in settings() {
        let (key, default, help, accepts) = (setting.key, setting.default, setting.help, setting.accepts());
        let _ = writeln!(text, "| `{key}` | `{default}` | {accepts} | {help} |");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::Config;

    const HOW: &str = "is out of date; write it with: cargo run --example write_settings";

    #[test]
    fn the_shipped_file_lists_every_setting_at_its_default() {
        let shipped = fs::read_to_string("jwt-server.toml").unwrap();
        assert_eq!(shipped, default_file(), "jwt-server.toml {HOW}");
    }

    #[test]
    fn the_shipped_file_and_no_file_are_the_same_configuration() {
        let mut settings = Settings::default();
        settings.add_file("jwt-server.toml", &default_file()).unwrap();
        let shipped = Config::read(&settings).unwrap();
        assert_eq!(format!("{shipped:?}"), format!("{:?}", Config::default()));
    }

    #[test]
    fn the_docs_name_every_setting_with_its_default() {
        let page = fs::read_to_string("docs/settings.md").unwrap();
        assert!(page.contains(&settings_table()), "docs/settings.md {HOW}");
    }

    #[test]
    fn no_cell_of_the_table_ends_its_row() {
        for row in settings_table().lines() {
            assert_eq!(row.matches('|').count(), 5, "{row}");
        }
    }
}

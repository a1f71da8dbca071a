//! Writes what is generated from the settings: `jwt-server.toml`, and the table of `docs/settings.md`.
//!
//! Run it in the repository after a change to a setting: `cargo run --example write_settings`.

use std::{error::Error, fs};

use jwt_server::config;

const PAGE: &str = "docs/settings.md";
const START: &str = "<!-- settings -->\n";
const END: &str = "<!-- /settings -->\n";

fn main() -> Result<(), Box<dyn Error>> {
    fs::write("jwt-server.toml", config::default_file())?;

    let page = fs::read_to_string(PAGE)?;
    let missing = || format!("{PAGE} has no lines {START:?} and {END:?}, between which the table goes");
    let (before, rest) = page.split_once(START).ok_or_else(missing)?;
    let (_, after) = rest.split_once(END).ok_or_else(missing)?;
    let table = config::settings_table();
    fs::write(PAGE, format!("{before}{START}\n{table}\n{END}{after}"))?;
    Ok(())
}

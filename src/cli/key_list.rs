//! `key list`: prints the signing keys, and nothing secret of them.

use std::fmt::Write as _;

use clap::Command;

use super::{
    database,
    failure::Failure,
    process::{runtime, say, start_log},
    threads,
};
use crate::{
    auth::{KeySource, SigningKeys},
    clock::Timestamp,
    config::Config,
    domain::{KeyRing, KeyState},
    event::Listeners,
};

pub(super) fn command() -> Command {
    Command::new("list").about("List the keys that sign and verify tokens")
}

pub(super) fn run(config: &Config) -> Result<(), Failure> {
    threads::for_command(config)?;
    database::must_exist(config, "; the server makes it at its first start")?;
    let _log = start_log(config)?;
    let (keys, now) = runtime()?.block_on(async {
        let keys = SigningKeys::open(config, Listeners::default()).await?;
        keys.list().await
    })?;
    if keys.keys().is_empty() {
        say("there are no keys yet; the server makes one when it starts\n");
    } else {
        say(&table(&keys, now));
    }
    Ok(())
}

/// One line for each key, in the order in which they sign.
pub(super) fn table(keys: &KeyRing<KeySource>, now: Timestamp) -> String {
    let mut text = format!(
        "{:<43}  {:<5}  {:<9}  {:<8}  {:<20}  {}\n",
        "kid", "alg", "state", "from", "signs from", "verifies until"
    );
    for key in keys.keys() {
        let state = match key.state(now) {
            KeyState::Next => "next",
            KeyState::Signing => "signing",
            KeyState::Verifying => "verifying",
        };
        let from = match key.material {
            KeySource::Made => "database",
            KeySource::Given => "settings",
        };
        let until = key
            .verifies_until()
            .map_or("no end yet".to_owned(), |end| end.to_string());
        let _ = writeln!(
            text,
            "{:<43}  {:<5}  {state:<9}  {from:<8}  {:<20}  {until}",
            key.id,
            key.algorithm,
            moment(key.signs_from)
        );
    }
    text
}

/// A key that an older version of this server made has no time of its own.
fn moment(at: Timestamp) -> String {
    if at.as_secs() == 0 {
        "always".to_owned()
    } else {
        at.to_string()
    }
}

//! `key rotate`: makes another key, which takes over from the one that signs.

use std::fmt::Write as _;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::{
    database,
    failure::Failure,
    key_list,
    process::{runtime, say, start_log},
    threads,
};
use crate::{
    auth::{KeyRotation, Rotated, RotationError, SigningKeys},
    clock::Timestamp,
    config::Config,
    domain::RequestContext,
    event::Actor,
    telemetry,
};

pub(super) fn command() -> Command {
    let flag = |name: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue);
    Command::new("rotate")
        .about("Make another key, which takes over from the one that signs")
        .after_help(
            "The new key is published for token.publish_ahead, counted from the next start of the server, before it signs. The old\n\
             one verifies until its last token has expired. No user is signed out.\n\
             \n    jwt-server key rotate            # the ordinary way\n    jwt-server key rotate --revoke   # the key was stolen: every session ends",
        )
        .arg(flag("now").help("Let it sign at once: other services meet tokens of a key that they have not fetched yet"))
        .arg(
            flag("revoke")
                .conflicts_with("now")
                .help("Let it sign at once, drop all other keys at once, and end every session"),
        )
}

pub(super) fn run(arguments: &ArgMatches, config: &Config) -> Result<(), Failure> {
    threads::for_command(config)?;
    database::must_exist(config, "; the server makes it at its first start")?;
    let _log = start_log(config)?;
    let rotation = if arguments.get_flag("revoke") {
        KeyRotation::Revoke
    } else if arguments.get_flag("now") {
        KeyRotation::Now
    } else {
        KeyRotation::Ahead
    };
    let (rotated, now) = runtime()?.block_on(async {
        let keys = SigningKeys::open(config, telemetry::EventLog::listeners()).await?;
        let (actor, context) = (Actor::Operator { uid: None }, RequestContext::default());
        let rotated = keys.rotate(rotation, actor, &context).await?;
        Ok::<_, RotationError>((rotated, keys.now()))
    })?;
    say(&report(&rotated, now));
    Ok(())
}

fn report(rotated: &Rotated, now: Timestamp) -> String {
    let mut text = String::new();
    let newest = rotated.keys.newest().map_or("", |key| key.id.as_str());
    let _ = match rotated.keys.next(now) {
        Some(next) if rotated.waiting => writeln!(
            text,
            "nothing was changed: the key {newest} is waiting already, and signs from {}; --now lets it sign at once",
            next.signs_from
        ),
        Some(next) => writeln!(
            text,
            "the key {newest} was added; start the server soon: it publishes the key, and signs with it from {} at the earliest",
            next.signs_from
        ),
        None => writeln!(text, "the key {newest} signs from now on"),
    };
    if let Some(ended) = rotated.ended {
        let plural = if ended == 1 { "session" } else { "sessions" };
        let _ = writeln!(text, "every older token is dead: {ended} {plural} ended");
    }
    text + "\n" + &key_list::table(&rotated.keys, now)
}

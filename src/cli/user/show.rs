//! `user show`: one user.

use clap::{ArgMatches, Command};

use crate::{
    cli::{
        connection::Connection,
        failure::Failure,
        named, output,
        process::{runtime, say},
    },
    config::Config,
};

pub(super) fn command() -> Command {
    Command::new("show")
        .about("Show one user, by name or by id")
        .arg(named::argument())
        .arg(output::json())
}

pub(super) fn run(arguments: &ArgMatches, config: &Config) -> Result<(), Failure> {
    runtime()?.block_on(async {
        let connection = Connection::open(config, false, "").await?;
        let user = named::find(&connection, arguments).await?.user;
        if output::is_json(arguments) {
            say(&output::lines(std::slice::from_ref(&user)));
            return Ok(());
        }
        let state = if user["disabled"] == true {
            "disabled"
        } else if user["must_change_password"] == true {
            "enabled; must change the password at the next sign-in"
        } else {
            "enabled"
        };
        for (name, value) in [
            ("name", output::text(&user["username"])),
            ("id", output::text(&user["id"])),
            ("roles", output::roles(&user)),
            ("state", state.to_owned()),
            ("attributes", output::attributes(&user)),
            ("shown as", output::text(&user["display_name"])),
            ("created", output::text(&user["created_at"])),
        ] {
            say(format!("{name:<12}{value}").trim_end());
            say("\n");
        }
        Ok(())
    })
}

//! `status`: whether a server runs on the database, and what it has.

use clap::{ArgMatches, Command};
use hyper::Method;

use super::{
    connection::Connection,
    database,
    failure::Failure,
    output,
    process::{runtime, say},
};
use crate::config::Config;

pub(super) fn command() -> Command {
    Command::new("status")
        .about("Say whether a server runs, and how many users and sessions there are")
        .arg(output::json())
}

pub(super) fn run(arguments: &ArgMatches, config: &Config) -> Result<(), Failure> {
    runtime()?.block_on(async {
        let connection = Connection::open(config, false, "").await?;
        let is_running = matches!(connection, Connection::Server(_));
        let status = connection.ask(Method::GET, "/admin/status", None).await;
        let mut status = status.map_err(|refusal| refusal.failure("there is no status"))?;
        if output::is_json(arguments) {
            status["running"] = is_running.into();
            say(&output::lines(std::slice::from_ref(&status)));
            return Ok(());
        }
        let server = if is_running { "runs" } else { "does not run" };
        let sessions = status["sessions"].as_u64();
        let sessions = sessions.map_or_else(|| "not counted yet".to_owned(), |count| count.to_string());
        say(&format!(
            "server    {server}\nversion   {}\ndatabase  {}\nusers     {}\nsessions  {sessions}\n",
            output::text(&status["version"]),
            database::name(config),
            status["users"]
        ));
        Ok(())
    })
}

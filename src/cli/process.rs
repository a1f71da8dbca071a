//! What a command needs of its process: a runtime, the log, standard output and standard error.

use std::io::{self, Write};

use rustix::fs::Mode;
use tokio::runtime::{Builder, Runtime};

use super::failure::Failure;
use crate::{
    config::Config,
    telemetry::{self, Log},
};

/// A runtime for a command.
pub(super) fn runtime() -> Result<Runtime, Failure> {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::io("the runtime can't start", &error))
}

/// Starts the log, which is open until the result is dropped.
pub(super) fn start_log(config: &Config) -> Result<Log, Failure> {
    let log = telemetry::install(&config.log);
    log.map_err(|error| Failure::io("the thread of the log can't start", &error))
}

/// Makes every file that this process creates from now on its own user's alone. The database creates some by itself.
pub(super) fn keep_files_private() {
    let _ = rustix::process::umask(Mode::RWXG | Mode::RWXO);
}

/// Prints `text` on standard output. A failure is ignored: the command has done its work.
pub(super) fn say(text: &str) {
    say_bytes(text.as_bytes());
}

/// As [`say`], for what another program reads.
pub(super) fn say_bytes(text: &[u8]) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text).and_then(|()| out.flush());
}

/// Prints each line of `text` on standard error. A failure is ignored: there is no place left to tell it.
pub(super) fn complain(text: &str) {
    let mut err = io::stderr().lock();
    for line in text.lines() {
        let _ = writeln!(err, "jwt-server: {line}");
    }
}

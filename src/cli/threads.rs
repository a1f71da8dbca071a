//! Whether the system lets this process start as many threads as it needs. The database and the runtime panic or wait without
//! end if it does not, so a command finds out before it begins.

use std::{
    io,
    sync::{Mutex, PoisonError},
    thread::{self, Builder},
};

use super::failure::Failure;
use crate::config::Config;

/// The log has one, the database's writer another one.
const OWN: usize = 2;
/// The database's own: seven for its files, and one that writes to disk.
const DATABASE: usize = 8;
/// What runs beside the runtime. With one thread at least, further work waits for it.
const BLOCKING: usize = 2;

/// How many threads hash passwords, unless the settings say so.
fn hashing(config: &Config) -> usize {
    match config.password.hash_threads {
        0 => cores().saturating_sub(1).max(1),
        count => count,
    }
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Fails if the process may not start the threads of a command that opens the database.
pub(super) fn for_command(config: &Config) -> Result<(), Failure> {
    are_allowed(OWN + DATABASE + BLOCKING + hashing(config))
}

/// Fails if the process may not start the threads of the server.
pub(super) fn for_server(config: &Config) -> Result<(), Failure> {
    // The first core is that of the main thread.
    are_allowed(OWN + DATABASE + BLOCKING + hashing(config) + cores() - 1)
}

/// Starts `count` threads at once, and ends them.
fn are_allowed(count: usize) -> Result<(), Failure> {
    let gate = Mutex::new(());
    let started = thread::scope(|scope| {
        // Each thread waits until all have started. They pass when this is dropped.
        let _closed = gate.lock().unwrap_or_else(PoisonError::into_inner);
        (0..count).try_for_each(|started| {
            let spawned = Builder::new().spawn_scoped(scope, || drop(gate.lock()));
            spawned.map(drop).map_err(|error| (started, error))
        })
    });
    wait_until_gone();
    started.map_err(|(started, error)| too_few(started, count, &error))
}

fn too_few(started: usize, count: usize, error: &io::Error) -> Failure {
    Failure::Other(format!(
        "{count} threads are needed, and the system allows {started}: {error}; raise the limit of processes and threads (ulimit -u, \
         TasksMax= of a systemd unit, the pids limit of a container) or of memory, or lower password.hash_threads"
    ))
}

/// Waits until the threads that have ended are not counted any more, which is a moment after they were joined.
fn wait_until_gone() {
    #[cfg(target_os = "linux")]
    for _ in 0..200 {
        match std::fs::read_dir("/proc/self/task").map(Iterator::count) {
            Ok(2..) => thread::sleep(std::time::Duration::from_millis(1)),
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_threads_can_be_started_and_a_refusal_says_what_to_do() {
        are_allowed(20).unwrap();
        let error = io::Error::from(io::ErrorKind::WouldBlock);
        let said = too_few(3, 20, &error).to_string();
        assert!(
            said.starts_with("20 threads are needed, and the system allows 3: ")
                && said.contains("ulimit -u"),
            "{said}"
        );
    }
}

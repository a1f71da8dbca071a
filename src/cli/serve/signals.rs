//! SIGTERM and SIGINT: the first one stops the server, the second one ends the process. SIGHUP, SIGUSR1 and SIGUSR2 change
//! nothing.

use std::{
    io::{self, Write},
    process,
    time::Duration,
};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
    time::timeout,
};

/// What a shell reports for a process ended by SIGINT.
const KILLED: i32 = 130;
/// A second signal sooner than this is the first one, sent to the process and to its group.
const ONE_SIGNAL: Duration = Duration::from_millis(10);

/// Resolves at the first signal to stop. A second signal ends the process at once, whatever it is doing.
pub(super) fn told_to_stop() -> io::Result<impl Future<Output = ()>> {
    outlive()?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut told = async move || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let (stop, stopped) = oneshot::channel();
    tokio::spawn(async move {
        told().await;
        let _ = stop.send(());
        let echo = async {
            loop {
                told().await;
            }
        };
        let _: Result<(), _> = timeout(ONE_SIGNAL, echo).await;
        told().await;
        // Not through the log: the process ends before its thread writes the line.
        let _ = writeln!(
            io::stderr(),
            "jwt-server: told to stop a second time: ending at once"
        );
        process::exit(KILLED);
    });
    Ok(async move {
        // The task above ends only with the process.
        let _ = stopped.await;
    })
}

/// Takes the signals that mean something to other servers, such as to read their settings anew: by default they end a process.
fn outlive() -> io::Result<()> {
    for (kind, name) in [
        (SignalKind::hangup(), "SIGHUP"),
        (SignalKind::user_defined1(), "SIGUSR1"),
        (SignalKind::user_defined2(), "SIGUSR2"),
    ] {
        let mut received = signal(kind)?;
        tokio::spawn(async move {
            while received.recv().await.is_some() {
                tracing::info!("{name} was received, and changes nothing");
            }
        });
    }
    Ok(())
}

//! A server that runs, pinned to its cores, until this is dropped; and what it costs the machine.

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use procfs::process::Process;
use rustix::process::{Pid, Signal, kill_process};

/// How long a server may take to answer for the first time, or to stop.
const PATIENCE: Duration = Duration::from_mins(2);

pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
    started: Instant,
    /// From its start to its first answer.
    pub(crate) first_answer: Duration,
}

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Time on a processor, of all its threads.
    pub(crate) processor: Duration,
    /// Bytes of memory, now.
    pub(crate) resident: u64,
    /// The most that was.
    pub(crate) peak: u64,
    /// Bytes on their way to the disk.
    pub(crate) written: u64,
}

/// A port that is free at the moment.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

impl Server {
    /// Starts `command`, which is to listen on `port`, and waits until it answers `request` with 200. What it says goes to
    /// the file `log`.
    pub(crate) fn start(mut command: Command, port: u16, request: &str, log: &Path) -> Result<Self> {
        let said = File::create(log)?;
        command.stdout(said.try_clone()?).stderr(said);
        let start = Instant::now();
        let child = command.spawn().with_context(|| format!("{command:?}"))?;
        let mut server = Self {
            child,
            port,
            started: start,
            first_answer: Duration::ZERO,
        };
        server.first_answer = server.granted_after(request).with_context(|| {
            let said = fs::read_to_string(log).unwrap_or_default();
            format!("{command:?}:\n{said}")
        })?;
        Ok(server)
    }

    /// Waits until `request` is answered 200, and returns how long after the start of the server that was.
    pub(crate) fn granted_after(&mut self, request: &str) -> Result<Duration> {
        let asked = Instant::now();
        while !grants(self.port, request) {
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended, {status}");
            }
            ensure!(asked.elapsed() < PATIENCE, "it does not answer 200");
            thread::sleep(Duration::from_millis(1));
        }
        Ok(self.started.elapsed())
    }

    /// From now on, [`Usage::peak`] is the most since now. Not every system can do that.
    pub(crate) fn forget_peak(&self) -> Result<()> {
        let file = format!("/proc/{}/clear_refs", self.child.id());
        fs::write(&file, "5").with_context(|| format!("{file}: the peak of the memory can't be reset"))
    }

    /// The processor time of the threads that hash passwords.
    pub(crate) fn hashing(&self) -> Result<Duration> {
        let mut ticks = 0;
        for thread in Process::new(self.child.id().try_into()?)?.tasks()? {
            let stat = thread?.stat()?;
            if stat.comm.starts_with("hash-") {
                ticks += stat.utime + stat.stime;
            }
        }
        Ok(Duration::from_secs_f64(
            ticks as f64 / procfs::ticks_per_second() as f64,
        ))
    }

    pub(crate) fn usage(&self) -> Result<Usage> {
        let process = Process::new(self.child.id().try_into()?)?;
        let (stat, status) = (process.stat()?, process.status()?);
        let kib = |value: Option<u64>| value.unwrap_or_default() * 1024;
        let ticks = (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64;
        Ok(Usage {
            processor: Duration::from_secs_f64(ticks),
            resident: kib(status.vmrss),
            peak: kib(status.vmhwm),
            written: process.io()?.write_bytes,
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let told = Instant::now();
        while told.elapsed() < PATIENCE {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a server on `port` answers `request` with 200. Not through a client that opens and closes with care: the start of a
/// server is timed with this.
fn grants(port: u16, request: &str) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let ask = || {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(request.as_bytes())?;
        let mut line = [0; 12];
        stream.read_exact(&mut line)?;
        std::io::Result::Ok(line == *b"HTTP/1.1 200")
    };
    ask().unwrap_or(false)
}

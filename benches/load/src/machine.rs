//! The machine: which cores the server and the load get, and what a reader of the figures must know of it.

use std::{fmt, fs, path::Path, process::Command, thread};

use anyhow::{Context, Result, ensure};

/// Where the server runs and where the load comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cores {
    /// As `taskset -c` takes them.
    pub(crate) server: &'static str,
    pub(crate) load: &'static str,
    /// How many threads the load tool has.
    pub(crate) load_threads: usize,
}

impl Cores {
    /// The server has one core, and the load another.
    pub(crate) const ONE: Self = Self {
        server: "0",
        load: "1",
        load_threads: 1,
    };

    /// The server has two cores, and the load two others; on a machine of fewer than four, the same two.
    pub(crate) fn two() -> Self {
        let apart = available() >= 4;
        Self {
            server: "0,1",
            load: if apart { "2,3" } else { "0,1" },
            load_threads: 2,
        }
    }

    /// Half of what [`two`](Self::two) has, to tell what the other half adds: where server and load share two cores, they share
    /// one.
    pub(crate) fn half() -> Self {
        if available() >= 4 {
            return Self::ONE;
        }
        Self {
            load: Self::ONE.server,
            ..Self::ONE
        }
    }

    /// A command that runs `program` on these cores and becomes it, so that the process's id is the program's.
    pub(crate) fn pinned(cores: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("taskset");
        command.args(["-c", cores]).arg(program);
        command
    }
}

impl fmt::Display for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.server, self.load) {
            ("0", "0") => f.write_str("one core, shared with the load"),
            ("0", _) => f.write_str("one core"),
            (server, load) if server == load => f.write_str("two cores, shared with the load"),
            _ => f.write_str("two cores"),
        }
    }
}

/// Fails, and says how to get it, if something that the measurements need is missing.
pub(crate) fn check() -> Result<()> {
    ensure!(
        available() >= 2,
        "one core for the server and one for the load are needed"
    );
    for (program, package) in [("wrk", "wrk"), ("taskset", "util-linux")] {
        let found = Command::new(program).arg("--version").output();
        ensure!(found.is_ok(), "there is no {program}: apt-get install {package}");
    }
    Ok(())
}

/// What the figures were taken on, as a list in Markdown.
pub(crate) fn describe(root: &Path) -> Result<String> {
    let cpu = fs::read_to_string("/proc/cpuinfo")?;
    let model = value(&cpu, "model name").unwrap_or("unknown");
    let memory = fs::read_to_string("/proc/meminfo")?;
    let memory = value(&memory, "MemTotal").unwrap_or("unknown");
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let git = |arguments: &[&str]| said(Command::new("git").current_dir(root).args(arguments));
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changed = git(&["status", "--porcelain", "--untracked-files=no"])?;
    let changed = if changed.is_empty() {
        ""
    } else {
        ", with changes that are not committed"
    };
    Ok(format!(
        "- commit: `{commit}`{changed}\n\
         - machine: {model}, {} cores, memory {memory}\n\
         - kernel: Linux {}\n\
         - compiler: {}\n\
         - taken: {}\n\
         - command: `{}`\n",
        available(),
        kernel.trim(),
        said(Command::new("rustc").arg("--version"))?,
        said(Command::new("date").args(["-u", "+%Y-%m-%d %H:%M UTC"]))?,
        command_line(),
    ))
}

/// How many cores this process may use.
pub(crate) fn available() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// The command that this process was started with, as one would type it.
fn command_line() -> String {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    format!(
        "cargo run --release --manifest-path benches/load/Cargo.toml -- {}",
        arguments.join(" ")
    )
}

fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_once(':').map(|(_, value)| value.trim())
}

fn said(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

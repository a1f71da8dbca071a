//! The load tool: `wrk` with `wrk.lua`.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
    process::{Child, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::machine::Cores;

/// Where the script is: this program is run where it was built.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/wrk.lua");

/// What to send, and how.
#[derive(Clone, Debug)]
pub(crate) struct Load<'a> {
    /// Written by [`write_requests`].
    pub(crate) requests: &'a Path,
    pub(crate) order: Order,
    pub(crate) connections: usize,
    /// At most, if each request is sent once.
    pub(crate) seconds: u64,
    pub(crate) cores: &'a Cores,
    /// Count the answers by status: it costs the load tool some of its speed.
    pub(crate) count_answers: bool,
    /// Before each request, on each connection.
    pub(crate) pause: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Any of the requests each time.
    Random,
    /// Each request once, and then no more.
    Once,
}

/// A load that is being sent.
pub(crate) struct Sending(Child);

/// What came of it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Outcome {
    /// How many requests were answered.
    pub(crate) requests: u64,
    elapsed_us: u64,
    p50_us: u64,
    p99_us: u64,
    max_us: u64,
    /// How many of the answers had a status above 399.
    pub(crate) refused: u64,
    /// How many requests got no answer.
    pub(crate) broken: u64,
    /// Statuses and how many answers had them, in parts; empty unless they were counted.
    answers: Vec<(u16, u64)>,
}

impl Load<'_> {
    pub(crate) fn start(&self, port: u16) -> Result<Sending> {
        let threads = self.cores.load_threads.min(self.connections);
        let child = Cores::pinned(self.cores.load, "wrk")
            .arg(format!("-t{threads}"))
            .arg(format!("-c{}", self.connections))
            .arg(format!("-d{}s", self.seconds))
            .args(["--timeout", "60s", "-s", SCRIPT])
            .arg(format!("http://127.0.0.1:{port}/"))
            .arg("--")
            .arg(self.requests)
            .arg(match self.order {
                Order::Random => "random",
                Order::Once => "once",
            })
            .arg(if self.count_answers { "count" } else { "-" })
            .arg(self.pause.as_millis().to_string())
            .arg(threads.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .context("wrk can't be started")?;
        Ok(Sending(child))
    }

    pub(crate) fn send(&self, port: u16) -> Result<Outcome> {
        self.start(port)?.finish()
    }
}

impl Sending {
    pub(crate) fn finish(self) -> Result<Outcome> {
        let output = self.0.wait_with_output()?;
        ensure!(output.status.success(), "wrk: {}", output.status);
        let said = String::from_utf8_lossy(&output.stdout);
        let result = said.lines().find_map(|line| line.strip_prefix("RESULT "));
        let result = result.with_context(|| format!("wrk said no result:\n{said}"))?;
        Ok(serde_json::from_str(result)?)
    }
}

impl Outcome {
    pub(crate) fn elapsed(&self) -> f64 {
        self.elapsed_us as f64 / 1e6
    }

    /// Answers a second, whatever they were.
    pub(crate) fn rate(&self) -> f64 {
        self.requests as f64 / self.elapsed()
    }

    /// How many answers had this status.
    pub(crate) fn answers(&self, status: u16) -> u64 {
        let these = self.answers.iter().filter(|(code, _)| *code == status);
        these.map(|(_, count)| count).sum()
    }

    /// Answers with this status a second.
    pub(crate) fn rate_of(&self, status: u16) -> f64 {
        self.answers(status) as f64 / self.elapsed()
    }

    /// The median time to an answer, in milliseconds.
    pub(crate) fn p50(&self) -> f64 {
        self.p50_us as f64 / 1e3
    }

    /// The time that 99 of 100 answers keep, in milliseconds.
    pub(crate) fn p99(&self) -> f64 {
        self.p99_us as f64 / 1e3
    }

    /// The longest time to an answer, in milliseconds.
    pub(crate) fn longest(&self) -> f64 {
        self.max_us as f64 / 1e3
    }

    /// Fails unless every request was granted: a server that refuses is fast for nothing.
    pub(crate) fn all_granted(self) -> Result<Self> {
        let bad = self.refused + self.broken;
        ensure!(bad == 0, "{bad} of {} requests were not granted", self.requests);
        Ok(self)
    }
}

/// Writes `requests`, each as it goes over the wire, as `wrk.lua` reads them.
pub(crate) fn write_requests(file: &Path, requests: impl IntoIterator<Item = String>) -> Result<()> {
    let mut out = BufWriter::new(File::create(file)?);
    for request in requests {
        writeln!(out, "{}", request.len())?;
        out.write_all(request.as_bytes())?;
    }
    Ok(out.flush()?)
}

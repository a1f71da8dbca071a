//! The micro-benchmarks, as `cargo bench` prints them.

use std::process::{Command, Stdio};

use anyhow::{Result, ensure};

use crate::bench::Bench;

pub(super) fn run(bench: &Bench) -> Result<String> {
    let output = Command::new("cargo")
        .args([
            "bench",
            "--manifest-path",
            "benches/load/Cargo.toml",
            "--bench",
            "micro",
        ])
        .current_dir(&bench.root)
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "cargo bench: {}", output.status);
    let said = String::from_utf8(output.stdout)?;
    Ok(format!("## Micro-benchmarks\n\n```text\n{}\n```\n", said.trim()))
}

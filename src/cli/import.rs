//! `import`: users from a file, all of them or none.

use std::{
    fs::File,
    io::{self, IsTerminal, Read},
    thread,
    time::Duration,
};

use clap::{Arg, ArgAction, ArgMatches, Command};
use hyper::body::{Bytes, Frame};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{
    connection::{Connection, Piece, Refusal},
    failure::Failure,
    output,
    process::{complain, runtime, say},
};
use crate::config::Config;

/// In bytes.
const PIECE: usize = 64 * 1024;
/// How many pieces are read ahead.
const AHEAD: usize = 4;

pub(super) fn command() -> Command {
    Command::new("import")
        .about("Add users from a file, all of them or none, also while the server runs")
        .after_help(
            "The file has a JSON object a line, or CSV with a header, or is one of htpasswd -B. Passwords come as bcrypt hashes\n\
             ($2a$, $2b$ or $2y$). The whole file is checked first; docs/administration.md has the fields.",
        )
        .arg(Arg::new("file").value_name("FILE").required(true).help("The file, or - for standard input"))
        .arg(
            Arg::new("dry-run")
                .long("dry-run")
                .action(ArgAction::SetTrue)
                .help("Check every line and every user in the way, and import nothing. Only the import checks that an administrator is left"),
        )
        .arg(
            Arg::new("skip-bad")
                .long("skip-bad")
                .action(ArgAction::SetTrue)
                .help("Import the good lines although others are bad"),
        )
        .arg(
            Arg::new("on-conflict")
                .long("on-conflict")
                .value_name("WAY")
                .value_parser(["fail", "skip", "update"])
                .default_value("fail")
                .help("What becomes of a user who exists: refuse the import, leave them, or update them"),
        )
        .arg(output::json())
}

pub(super) fn run(arguments: &ArgMatches, config: &Config) -> Result<(), Failure> {
    let name = arguments.get_one::<String>("file").map_or("-", String::as_str);
    let way = arguments
        .get_one::<String>("on-conflict")
        .map_or("fail", String::as_str);
    let (dry_run, skip_bad) = (arguments.get_flag("dry-run"), arguments.get_flag("skip-bad"));
    let as_json = output::is_json(arguments);
    let path = format!("/admin/import?on_conflict={way}&dry_run={dry_run}&skip_bad={skip_bad}");
    runtime()?.block_on(async {
        let (input, length) = open(name)?;
        let connection = Connection::open(config, false, "; nothing was imported").await?;
        let progress = progress(length);
        let pieces = read(input, progress.clone())?;
        let answer = connection.upload(&path, pieces).await;
        progress.finish_and_clear();
        match answer {
            Ok(report) => {
                tell(&report, dry_run, as_json);
                Ok(())
            }
            Err(refusal) => Err(refused(&refusal, dry_run, as_json)),
        }
    })
}

/// The input, and how long it is if that is known.
fn open(name: &str) -> Result<(Box<dyn Read + Send>, Option<u64>), Failure> {
    if name == "-" {
        if io::stdin().is_terminal() {
            complain("the users are read from the terminal; end them with Ctrl-D");
        }
        return Ok((Box::new(io::stdin()), None));
    }
    let unreadable = |error| Failure::io(&format!("{name} can't be read; nothing was imported"), &error);
    let file = File::open(name).map_err(unreadable)?;
    let found = file.metadata().map_err(unreadable)?;
    if found.is_dir() {
        return Err(unreadable(io::ErrorKind::IsADirectory.into()));
    }
    let length = found.is_file().then_some(found.len());
    Ok((Box::new(file), length))
}

/// A bar on a terminal, and nothing anywhere else.
fn progress(length: Option<u64>) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, style) = match length {
        Some(length) => (
            ProgressBar::new(length),
            "{msg} [{bar:40}] {bytes}/{total_bytes}, {eta} left",
        ),
        None => (ProgressBar::no_length(), "{spinner} {msg} {bytes}"),
    };
    bar.set_draw_target(ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_message("checking");
    bar
}

/// Reads `input` on a thread of its own, because it may wait.
fn read(mut input: Box<dyn Read + Send>, progress: ProgressBar) -> Result<mpsc::Receiver<Piece>, Failure> {
    let (sender, pieces) = mpsc::channel(AHEAD);
    let reading = thread::Builder::new().name("reader".into()).spawn(move || {
        loop {
            let mut piece = vec![0; PIECE];
            let piece = match input.read(&mut piece) {
                Ok(0) => break,
                Ok(length) => {
                    piece.truncate(length);
                    progress.inc(length as u64);
                    Ok(Frame::data(Bytes::from(piece)))
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let is_last = piece.is_err();
            if sender.blocking_send(piece).is_err() || is_last {
                return;
            }
        }
        progress.set_message("importing");
        progress.enable_steady_tick(Duration::from_millis(200));
    });
    reading.map_err(|error| {
        Failure::io(
            "no thread can be started to read the file; nothing was imported",
            &error,
        )
    })?;
    Ok(pieces)
}

/// Prints what came of the import.
fn tell(report: &Value, dry_run: bool, as_json: bool) {
    if as_json {
        say(&format!("{report}\n"));
        return;
    }
    for line in report["lines"].as_array().into_iter().flatten() {
        complain(&format!(
            "line {}: {}",
            line["line"],
            output::text(&line["reason"])
        ));
    }
    let count = |name: &str| report[name].as_u64().unwrap_or_default();
    let mut parts = vec![format!("{} added", count("added"))];
    for (name, what) in [
        ("updated", "updated"),
        ("skipped", "left as they are"),
        ("bad", "bad lines left out"),
    ] {
        parts.extend((count(name) > 0).then(|| format!("{} {what}", count(name))));
    }
    let what = if dry_run {
        "checked, nothing was imported; it would be"
    } else {
        "imported"
    };
    say(&format!("{what}: {}\n", parts.join(", ")));
}

/// Prints each line that refused the import, and returns the failure.
fn refused(refusal: &Refusal, dry_run: bool, as_json: bool) -> Failure {
    for error in refusal.errors.iter().filter(|_| refusal.code == "import_refused") {
        if as_json {
            say(&format!(
                "{}\n",
                json!({ "line": error.field, "reason": error.detail })
            ));
        } else {
            complain(&format!("{}: {}", error.field, error.detail));
        }
    }
    let detail = refusal.detail.trim_end_matches('.');
    Failure::Other(if refusal.code == "import_unfinished" {
        detail.to_owned()
    } else if refusal.is_certain || dry_run {
        let detail = detail.trim_start_matches("Nothing was imported: ");
        format!("nothing was imported: {detail}")
    } else {
        format!(
            "it is not known whether the users were imported. All of them are, or none: `jwt-server audit --kind users_imported` says which. {detail}"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(code: &str, is_certain: bool) -> Refusal {
        Refusal {
            code: code.into(),
            text: String::new(),
            detail: "Something failed.".into(),
            errors: Vec::new(),
            is_certain,
        }
    }

    #[test]
    fn only_a_certain_refusal_says_that_nothing_was_imported() {
        let said =
            |code, is_certain, dry_run| refused(&refusal(code, is_certain), dry_run, false).to_string();
        let nothing = "nothing was imported: Something failed";
        assert_eq!(said("import_unreadable", true, false), nothing);
        assert_eq!(said("", false, true), nothing);
        for code in ["", "internal_error"] {
            let said = said(code, false, false);
            assert!(!said.contains("nothing was"), "{said}");
            assert!(said.contains("All of them are, or none") && said.ends_with("Something failed"));
        }
        assert_eq!(said("import_unfinished", false, false), "Something failed");
    }
}

//! The papers tell the truth: what a page states of the code (routes, error codes, tests, dependencies, files) is compared with
//! the code, and every link leads somewhere.

#![expect(
    clippy::unwrap_used,
    reason = "a test that can't go on should say where it stopped"
)]

mod api;
mod architecture;
mod contributing;
mod files;
mod language;
mod links;
mod operations;
mod readme;
mod security;

/// The text of the file at `path`.
fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The text of the page at `path`, without its blocks of code.
fn prose(path: &str) -> String {
    let mut in_block = false;
    let mut kept = String::new();
    for line in read(path).lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if !in_block {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// The part of `page` below `heading`, up to the next heading of the same or a higher level.
fn section<'a>(page: &'a str, heading: &str) -> &'a str {
    let start = format!("{heading}\n");
    let (_, rest) = page
        .split_once(&start)
        .unwrap_or_else(|| panic!("there is no {heading}"));
    let level = heading.split(' ').next().unwrap().len();
    let ends = (1..=level).filter_map(|level| rest.find(&format!("\n{} ", "#".repeat(level))));
    &rest[..ends.min().unwrap_or(rest.len())]
}

/// The cells of each row of the tables in `text`, without their heads.
fn rows(text: &str) -> Vec<Vec<&str>> {
    let lines: Vec<&str> = text.lines().collect();
    let is_rule = |line: &str| line.starts_with("|--") || line.starts_with("| --");
    let mut rows = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let is_head = lines.get(at + 1).is_some_and(|next| is_rule(next));
        if line.starts_with('|') && !is_rule(line) && !is_head {
            let inner = line.trim().trim_start_matches('|');
            let inner = inner.strip_suffix('|').unwrap_or(inner);
            rows.push(inner.split('|').map(str::trim).collect());
        }
    }
    rows
}

/// What stands between backticks in `text`.
fn code_words(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

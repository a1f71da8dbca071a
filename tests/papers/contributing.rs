//! `CONTRIBUTING.md` gives a reason for every dependency, and describes every fuzz target.

use std::collections::BTreeSet;

use crate::{code_words, files, prose, read, rows, section};

/// The names of the crates in the tables of `Cargo.toml` whose names end in `dependencies`.
fn dependencies() -> BTreeSet<String> {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let mut names = BTreeSet::new();
    let mut tables = vec![&manifest];
    for (_, target) in manifest["target"].as_table().unwrap() {
        tables.push(target.as_table().unwrap());
    }
    for table in tables {
        for kind in ["dependencies", "dev-dependencies"] {
            if let Some(list) = table.get(kind) {
                names.extend(list.as_table().unwrap().keys().cloned());
            }
        }
    }
    names
}

#[test]
fn every_dependency_has_its_reason() {
    let page = prose("CONTRIBUTING.md");
    let mut on_page = BTreeSet::new();
    for row in rows(section(&page, "## Dependencies")) {
        for name in row[0].split(',') {
            let name = name.trim().split([' ', '(']).next().unwrap();
            on_page.insert(name.trim_matches('`').to_owned());
        }
    }
    assert_eq!(on_page, dependencies());
}

#[test]
fn every_fuzz_target_is_described() {
    let page = prose("CONTRIBUTING.md");
    let described: BTreeSet<String> = rows(section(&page, "## Fuzzing"))
        .iter()
        .map(|row| code_words(row[0])[0].to_owned())
        .collect();
    let targets: BTreeSet<String> = files::all()
        .iter()
        .filter_map(|file| file.strip_prefix("fuzz/fuzz_targets/")?.strip_suffix(".rs"))
        .map(str::to_owned)
        .collect();
    assert_eq!(described, targets);
}

#[test]
fn the_long_runs_select_tests_that_exist() {
    let page = read("CONTRIBUTING.md");
    let runs = page.lines().filter(|line| line.contains(" -- --nocapture"));
    let is_source = |file: &String| file.starts_with("src/") || file.starts_with("tests/");
    let sources = files::all().into_iter().filter(is_source);
    let sources: Vec<(String, String)> = sources.map(|file| (file.clone(), read(&file))).collect();
    let mut seen = 0;
    for line in runs {
        let (command, _) = line.split_once(" -- --nocapture").unwrap();
        let filter = command.rsplit(' ').next().unwrap();
        let variable = line.split('=').next().unwrap();
        let selects = |(file, text): &(String, String)| {
            let names = text.split("fn ").skip(1);
            let mut names = names.map(|rest| rest.split('(').next().unwrap());
            file.contains(filter) || names.any(|name| name.contains(filter))
        };
        assert!(sources.iter().any(selects), "no test is selected by {filter}");
        let is_read = |(_, text): &(String, String)| text.contains(&format!("\"{variable}\""));
        assert!(sources.iter().any(is_read), "no test reads {variable}");
        seen += 1;
    }
    assert!(seen > 3, "only {seen} long runs were found");
}
